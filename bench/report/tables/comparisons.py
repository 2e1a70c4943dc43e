"""Comparisons as tables: every test of two systems, and what may be claimed of the best row against every other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.claims import claim
from bench.analysis.comparison import Comparison, Question, Test, adjusted, compare, most_alike
from bench.analysis.robust import Improvement
from bench.analysis.stats import Bootstrap, OverBoth, Permutation, Randomization, Welch
from bench.analysis.systems import Condition, System, systems_of, told_apart
from bench.errors import plural
from bench.points import points, points_and_std
from bench.report.table import MISSING, Column, Line, Table, TableCell, TableRow
from bench.report.tables.verdicts import signed

RESAMPLES = 2_000
MOST_CONDITIONS = 6
MOST_RIVALS = 8
"""Of a condition, those that come nearest to its best: a comparison takes a tenth of a second."""


def claims_tables(groups: Sequence[tuple[Condition, Sequence[System]]]) -> Iterator[Table]:
    """One for each condition in which at least two systems have the test set's labels."""
    for condition, systems in groups[:MOST_CONDITIONS]:
        scored = [system for system in systems if system.values("test", "f1")]
        alike = most_alike(Question(), sorted(scored, key=lambda system: -_mean(system)))
        ranked = alike[: MOST_RIVALS + 1]
        comparisons = _best_against(condition, ranked)
        if comparisons:
            yield _claims_table(condition, comparisons, len(alike) - len(ranked), len(scored) - len(alike))


def _mean(system: System) -> float:
    values = system.values("test", "f1")
    return sum(values) / len(values)


def _best_against(condition: Condition, ranked: Sequence[System]) -> list[Comparison]:
    """The first against each of the rest, adjusted together."""
    question = Question(resamples=RESAMPLES)
    # Named anew: what tells two configurations apart is of no use where only one of them is shown.
    systems = told_apart(systems_of([system.cell for system in ranked]))
    return adjusted([compare(condition, question, systems[0], other) for other in systems[1:]])


def _claims_table(condition: Condition, comparisons: Sequence[Comparison], left_out: int, unlike: int) -> Table:
    rows = []
    for comparison in comparisons:
        difference = comparison.difference
        cells = [
            *(TableCell(system.name, system.name) for system in (comparison.a, comparison.b)),
            TableCell(MISSING) if difference is None else TableCell(signed(difference), difference),
            _interval(comparison, "welch", "welch"),
            _interval(comparison, "bootstrap", "randomization"),
            _interval(comparison, "both", "both"),
            TableCell(claim(comparison)),
        ]
        rows.append(TableRow(tuple(cells)))
    titles = ("Best", "Other", "Difference", "Over seeds", "Over documents", "Over both", "What may be claimed")
    further = "1 row further down is" if left_out == 1 else f"{left_out} rows further down are"
    corrected = f" p values are Holm's over these {len(comparisons)} comparisons; intervals are of each by itself."
    holm = corrected if len(comparisons) > 1 else ""
    more = f" {further} left out." if left_out else ""
    more += f" {plural(unlike, 'row')} of other documents or another metric left out." if unlike else ""
    return Table(
        name=f"claims-{condition.heading}",
        title=f"What may be claimed: {condition.heading}",
        caption=(
            "The row with the best test F1 against each other one. Over seeds: 95 % interval and p of Welch's t. Over "
            "documents: 95 % interval of the paired bootstrap, p of approximate randomization, "
            f"{RESAMPLES:,} resamples (bench compare takes more). Over both: seeds and documents drawn anew."
            f"{holm}{more}"
        ),
        columns=tuple(Column(title, numeric=title == "Difference") for title in titles),
        rows=tuple(rows),
        notes=(
            "The best row was found by the same numbers, which makes its lead over close rivals look larger than it "
            "is: ‡ and † in the tables of results are corrected for that, over all pairs.",
        ),
    )


def _interval(comparison: Comparison, interval: Test, test: Test) -> TableCell:
    """The 95 % interval of one test with the adjusted p of another of the same question."""
    found, p = comparison.test(interval), comparison.holm.get(test)
    if p is None or not isinstance(found, Welch | Bootstrap | OverBoth):
        return TableCell(MISSING)
    return TableCell(
        f"[{signed(found.low)}, {signed(found.high)}], p {_below(p, 3, _is_sampled_floor(comparison, test))}", p
    )


