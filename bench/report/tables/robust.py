"""Measures of runs that an odd seed does not move, of each condition and over several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from bench.analysis.comparison import Question, most_alike
from bench.analysis.robust import (
    evenly,
    improvement,
    interquartile_interval,
    interquartile_mean,
    probability_of_improvement,
)
from bench.analysis.stats import Array, summarize
from bench.analysis.systems import Condition, System
from bench.points import points
from bench.report.table import MISSING, Column, Table, TableCell, TableRow

Scores = dict[str, dict[Condition, Array]]
"""Test F1 of the seeds of each system, by its name and condition, in percent."""

_WHAT = (
    "IQM: the mean of the middle half of the scores, without the lowest and the highest quarter; its interval is a "
    "percentile bootstrap's over seeds, too narrow of few. "
)


def scores_of(groups: Sequence[tuple[Condition, Sequence[System]]]) -> Scores:
    """The test F1 of every system with two finished seeds or more.

    Of a condition, the most whose scores were counted alike; of as many that way and another, those with the best.
    """
    scores: Scores = {}
    question = Question()
    for condition, systems in groups:
        of = {system: values for system in systems if len(values := system.values("test", "f1")) > 1}
        alike = most_alike(question, sorted(of, key=lambda system: -sum(of[system]) / len(of[system])))
        for system, values in of.items():
            if system in alike:
                scores.setdefault(system.name, {})[condition] = np.array(values)
    return scores


def robust_tables(groups: Sequence[tuple[Condition, Sequence[System]]], most: int) -> Iterator[Table]:
    """One over all conditions that systems share, where there are several; one for each of the first `most`."""
    scores = scores_of(groups)
    if (shared := shared_conditions(scores)) is not None:
        yield _over_all(*shared)
    for condition, _ in groups[:most]:
        here = {name: of[condition] for name, of in scores.items() if condition in of}
        if len(here) > 1:
            yield _of_condition(condition, here)


def shared_conditions(scores: Scores) -> tuple[list[Condition], Scores] | None:
    """Two conditions or more, and two systems or more that have scores in all of them; None where there are none.

    The conditions are the most that two systems share, and the systems all that have these.
    """
    pairs = combinations(scores.values(), 2)
    conditions = max(([condition for condition in a if condition in b] for a, b in pairs), key=len, default=[])
    systems = {name: of for name, of in scores.items() if set(conditions) <= of.keys()}
    return (conditions, systems) if len(conditions) > 1 else None


def _of_condition(condition: Condition, scores: Mapping[str, Array]) -> Table:
    ranked = sorted(scores, key=lambda name: -float(interquartile_mean(scores[name])))
    best, *others = ranked
    rows = [_row(best, [scores[best]], ("", None), ("", None))]
    for name in others:
        found = improvement(scores[best], scores[name])
        assert found is not None
        range_ = f"{found.low:.2f} to {found.high:.2f}"
        rows.append(_row(name, [scores[name]], (f"{found.probability:.2f}", found.probability), (range_, None)))
    return Table(
        name=f"robust-{condition.heading}",
        title=f"Robust measures: {condition.heading}",
        caption=(
            f"Test F1. {_WHAT}P: how likely a seed of the first row is above one of this (ties count half), with "
            "Newcombe's 95 % interval, of new seeds on these documents. It describes; what may be claimed is told by "
            "the tests."
        ),
        columns=_columns("P(first > this)", "P: 95 %"),
        rows=tuple(rows),
    )


def _over_all(conditions: Sequence[Condition], scores: Scores) -> Table:
    def all_of(name: str) -> list[Array]:
        return [scores[name][condition] for condition in conditions]

    ranked = sorted(scores, key=lambda name: -float(interquartile_mean(evenly(all_of(name)))))
    best, *others = ranked
    rows = [_row(best, all_of(best), ("", None), ("", None))]
    for name in others:
        each = [probability_of_improvement(scores[best][c], scores[name][c]) for c in conditions]
        mean = float(np.mean(each))
        wins = f"{sum(p > 0.5 for p in each)} of {len(each)}"
        rows.append(_row(name, all_of(name), (f"{mean:.2f}", mean), (wins, None)))
    listed = "; ".join(str(condition) for condition in conditions)
    return Table(
        name="robust-all",
        title=f"Robust measures: {len(conditions)} conditions together",
        caption=(
            f"Test F1 of all seeds of {listed}. Each condition counts alike, however many seeds it has. {_WHAT}P: how "
            "likely a seed of the first row is above one of this, a mean over the conditions, and in how many of them "
            "that is more likely than not."
        ),
        columns=_columns("P(first > this)", "More likely in"),
        rows=tuple(rows),
    )


def _columns(*last: str) -> tuple[Column, ...]:
    numeric = {"Seeds", "Mean ± std", "IQM", last[0]}
    return tuple(
        Column(title, numeric=title in numeric) for title in ("Model", "Seeds", "Mean ± std", "IQM", "IQM: 95 %", *last)
    )


def _row(name: str, tasks: Sequence[Array], *last: tuple[str, float | None]) -> TableRow:
    scores, seeds = evenly(tasks), sum(map(len, tasks))
    summary, middle = summarize(scores.tolist()), float(interquartile_mean(scores))
    interval = interquartile_interval(tasks)
    std = "" if len(tasks) > 1 or summary.std is None else f" ± {points(summary.std)}"
    cells = [
        TableCell(name, name),
        TableCell(str(seeds), seeds),
        TableCell(f"{points(summary.mean)}{std}", summary.mean),
        TableCell(points(middle), middle),
        TableCell(MISSING if interval is None else f"{points(interval[0])} to {points(interval[1])}"),
        *(TableCell(text, value) for text, value in last),
    ]
    return TableRow(tuple(cells))
