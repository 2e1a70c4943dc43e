"""The record of a run: what it was, what it scored, everything later tables and tests are made from.

A record holds nothing that differs between two executions of the same run (no times, no machine): those are in
`provenance.json` beside it. So an interrupted and an uninterrupted run can be compared byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.runs.recipe import Setting


class StageRecord(BaseModel):
    """One stage as it went: dev F1 (percent) after each epoch, which epoch was kept, what the data were."""

    model_config = ConfigDict(extra="forbid")

    key: str
    data: str
    dev_f1: list[float]
    selected_epoch: int
    documents: int
    mentions_cut: int


class Scores(BaseModel):
    """Percent, unrounded. `ign_f1` is None for a benchmark without it, `ign_f1_distant` also without distant data.

    auc, ign_auc: of whole splits, where thresholds alone decide (`bench.metrics.ranking`).
    """

    model_config = ConfigDict(extra="forbid")

    f1: float
    ign_f1: float | None
    ign_f1_distant: float | None = None
    precision: float
    recall: float
    auc: float | None = None
    ign_auc: float | None = None


class DocumentCounts(BaseModel):
    """Per document, in the order of `titles`: what the statistics resample."""

    model_config = ConfigDict(extra="forbid")

    titles: list[str]
    correct: list[int]
    predicted: list[int]
    gold: list[int]
    correct_in_facts: list[int]


class EvidenceScores(BaseModel):
    """Of (triple, evidence sentence), in percent, unrounded."""

    model_config = ConfigDict(extra="forbid")

    f1: float
    precision: float
    recall: float


class SplitRecord(BaseModel):
    """The evaluation on one split. slices: protocol ("strict", "released") -> slice -> scores.

    gold_outside: labelled triples on pairs that are no candidates, counted as missed (0 in records from before it).
    highest_margin: how far the highest logit of any candidate triple is above what it is compared with; None where
    that does not decide, without candidates, and in records from before it.
    """

    model_config = ConfigDict(extra="forbid")

    scores: Scores
    macro_f1: float
    slices: dict[str, dict[str, Scores]]
    relations: dict[str, tuple[int, int, int]]
    documents: DocumentCounts
    mentions_cut: int
    gold_outside: int = 0
    evidence: EvidenceScores | None = None
    highest_margin: float | None = None


class RunRecord(BaseModel):
    """A finished run. `schema_version` rises when fields change meaning; `read_record` reads old ones too.

    decision: what the model chose on dev to decide by (thresholds), by name.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    key: str
    configuration: str
    model: str
    variant: str
    dataset: str
    setting: Setting
    encoder: str
    seed: int
    facts: dict[str, str]
    stages: list[StageRecord]
    splits: dict[str, SplitRecord]
    decision: dict[str, float] = {}

    @property
    def headline(self) -> str:
        """The number to show where there is room for one: `test F1 48.21`, of dev where test has no labels."""
        split = "test" if "test" in self.splits else "dev"
        return f"{split} F1 {self.splits[split].scores.f1:.2f}"


_READERS: Mapping[int, Callable[[Any], RunRecord]] = {1: RunRecord.model_validate}
"""By `schema_version`, what makes a record of the JSON that was written. Entries are added, never taken away."""


def read_record(content: Any) -> RunRecord | None:
    """The record that was written as `content` (JSON) by this or an earlier version; None where it is no such thing.

    Every record is read here.
    """
    # Pydantic writes the version, but the field has a default: a record without it is of the first schema.
    version = content.get("schema_version", 1) if isinstance(content, dict) else None
    reader = _READERS.get(version) if isinstance(version, int) else None
    if reader is None:
        return None
    try:
        return reader(content)
    except ValidationError:
        return None
