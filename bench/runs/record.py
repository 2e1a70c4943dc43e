"""The record of a run: what it was, what it scored, everything later tables and tests are made from.

A record holds nothing that differs between two executions of the same run (no times, no machine): those are in
`provenance.json` beside it. So an interrupted and an uninterrupted run can be compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from bench.filesystem import DamagedFileError
from bench.points import points
from bench.runs.recipe import Precision
from bench.runs.settings import RunSetting
from bench.runs.versions import read_as, schema_of

if TYPE_CHECKING:
    from bench.runs.plan import RunPlan

Percent = Annotated[float, Field(strict=True, ge=0, le=100 + 1e-9, allow_inf_nan=False)]
"""A share in percent; a mean of many may be past 100 in its last digit."""
Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
"""How many of something there are: as a float, too, it is exact."""
FEW = 5
"""Of more numbers that were chosen on dev, such as a threshold of each relation, not all are in a sentence."""
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class StageRecord(BaseModel):
    """One stage as it went: dev F1 after each epoch, which epoch was kept, what the data were.

    key: of the stage, by which runs share it.   data: what it was trained on ("human", "distant", "ext").
    dev_f1: after each epoch.   selected_epoch: the one that was kept, counted from 1.
    documents: how many it was trained on.   mentions_cut: mentions of these past the length limit.
    precision: what it computed in, whether asked for or left to the machine; None in records from before it.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    data: str
    dev_f1: list[Percent]
    selected_epoch: Count
    documents: Count
    mentions_cut: Count
    precision: Precision | None = None


class Scores(BaseModel):
    """Percent, unrounded.

    f1, precision, recall: micro, over triples.   ign_f1: against the training facts; None for a benchmark without it.
    ign_f1_distant: against the facts of the distant documents; None also without these.
    auc, ign_auc: of whole splits, where thresholds alone decide (`bench.metrics.ranking`).
    """

    model_config = ConfigDict(extra="forbid")

    f1: Percent
    ign_f1: Percent | None
    ign_f1_distant: Percent | None = None
    precision: Percent
    recall: Percent
    auc: Percent | None = None
    ign_auc: Percent | None = None


class DocumentCounts(BaseModel):
    """Per document, in the order of `titles`: what the statistics resample.

    titles: of the split's documents.   correct: right predictions.   predicted: all predictions.   gold: all labels.
    correct_in_facts: right predictions that are among the training facts, which Ign F1 leaves out.
    """

    model_config = ConfigDict(extra="forbid")

    titles: list[str]
    correct: list[Count]
    predicted: list[Count]
    gold: list[Count]
    correct_in_facts: list[Count]


class EvidenceScores(BaseModel):
    """Of (triple, evidence sentence), in percent, unrounded.

    f1: of the two that follow.   precision: of the predicted ones, how many are labelled.
    recall: of the labelled ones, how many were predicted.
    """

    model_config = ConfigDict(extra="forbid")

    f1: Percent
    precision: Percent
    recall: Percent


class SplitRecord(BaseModel):
    """The evaluation on one split.

    scores: of the whole split.   macro_f1: mean F1 of the relations that have a label.
    slices: protocol ("strict", "released") -> slice -> scores.
    relations: of each relation the numbers of right predictions, predictions and labels.
    documents: the counts of each document.   mentions_cut: mentions past the length limit.
    evidence: scores of predicted evidence; None for a model that predicts none, and for labels without it.
    unknown_titles: distinct predicted triples of documents that the split lacks: wrong, and in no document's counts.
    gold_outside: labelled triples on pairs that are no candidates, which every model misses and predictions from
    outside may have (0 in records from before it).
    highest_margin: how far the highest logit of any candidate triple is above what it is compared with; None where
    that does not decide, without candidates, and in records from before it.
    """

    model_config = ConfigDict(extra="forbid")

    scores: Scores
    macro_f1: Percent
    slices: dict[str, dict[str, Scores]]
    relations: dict[str, tuple[Count, Count, Count]]
    documents: DocumentCounts
    mentions_cut: Count
    gold_outside: Count = 0
    unknown_titles: Count = 0
    evidence: EvidenceScores | None = None
    highest_margin: Number | None = None

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        if not self.unknown_titles:
            del content["unknown_titles"]
        return content


class RunRecord(BaseModel):
    """A finished run.

    schema_version: rises when fields change meaning; `read_record` reads old ones too.
    key: a hash of all that decides the result.   configuration: what all seeds of a row have in common, hashed.
    model: as it is registered, or FILE:CLASS.   variant: what was set beside its name ("layers=2"), or nothing.
    dataset: its name in `bench data list`.   setting: which data it was trained on.   encoder: as it was asked for.
    seed: of the run.   facts: where those of Ign F1 are from.
    stages: in the order in which they were trained.   splits: "dev" and "test", as far as they have labels.
    decision: what the model chose on dev to decide by (thresholds), by name.
    conventions: of the data set, which pairs are classified ("pairs") and what of a prediction counts ("scored"); empty
    in records from before it.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    key: str
    configuration: str
    model: str
    variant: str
    dataset: str
    setting: RunSetting
    encoder: str
    seed: int
    facts: dict[str, str]
    stages: list[StageRecord]
    splits: dict[str, SplitRecord]
    decision: dict[str, Number] = {}
    conventions: dict[str, str] = {}

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        if not self.conventions:
            del content["conventions"]
        return content

    @classmethod
    def of(
        cls,
        plan: RunPlan,
        facts: dict[str, str],
        stages: list[StageRecord],
        splits: dict[str, SplitRecord],
        decision: dict[str, float],
        conventions: dict[str, str],
    ) -> RunRecord:
        """The record of a planned run.

        facts: where those of Ign F1 are from (`Dataset.facts_source`).   conventions: `Dataset.conventions`.
        """
        return cls(
            key=plan.key,
            configuration=plan.configuration,
            model=plan.model,
            variant=plan.variant,
            dataset=plan.dataset,
            setting=plan.setting,
            encoder=plan.encoder,
            seed=plan.seed,
            facts=facts,
            stages=stages,
            splits=splits,
            decision=decision,
            conventions=conventions,
        )

    @property
    def headline(self) -> str:
        """The number to show where there is room for one: `test F1 48.21`, of dev where test has no labels."""
        split = "test" if "test" in self.splits else "dev"
        return f"{split} F1 {points(self.splits[split].scores.f1)}"

    @property
    def chosen(self) -> str:
        """What was chosen on dev to decide by, in a few words: `margin = 0.5`; empty where nothing was."""
        shown = [f"{name} = {value:.6g}" for name, value in self.decision.items()]
        more = f" and {len(shown) - FEW} more" if len(shown) > FEW else ""
        return ", ".join(shown[:FEW]) + more


def _first(content: Any) -> RunRecord:
    return read_as(RunRecord, content, sealed=True)


_READERS: Mapping[int, Callable[[Any], RunRecord]] = {1: _first}
"""By `schema_version`, what makes a record of the JSON that was written. Entries are added, never taken away."""


def read_record(content: Any) -> RunRecord:
    """The record that was written as `content` (JSON) by this or an earlier version.

    Every record is read here; whether it is that of its run, and does not contradict itself, `bench.runs.verdict` says.
    Raises NewerVersionError for a record that only a later version can read, DamagedFileError for what is no record.
    """
    if not isinstance(content, dict):
        raise DamagedFileError("it is no record")
    # Pydantic writes the version, but the field has a default: a record without it is of the first schema.
    return _READERS[schema_of(content, max(_READERS))](content)
