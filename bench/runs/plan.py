"""Planned runs and their stages, each with a key made of everything that decides its result.

`bench.experiment.planner` makes them of an experiment. Here is no torch, and no numpy but where a seed is
made: whoever reads records reads plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from bench.errors import UsageError, plural
from bench.filesystem import digest
from bench.label_share import LabelShare, parse_share
from bench.runs.keys import file_name, stage_content, stage_folder_name, stage_key
from bench.runs.names import NO_ENCODER, Origin
from bench.runs.recipe import Precision, Setting, Signal, Source, Training
from bench.runs.settings import RunSetting, parts_of

HARNESS_VERSION = 3
"""Part of every key: raise it when the trainer, pooling, head or data layer would give other numbers."""
METRIC_VERSION = 1
"""Part of every run's key: raise it when evaluation would give other numbers from the same predictions."""

SPLIT_OF: dict[Source, str] = {"human": "train", "distant": "distant", "ext": "ext"}
_COMPLETE = {"ext": "train", "dev_ext": "dev"}
"""By the splits without all labels, those with them: of which a share is taken in their place."""


def split_for(split: str, share: LabelShare | None) -> str:
    """The split that is read for `split` in a setting on a share of the labels: `train@10%` for ext."""
    return share.of(_COMPLETE[split]) if share and split in _COMPLETE else split


def _share_text(text: str) -> str:
    try:
        return str(parse_share(text))
    except UsageError as error:
        raise ValueError(str(error)) from None


