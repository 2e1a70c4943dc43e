"""Which rows of a table are best, by the paper's rule and by a test; and how a value stands to a published one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from bench.analysis import stats
from bench.analysis.comparison import ALPHA
from bench.analysis.published import Printed
from bench.analysis.stats import Summary
from bench.points import points

NOT_WORSE = "†"
BETTER_THAN_ALL = "‡"

RULES = (
    "Bold: the best row of its block, or within one standard deviation (the best row's) of it, as in the paper. "
    f"{BETTER_THAN_ALL}: better than every other row of the block. {NOT_WORSE}: no row of the block is shown to be "
    "better, which does not show that none is. Both by Welch's t tests over seeds at "
    f"{ALPHA}, Holm-corrected over all pairs of rows of the block, each column by itself; rows of one seed are not "
    "tested and get neither. That other documents would bear it out is not claimed (bench compare tests it)."
)
AGAINST_PUBLISHED = (
    "Differences are ours minus the published value, with the 95 % interval of Welch's t from the two means, "
    "deviations and numbers of seeds. compatible: the interval holds 0. differs: it does not (of 20 cells without any "
    "difference one would still be called so: they are not corrected for their number)."
)


@dataclass(frozen=True)
class Verdict:
    """Of one row in one column. bold: by the paper's rule.   mark: by the test."""

    bold: bool = False
    mark: Literal["", "†", "‡"] = ""


def verdicts(rows: Sequence[Sequence[float]]) -> list[Verdict]:
    """For each row, with one score per seed (none: the row is not there), what may be said of it beside the others."""
    scored = [i for i, values in enumerate(rows) if values]
    if len(scored) < 2:
        return [Verdict()] * len(rows)
    summaries = {i: stats.summarize(rows[i]) for i in scored}
    best = max(summaries.values(), key=lambda summary: summary.mean)
    worse_than, compared = _worse_than(summaries)
    of_rows = []
    for i in range(len(rows)):
        if i not in summaries:
            of_rows.append(Verdict())
            continue
        beats_all = all(i in worse_than[other] for other in scored if other != i)
        tested = i in compared
        mark: Literal["", "†", "‡"] = "‡" if beats_all else "†" if tested and not worse_than[i] else ""
        of_rows.append(Verdict(summaries[i].mean >= best.mean - (best.std or 0.0), mark))
    return of_rows


def _worse_than(summaries: dict[int, Summary]) -> tuple[dict[int, set[int]], set[int]]:
    """For each row, those that are shown to be better than it; and the rows that were tested against any."""
    tested = [
        (a, b, test)
        for a, b in combinations(summaries, 2)
        if (test := stats.welch_of_summaries(summaries[a], summaries[b])) is not None
    ]
    adjusted = stats.holm([test.p for _, _, test in tested])
    better_than: dict[int, set[int]] = {i: set() for i in summaries}
    for (a, b, test), p in zip(tested, adjusted, strict=True):
        if p < ALPHA:
            worse, better = (b, a) if test.difference > 0 else (a, b)
            better_than[worse].add(better)
    return better_than, {i for a, b, _ in tested for i in (a, b)}


@dataclass(frozen=True)
class Against:
    """Ours beside a published value, in points. low, high, p: None where it cannot be tested."""

    difference: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def verdict(self) -> Literal["compatible", "differs", "untested"]:
        """Whether the interval of the difference holds 0."""
        if self.p is None:
            return "untested"
        return "differs" if self.p < ALPHA else "compatible"


def against(ours: Sequence[float], published: Printed, seeds: int | None) -> Against:
    """ours: one score per seed, at least one.   seeds: how many the published value claims to be over."""
    mine = stats.summarize(ours)
    theirs = Summary(float(published.mean), None if published.std is None else float(published.std), seeds or 0)
    test = stats.welch_of_summaries(mine, theirs)
    difference = mine.mean - theirs.mean
    return Against(difference, test.low, test.high, test.p) if test else Against(difference, None, None, None)


def signed(number: float) -> str:
    """`+1.20`, `−0.35`: with a minus that is as wide as a plus."""
    return points(number, "+").replace("-", "−")