def tests_table(condition: Condition, comparisons: Sequence[Comparison]) -> Table:
    """Every test of each comparison of one condition: intervals, and under each the p values of tests of the same."""
    question = comparisons[0].question
    rows = []
    for comparison in comparisons:
        difference = comparison.difference
        seeds = [
            *_confidence(comparison.welch),
            *_p(comparison, "welch", "Welch"),
            *_p(comparison, "permutation", "permutation"),
            *_improvement(comparison.improvement),
        ]
        documents = [
            *_confidence(comparison.bootstrap),
            *_p(comparison, "randomization", "randomization"),
            *_p(comparison, "bootstrap", "bootstrap"),
        ]
        cells = [
            *(_in_lines([system.name, *_scored(comparison, system)]) for system in (comparison.a, comparison.b)),
            TableCell(MISSING) if difference is None else _difference(comparison, difference),
            _in_lines(seeds or [MISSING]),
            _in_lines(documents or [MISSING]),
        ]
        rows.append(TableRow(tuple(cells)))
    titles = ("A", "B", "A - B", "Over seeds", "Over documents")
    title = f"{condition}: {question.title}, percent"
    columns = tuple(Column(heading, numeric=heading == "A - B") for heading in titles)
    return Table(f"tests-{condition.heading}", title, "", columns, tuple(rows))


def _difference(comparison: Comparison, difference: float) -> TableCell:
    """The difference, and under it what seeds and documents together say of it."""
    over_both = [*_confidence(comparison.both), *_p(comparison, "both", "both")]
    return _in_lines([points(difference, "+"), *over_both], difference)


def _in_lines(lines: Sequence[str], value: float | None = None) -> TableCell:
    first, *others = lines
    return TableCell(first, value, under=tuple(Line("", line) for line in others))


def _scored(comparison: Comparison, system: System) -> list[str]:
    """What a system scored, and over how many seeds: `48.21 ± 0.62 (4 of 5 seeds*)`; and its interquartile mean."""
    summary = comparison.summary(system)
    if summary is None:
        return [f"{MISSING} (0 of {system.expected} seeds)"]
    score = points_and_std(summary.mean, summary.std)
    if system.published:
        return [score + ("" if system.expected is None else f" ({system.expected} seeds claimed)")]
    asked = comparison.question.split, comparison.question.metric
    middle = system.interquartile_mean(*asked)
    iqm = [] if middle is None else [f"IQM {points(middle)}"]
    return [f"{score} ({system.seeds_with(*asked)} seeds{'*' if system.is_partial(*asked) else ''})", *iqm]


def _improvement(found: Improvement | None) -> list[str]:
    """`P(A > B) 0.96, 95 % 0.64 to 1.00`: of a seed of each."""
    return [] if found is None else [f"P(A > B) {found.probability:.2f}, 95 % {found.low:.2f} to {found.high:.2f}"]


def _confidence(tested: Welch | Bootstrap | OverBoth | None) -> list[str]:
    return [] if tested is None else [f"95 % {points(tested.low, '+')} to {points(tested.high, '+')}"]


def _p(comparison: Comparison, test: Test, title: str) -> list[str]:
    """The p of a test and the adjusted one, as a line; none where the test could not be done.

    Where it is the smallest that the test can give, that is told: of a resampling test as what it is below.
    """
    found = comparison.test(test)
    if found is None:
        return []
    sampled = _is_sampled_floor(comparison, test)
    shown = f"< 1/{1 / found.p - 1:,.0f}" if sampled else _below(found.p, 4)
    adjusted_p = f", Holm {_below(comparison.holm[test], 4, sampled)}" if comparison.family > 1 else ""
    lowest = isinstance(found, Permutation) and found.exact and found.p <= found.floor
    return [f"{title} p {shown}{adjusted_p}{' (lowest possible)' if lowest else ''}"]


def _is_sampled_floor(comparison: Comparison, test: Test) -> bool:
    """Whether p is as small as the resamples of a test can make it: it is below that, and nobody knows how far."""
    found = comparison.test(test)
    exact = isinstance(found, Permutation) and found.exact
    return isinstance(found, Permutation | Bootstrap | Randomization) and not exact and found.p <= found.floor


def _below(p: float, digits: int, is_bound: bool = False) -> str:
    """`0.0312`, or what p is below: where it is a bound, and where it has no digit to show."""
    smallest = 10.0**-digits
    return f"< {smallest:.{digits}f}" if p < smallest else f"{'< ' * is_bound}{p:.{digits}f}"
