"""What a plan costs: the pace of each stage, times its documents and epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.data.catalog.dataset import Dataset
from bench.execution.probe import Pace
from bench.runs.plan import RunPlan, StagePlan

READ_SHARE = 1 / 3
"""Seconds of an evaluation over those of training, where only these are given: the forward pass of a step, without its
backward pass, which is twice the arithmetic.
"""

PaceOf = Callable[[StagePlan, StagePlan | None], Pace]
"""The pace of a stage, and of its teacher if it has one. Raises LookupError where it is not known."""


@dataclass(frozen=True)
class Estimate:
    """What a plan costs, in seconds of one process.

    stages: by key, what is left of training each, 0 of one that is trained; only those whose pace is known.
    evaluated: by the run's folder, what the evaluation of each takes that has no record.
    saved: what not sharing stages between runs would add.   unknown: how many stages have a pace that is not known.
    """

    stages: Mapping[str, float]
    evaluated: Mapping[str, float]
    saved: float
    unknown: int

    @property
    def evaluations(self) -> float:
        """The seconds of all evaluations that are left to do."""
        return sum(self.evaluated.values())

    @property
    def total(self) -> float:
        """The seconds of all stages and evaluations that are left to do."""
        return sum(self.stages.values()) + self.evaluations


def given_pace(seconds_per_document: Mapping[str, float]) -> PaceOf:
    """The pace of a stage from a profile's seconds per document: by `MODEL.DATA`, then `MODEL`, then `all`."""

    def find(stage: StagePlan, teacher: StagePlan | None) -> Pace:
        for name in (f"{stage.model}.{stage.data}", stage.model, "all"):
            if name in seconds_per_document:
                return Pace(seconds_per_document[name], seconds_per_document[name] * READ_SHARE)
        raise LookupError(stage.model)

    return find


def estimate(
    planned: Sequence[tuple[Dataset, RunPlan]],
    pace_of: PaceOf,
    is_trained: Callable[[StagePlan], bool],
    is_done: Callable[[RunPlan], bool],
) -> Estimate:
    """What is left to do of the runs, each with its data set. All epochs count: a stage with patience may take less."""
    whole: dict[str, float] = {}
    left: dict[str, float] = {}
    unknown: set[str] = set()
    encoded: set[tuple[str, ...]] = set()
    evaluated: dict[str, float] = {}
    asked = 0.0
    for dataset, run in planned:
        for stage in run.stages:
            if stage.is_counted:
                left[stage.key] = 0.0  # no training; how long it counts or asks is the model's to know
                continue
            teacher = run.stage_before(stage) if stage.teacher else None
            try:
                pace = pace_of(stage, teacher)
                taught = pace_of(teacher, None).read if teacher else 0.0
                cost = _training(stage, pace, taught, dataset)
            except LookupError:
                unknown.add(stage.key)
                continue
            asked += cost
            if stage.key not in whole:
                whole[stage.key] = cost
                once = 0.0
                if pace.encode:
                    artifact = (stage.encoder_fingerprint, stage.train_checksum, _encoder_from(run, stage))
                    once = 0.0 if artifact in encoded else pace.encode * dataset.count(stage.train_split)
                    encoded.add(artifact)
                left[stage.key] = 0.0 if is_trained(stage) else cost + once
            if stage is run.stages[-1] and not is_done(run):
                evaluated[run.folder] = pace.read * (dataset.count("dev") + dataset.count("test"))
    return Estimate(left, evaluated, asked - sum(whole.values()), len(unknown))


def _encoder_from(run: RunPlan, stage: StagePlan) -> str:
    """The last stage before this one that changed the encoder; nothing where all before it have it frozen too."""
    while stage.after and (before := run.stage_before(stage)):
        if not before.training.freeze_encoder:
            return before.key
        stage = before
    return ""


def _training(stage: StagePlan, pace: Pace, taught: float, dataset: Dataset) -> float:
    """The seconds of a stage: its epochs, each with an evaluation, and first a teacher's reading of all documents."""
    documents, select = dataset.count(stage.train_split), dataset.count(stage.select_split)
    return stage.training.epochs * (documents * pace.train + select * pace.read) + documents * taught


def in_time(seconds: float) -> str:
    """Seconds as a person reads them: `45 s`, `12 min`, `3.4 h`, `1,250 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:,.0f} h" if hours >= 100 else f"{hours:.1f} h"