ShareText = Annotated[str, AfterValidator(_share_text)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImportedWeights(_Frozen):
    """Weights that another program trained and saved, in the place of training.

    sha256: of the file.   mapping, mapping_version: of which program it was read as one (`bench.outside.mappings`).
    columns: the relations in the order of the program's logits, after the threshold class.
    setting: what somebody says that it was trained on.
    file, source, note: what it was called, and in somebody's words where it is from; no part of any key.
    """

    sha256: str
    mapping: str
    mapping_version: int
    columns: tuple[str, ...]
    setting: RunSetting
    file: str
    source: str = ""
    note: str = ""


class LossPlan(_Frozen):
    """The loss that a stage is trained with in place of its model's own."""

    name: str
    reference: str
    class_name: str
    code: str
    hyperparameters: dict[str, Any]


class StagePlan(_Frozen):
    """One training run over one source of data. All fields but those that name things decide its weights.

    harness: the HARNESS_VERSION it is trained with, kept so that a plan of another version keeps its key.
    causal: whether its encoder looks only backwards, for tables to say so.
    after: the key of the stage whose weights it starts from.   teacher: of the one whose `signal` it is given.
    imported: of weights that were trained elsewhere; `train_checksum` and `select_checksum` are then empty.
    relation_texts: of each relation its name and its description, "" where it has none, for a model that reads them.
    loss: what it is trained with and decides by, where that is not the model's own.
    label_share: which of the labels stand for ext and dev_ext (`bench.label_share`), where it reads any of them.
    """

    harness: int = 1
    model: str
    reference: str
    class_name: str
    code: str
    hyperparameters: dict[str, Any]
    training: Training
    freeze: tuple[str, ...]
    data: Source
    dataset: str
    train_checksum: str
    select_checksum: str
    relations: tuple[str, ...]
    encoder: str
    encoder_fingerprint: str
    causal: bool = False
    max_length: int
    seed: int
    position: int
    after: str | None
    teacher: str | None = None
    signal: Signal | None = None
    imported: ImportedWeights | None = None
    relation_texts: tuple[tuple[str, str], ...] | None = None
    loss: LossPlan | None = None
    label_share: ShareText | None = None

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        for later in ("imported", "relation_texts", "loss", "label_share"):
            if content[later] is None:
                del content[later]
        for later in ("order_seed", "dropout_seed"):
            if content["training"][later] is None:
                del content["training"][later]
        return content

    @property
    def order_seed(self) -> int:
        """The seed of the order of documents."""
        return self.seed if self.training.order_seed is None else self.training.order_seed

    @property
    def dropout_seed(self) -> int:
        """The seed of what is drawn in a step: dropout, and whatever else a model draws there."""
        return self.seed if self.training.dropout_seed is None else self.training.dropout_seed

    @property
    def key(self) -> str:
        """16 hex digits: equal keys, equal weights. What things are called does not count, what they hold does."""
        return stage_key(self.model_dump(mode="json"))

    @property
    def share(self) -> LabelShare | None:
        """Which of the labels it trains on, of those that are there; None for all of a split that has a file."""
        return None if self.label_share is None else parse_share(self.label_share)

    @property
    def train_split(self) -> str:
        """The split of the data set that it trains on."""
        return split_for(SPLIT_OF[self.data], self.share)

    @property
    def select_split(self) -> str:
        """The split of the data set whose labels choose its epoch."""
        return split_for(self.training.select_on, self.share)

    @property
    def is_counted(self) -> bool:
        """Whether its model is fitted on documents without encoder, gradients and weights (`CountingModel`)."""
        return self.encoder == NO_ENCODER

    @property
    def folder(self) -> str:
        """The stage's folder under `stages/`."""
        return stage_folder_name(self.model_dump(mode="json"))

    def in_precision(self, precision: Precision | None) -> StagePlan:
        """The same with what its "auto" has come to mean, for whoever computes: the key is no longer the stage's.

        None, for a stage that is older than this being written down, changes nothing.
        """
        if precision is None:
            return self
        return self.with_training(precision=precision)

    def in_batches_of(self, documents: int | None) -> StagePlan:
        """The same with another batch size, for whoever only reads documents with it; None for its own."""
        if documents is None:
            return self
        return self.with_training(batch_size=documents)

    def with_training(self, **changes: Any) -> StagePlan:
        """The same with other values in its `Training`."""
        return self.model_copy(update={"training": self.training.model_copy(update=changes)})


class InferencePlan(_Frozen):
    """How a trained model is made to predict, where it is not by decoding its logits."""

    reference: str
    class_name: str
    code: str


CONFIGURATION_LETTER = "x"
"""What a configuration begins with where programs read it, no hex digit: one in 27 would be a number to pandas."""


def named_configuration(configuration: str) -> str:
    """The 8 hex digits of a configuration as a name that is no number: `x2e128301`."""
    return CONFIGURATION_LETTER + configuration


class OutsidePredictions(_Frozen):
    """Predictions that were made elsewhere, of which nothing is known but what somebody said when importing them.

    predictions: sha256 of those of each split, as they are kept.   relations: those of the data set, in its order.
    edition: counts the imports of one name that contradict each other, from 0: their seeds are never averaged.
    source, note: in somebody's words, where they are from; no part of any key.
    """

    predictions: dict[str, str]
    relations: tuple[str, ...]
    edition: int = 0
    source: str = ""
    note: str = ""


class RunPlan(_Frozen):
    """One cell and seed of the tables: the stages that lead to a model, and what it is evaluated on.

    not_applicable: settings the model does not have, and why; for the tables.
    outside: of predictions that were made elsewhere, which have no stages; None for a run of the harness.
    """

    metric: int = 1
    model: str
    variant: str
    dataset: str
    setting: RunSetting
    encoder: str
    seed: int
    stages: tuple[StagePlan, ...]
    dev_checksum: str
    test_checksum: str
    facts_checksum: str
    distant_checksum: str | None
    inference: InferencePlan | None = None
    not_applicable: dict[Setting, str] = {}
    outside: OutsidePredictions | None = None

    # Not a bound of the field: where a stage is of a newer version, that they are too few would be told as well.
    @model_validator(mode="after")
    def _has_stages(self) -> RunPlan:
        if bool(self.stages) == bool(self.outside):
            raise ValueError("stages of predictions from elsewhere" if self.stages else "no stages")
        return self

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        if self.outside is None:
            del content["outside"]
        return content

    @property
    def last(self) -> StagePlan | None:
        """The stage whose model predicts; None where predictions were made elsewhere."""
        return self.stages[-1] if self.stages else None

    @property
    def imported(self) -> ImportedWeights | None:
        """What is known of weights that were trained elsewhere; None where they were trained here."""
        return self.last.imported if self.last else None

    @property
    def origin(self) -> Origin:
        """Where what the record scores is from."""
        if self.outside:
            return "predictions"
        return "weights" if self.imported else "trained"

    @property
    def learnt(self) -> StagePlan | None:
        """The last stage where it was trained here epoch by epoch; None of imports, and of what is counted."""
        return self.last if self.last and self.origin == "trained" and not self.last.is_counted else None

    @property
    def relations(self) -> tuple[str, ...]:
        """The relations of the data set, in the order in which kept scores number them."""
        return self.outside.relations if self.outside else self.stages[-1].relations

    @property
    def key(self) -> str:
        """16 hex digits: equal keys, equal records."""
        if self.outside:
            return digest([*self._said_of_outside(self.outside), self.seed, self.outside.predictions])
        # Of all labels a share is the same by any rule, and so is what is trained: runs are told apart by their names.
        thinned = [self.setting] if parts_of(self.setting).share else []
        return digest([self.metric, self.stages[-1].key, self._evaluated(), *thinned])

    @property
    def configuration(self) -> str:
        """What all seeds of a cell have in common, as 8 hex digits: runs that differ in it are never averaged."""
        if self.outside:
            return digest(self._said_of_outside(self.outside))[:8]
        # Of weights from elsewhere each seed is a file of its own.
        of_seed = {"harness", "seed", "after", "teacher", "reference", "imported.sha256"}
        stages = [stage_content(s.model_dump(mode="json"), of_seed) for s in self.stages]
        return digest([self.stages[-1].harness, self.metric, stages, self._evaluated()])[:8]

    @property
    def configuration_name(self) -> str:
        """The configuration as CSV and JSON have it: `x2e128301`."""
        return named_configuration(self.configuration)

    def _said_of_outside(self, outside: OutsidePredictions) -> list[Any]:
        """What decides the cell of predictions from elsewhere: their name, since nothing is known of what made them."""
        return ["outside", self.metric, self.model, self.setting, self.encoder, outside.edition, self._evaluated()]

    def _evaluated(self) -> list[str | None]:
        evaluated = [self.dev_checksum, self.test_checksum, self.facts_checksum, self.distant_checksum]
        return [*evaluated, self.inference.class_name, self.inference.code] if self.inference else evaluated

    def with_training(self, **changes: Any) -> RunPlan:
        """The same with other values in the `Training` of all its stages."""
        return self.model_copy(update={"stages": tuple(stage.with_training(**changes) for stage in self.stages)})

    def stage_before(self, stage: StagePlan) -> StagePlan | None:
        """The stage whose weights or signals `stage` needs."""
        return next((s for s in self.stages if s.key in (stage.after, stage.teacher)), None)

    @property
    def folder(self) -> str:
        """The run's folder under `runs/`."""
        variant = f"-{self.variant}" if self.variant else ""
        name = file_name(f"{self.model}{variant}-{self.dataset}-{parts_of(self.setting).name}-{self.encoder}")
        return f"{name[:120].lstrip('-') or 'run'}-s{self.seed}-{self.key}"  # what begins with - is an option


def distinct_stages(runs: Iterable[RunPlan]) -> list[StagePlan]:
    """The stages of all runs, each once, in an order in which a stage comes after the one it starts from."""
    return list({stage.key: stage for run in runs for stage in run.stages}.values())


def describe(runs: Sequence[RunPlan]) -> str:
    """One line on the size of a plan."""
    stages, asked = len(distinct_stages(runs)), sum(len(run.stages) for run in runs)
    shared = f" ({asked - stages} shared between runs)" if asked > stages else ""
    return f"{plural(len(runs), 'run')}, {plural(stages, 'stage')}{shared}"


def step_seed(seed: int, position: int, step: int) -> int:
    """The seed of everything random in one update: 63 bits of the run's seed, the stage's position and the step."""
    import numpy as np  # here: `bench status` reads plans without it

    return int(np.random.SeedSequence((seed, position, step)).generate_state(1, np.uint64)[0] >> np.uint64(1))
