"""The numbers behind figures. Nothing here knows what a figure looks like."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.analysis import stats
from bench.analysis.label_shares import ShareCurves, ShareLine
from bench.analysis.robust import performance_profile
from bench.analysis.stats import Array
from bench.analysis.systems import System
from bench.report.tables.ablations import Ablation
from bench.report.tables.paper import PaperRows, PaperTable
from bench.report.tables.relations import relation_scores
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import load_curve

PANELS = 6
"""Systems that fit into one figure of small panels, or lines into one figure."""


@dataclass(frozen=True)
class Curve:
    """Dev F1 (percent) after each epoch of the last stage, one list per seed, and the epoch kept (from 1)."""

    name: str
    seeds: tuple[tuple[float, ...], ...]
    selected: tuple[int, ...]

    @property
    def mean(self) -> list[float]:
        """The mean over seeds after each epoch, up to the last that all of them reached."""
        return [sum(values) / len(values) for values in zip(*self.seeds, strict=False)]


@dataclass(frozen=True)
class Strip:
    """Scores of a system's seeds (percent). low, high: 95 % interval of their mean (Student's t), None of one seed."""

    name: str
    values: tuple[float, ...]
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, values: Sequence[float]) -> Strip:
        """The strip of a system's scores, one per seed, with the interval of their mean."""
        low, high = stats.mean_interval(stats.summarize(values)) or (None, None)
        return cls(name, tuple(values), low, high)


@dataclass(frozen=True)
class Ranked:
    """Precision-recall curves of a system's seeds. curves: of each [k, 2], recall and precision in percent.

    auc: the mean of their areas in percent, None where the records lack it.
    """

    name: str
    curves: tuple[Array, ...]
    auc: float | None


@dataclass(frozen=True)
class Points:
    """Scores by the value of a hyperparameter: mean and deviation (None: not told) in percent."""

    name: str
    means: Mapping[float, float]
    deviations: Mapping[float, float | None]


@dataclass(frozen=True)
class RelationPoints:
    """A system on the relations of the test set: labels of each, and F1 in percent, a mean over seeds."""

    name: str
    labels: Mapping[str, int]
    f1: Mapping[str, float]


@dataclass(frozen=True)
class SharePoints:
    """Mean F1 (percent) of a system at shares of the labels (percent), and its 95 % interval over seeds.

    intervals: the mean twice where there is one seed.
    """

    name: str
    shares: tuple[float, ...]
    means: tuple[float, ...]
    intervals: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, line: ShareLine) -> SharePoints:
        """The points of a line, from the smallest share."""
        means = tuple(point.summary.mean for point in line.points)
        return cls(
            line.name,
            tuple(float(point.share.percent) for point in line.points),
            means,
            tuple(point.interval or (mean, mean) for point, mean in zip(line.points, means, strict=True)),
        )


def share_points(curves: ShareCurves) -> list[SharePoints]:
    """A line of points for each model."""
    return [SharePoints.of(line) for line in curves.lines]


def curves(systems: Sequence[System]) -> list[Curve]:
    """The learning curve of each system that was trained here epoch by epoch, in their order.

    Of systems that are one training, and differ in how they decide, the one that decides by its logits stands for all.
    """
    learnt = [system for system in systems if system.plan.learnt]
    by_logits = {record.stages[-1].key for each in learnt if not each.plan.inference for record in each.cell.records}
    return [
        Curve(
            system.name,
            tuple(tuple(record.stages[-1].dev_f1) for record in system.cell.records),
            tuple(record.stages[-1].selected_epoch for record in system.cell.records),
        )
        for system in learnt
        if not _learnt_as(system, by_logits)
    ]


def _learnt_as(system: System, stages: Collection[str]) -> bool:
    """Whether it has an inference of its own, and all of its trainings are among `stages`, by their keys."""
    return system.plan.inference is not None and all(r.stages[-1].key in stages for r in system.cell.records)


def strips(systems: Sequence[System], split: str = "test") -> list[Strip]:
    """A strip of F1 for each system that has scores of the split."""
    return [Strip.of(system.name, values) for system in systems if (values := system.values(split, "f1"))]


@dataclass(frozen=True)
class Profile:
    """The share of a system's runs (percent) that score more than each threshold (percent of F1)."""

    name: str
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]


def profiles(scores: Mapping[str, Array], steps: int = 400) -> list[Profile]:
    """The performance profile of each system. scores: [n] of all its runs; a threshold is a step from the next."""
    every = np.concatenate(list(scores.values()))
    thresholds = np.linspace(every.min() - 0.5, every.max() + 0.5, steps)
    shown = tuple(thresholds.tolist())
    return [
        Profile(name, shown, tuple((100 * performance_profile(of, thresholds)).tolist())) for name, of in scores.items()
    ]


def ranked(systems: Sequence[System], out: Path, split: str = "test") -> list[Ranked]:
    """The precision-recall curves of each system whose runs in the output folder kept any."""
    shown = []
    for system in systems:
        finished = {record.key for record in system.cell.records}
        folders = [RunFolder.of(out, plan).path for plan in system.cell.plans if plan.key in finished]
        of_seeds = [curve[:, :2] for folder in folders if (curve := load_curve(folder, split)) is not None]
        values = system.values(split, "auc")
        if of_seeds:
            shown.append(Ranked(system.name, tuple(of_seeds), sum(values) / len(values) if values else None))
    return shown


def relation_points(systems: Sequence[System]) -> list[RelationPoints]:
    """Of each system with a finished seed, F1 of each relation of the test set."""
    scored = [scores for system in systems if (scores := relation_scores(system)) is not None]
    return [RelationPoints(scores.system.name, scores.labels, scores.f1) for scores in scored]


def ablation_points(ablation: Ablation, table: PaperTable | None, rows: PaperRows) -> tuple[Points, Points | None]:
    """Test F1 of an ablation, and the paper's where it has one of that hyperparameter."""
    means, deviations = {}, {}
    for value, system in ablation.points:
        score = system.score("test", "f1")
        if score is not None and score.mean is not None:
            means[value], deviations[value] = score.mean, score.std
    ours = Points(f"{ablation.model}, {ablation.dataset}, {ablation.encoder}", means, deviations)
    if table is None:
        return ours, None
    theirs: dict[float, float] = {}
    spreads: dict[float, float | None] = {}
    for row in rows.of(table, table.settings[0], "test"):
        name, _, printed_value = rows.paper.variant(row).partition("=")
        if name == ablation.hyperparameter and "f1" in row.scores:
            printed, at = row.scores["f1"], float(printed_value)
            theirs[at] = float(printed.mean)
            spreads[at] = None if printed.std is None else float(printed.std)
    return ours, Points(f"published: {table.dataset}, {table.encoder}", theirs, spreads) if theirs else None
