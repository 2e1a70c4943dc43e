"""From an experiment to the runs and stages it takes, each with a key made of everything that decides its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.config import Experiment
from bench.data.catalog import Dataset
from bench.errors import UsageError
from bench.interface import Setting, Signal, Source, Training
from bench.nn.load import EncoderSource
from bench.outline import digest, file_name, stage_content, stage_folder_name, stage_key
from bench.registry import ModelEntry, code_version, find
from bench.variants import Variant, resolve_stages, variant_name

HARNESS_VERSION = 1
"""Part of every key: raise it when the trainer, pooling, head or data layer would give other numbers."""
METRIC_VERSION = 1
"""Part of every run's key: raise it when evaluation would give other numbers from the same predictions."""

SPLIT_OF: dict[Source, str] = {"human": "train", "distant": "distant", "ext": "ext"}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StagePlan(_Frozen):
    """One training run over one source of data. All fields but those that name things decide its weights.

    harness: the HARNESS_VERSION it is trained with, kept so that a plan of another version keeps its key.
    after: the key of the stage whose weights it starts from.   teacher: of the one whose `signal` it is given.
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
    max_length: int
    seed: int
    position: int
    after: str | None
    teacher: str | None = None
    signal: Signal | None = None

    @property
    def key(self) -> str:
        """16 hex digits: equal keys, equal weights. What things are called does not count, what they hold does."""
        return stage_key(self.model_dump(mode="json"))

    @property
    def folder(self) -> str:
        """The stage's folder under `stages/`."""
        return stage_folder_name(self.model_dump(mode="json"))


class InferencePlan(_Frozen):
    """How a trained model is made to predict, where it is not by decoding its logits."""

    reference: str
    class_name: str
    code: str


class RunPlan(_Frozen):
    """One cell and seed of the tables: the stages that lead to a model, and what it is evaluated on.

    not_applicable: settings the model does not have, and why; for the tables.
    """

    metric: int = 1
    model: str
    variant: str
    dataset: str
    setting: Setting
    encoder: str
    seed: int
    stages: tuple[StagePlan, ...]
    dev_checksum: str
    test_checksum: str
    facts_checksum: str
    distant_checksum: str | None
    inference: InferencePlan | None = None
    not_applicable: dict[Setting, str] = {}

    @property
    def key(self) -> str:
        """16 hex digits: equal keys, equal records."""
        return digest([self.metric, self.stages[-1].key, self._evaluated()])

    @property
    def configuration(self) -> str:
        """What all seeds of a cell have in common, as 8 hex digits: runs that differ in it are never averaged."""
        stages = [
            stage_content(s.model_dump(mode="json"), {"harness", "seed", "after", "teacher", "reference"})
            for s in self.stages
        ]
        return digest([self.stages[-1].harness, self.metric, stages, self._evaluated()])[:8]

    def _evaluated(self) -> list[str | None]:
        evaluated = [self.dev_checksum, self.test_checksum, self.facts_checksum, self.distant_checksum]
        return [*evaluated, self.inference.class_name, self.inference.code] if self.inference else evaluated

    def stage_before(self, stage: StagePlan) -> StagePlan | None:
        """The stage whose weights or signals `stage` needs."""
        return next((s for s in self.stages if s.key in (stage.after, stage.teacher)), None)

    @property
    def folder(self) -> str:
        """The run's folder under `runs/`."""
        variant = f"-{self.variant}" if self.variant else ""
        name = file_name(f"{self.model}{variant}-{self.dataset}-{self.setting}-{self.encoder}")
        return f"{name[:120]}-s{self.seed}-{self.key}"


def make_plan(experiment: Experiment, dataset: Dataset, encoder: EncoderSource) -> list[RunPlan]:
    """Every run of the experiment, seed by seed within a setting. Raises UsageError for what cannot be run."""
    needed = {"train", "dev", "test"}
    for setting, variant in experiment.cells:
        for stage in resolve_stages(variant, setting, experiment.overrides):
            needed |= {SPLIT_OF[stage.stage.data], stage.training.select_on}
    missing = sorted(split for split in needed if split not in dataset.splits)
    if missing:
        raise UsageError(
            f"the data set {dataset.name!r} has no {' and no '.join(missing)} documents, which "
            f"{', '.join(experiment.settings)} need{'s' if len(experiment.settings) == 1 else ''}. "
            f"It has: {', '.join(dataset.splits)} (`bench data add` registers more)"
        )
    plans = [
        _plan_run(experiment, variant, setting, seed, dataset, encoder)
        for setting, variant in experiment.cells
        for seed in experiment.seeds
    ]
    return list({plan.folder: plan for plan in plans}.values())  # a model named twice is run once


def _plan_run(
    experiment: Experiment, variant: Variant, setting: Setting, seed: int, dataset: Dataset, encoder: EncoderSource
) -> RunPlan:
    stages: list[StagePlan] = []
    trained = trained_as(variant.entry)
    for resolved in resolve_stages(variant, setting, experiment.overrides):
        source = resolved.stage.data
        before = stages[-1].key if stages else None
        stages.append(
            StagePlan(
                harness=HARNESS_VERSION,
                model=trained.name,
                reference=trained.reference,
                class_name=trained.cls.__qualname__,
                code=code_version(trained.cls),
                hyperparameters=resolved.hyperparameters,
                training=resolved.training,
                freeze=resolved.stage.freeze,
                data=source,
                dataset=dataset.name,
                train_checksum=dataset.checksum(SPLIT_OF[source]),
                select_checksum=dataset.checksum(resolved.training.select_on),
                relations=dataset.relations,
                encoder=encoder.name,
                encoder_fingerprint=encoder.fingerprint,
                max_length=experiment.max_length,
                seed=seed,
                position=len(stages),
                after=None if resolved.stage.signal else before,
                teacher=before if resolved.stage.signal else None,
                signal=resolved.stage.signal,
            )
        )
    return RunPlan(
        metric=METRIC_VERSION,
        model=variant.entry.name,
        variant=variant_name(variant, setting, experiment.changes),
        dataset=dataset.name,
        setting=setting,
        encoder=encoder.name,
        seed=seed,
        stages=tuple(stages),
        dev_checksum=dataset.checksum("dev"),
        test_checksum=dataset.checksum("test"),
        facts_checksum=dataset.facts_source()["sha256"],
        distant_checksum=dataset.checksum("distant") if "distant" in dataset.splits else None,
        inference=_inference(variant.entry),
        not_applicable=dict(variant.entry.cls.recipe.not_applicable),
    )


def trained_as(entry: ModelEntry) -> ModelEntry:
    """The model whose training this one uses: its own, unless it differs from another in inference alone."""
    return find(entry.cls.trains_as) if entry.cls.trains_as else entry


def _inference(entry: ModelEntry) -> InferencePlan | None:
    if entry.cls.inference is None:
        return None
    return InferencePlan(
        reference=entry.reference, class_name=entry.cls.__qualname__, code=code_version(entry.cls.inference)
    )


def distinct_stages(runs: Iterable[RunPlan]) -> list[StagePlan]:
    """The stages of all runs, each once, in an order in which a stage comes after the one it starts from."""
    return list({stage.key: stage for run in runs for stage in run.stages}.values())


def describe(runs: Sequence[RunPlan]) -> str:
    """One line on the size of a plan."""
    stages, asked = len(distinct_stages(runs)), sum(len(run.stages) for run in runs)
    shared = f" ({asked - stages} shared between runs)" if asked > stages else ""
    return f"{len(runs)} runs, {stages} stages{shared}"
