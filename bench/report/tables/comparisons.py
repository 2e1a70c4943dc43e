"""Comparisons as tables: every test of two systems, and what may be claimed of the best row against every other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.claims import claim
from bench.analysis.comparison import Comparison, Question, Test, adjusted, compare
from bench.analysis.stats import Bootstrap, Welch
from bench.analysis.systems import Condition, System, systems_of
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
        ranked = sorted(scored, key=lambda system: -_mean(system))[: MOST_RIVALS + 1]
        comparisons = _best_against(condition, ranked)
        if comparisons:
            yield _claims_table(condition, comparisons, len(scored) - len(ranked))


def _mean(system: System) -> float:
    values = system.values("test", "f1")
    return sum(values) / len(values)


def _best_against(condition: Condition, ranked: Sequence[System]) -> list[Comparison]:
    """The first against each of the rest, adjusted together; none of those that cannot be compared with it."""
    question = Question(resamples=RESAMPLES)
    # Named anew: what tells two configurations apart is of no use where only one of them is shown.
    systems = systems_of([system.cell for system in ranked])
    comparisons = [compare(condition, question, systems[0], other) for other in systems[1:]]
    return adjusted([comparison for comparison in comparisons if comparison.comparable])


def _claims_table(condition: Condition, comparisons: Sequence[Comparison], left_out: int) -> Table:
    rows = []
    for comparison in comparisons:
        difference = comparison.difference
        cells = [
            *(TableCell(system.name, system.name) for system in (comparison.a, comparison.b)),
            TableCell(MISSING) if difference is None else TableCell(signed(difference), difference),
            _interval(comparison.welch, comparison.holm.get("welch")),
            _interval(comparison.bootstrap, comparison.holm.get("randomization")),
            TableCell(claim(comparison)),
        ]
        rows.append(TableRow(tuple(cells)))
    titles = ("Best", "Other", "Difference", "Over seeds", "Over documents", "What may be claimed")
    further = "1 row further down is" if left_out == 1 else f"{left_out} rows further down are"
    more = f" {further} left out." if left_out else ""
    return Table(
        name=f"claims-{condition.heading}",
        title=f"What may be claimed: {condition.heading}",
        caption=(
            "The row with the best test F1 against each other one. Over seeds: 95 % interval and p of Welch's t. Over "
            "documents: 95 % interval of the paired bootstrap, p of approximate randomization, "
            f"{RESAMPLES:,} resamples (bench compare takes more). p values are Holm's over these {len(comparisons)} "
            f"comparisons; intervals are of each difference by itself.{more}"
        ),
        columns=tuple(Column(title, numeric=title == "Difference") for title in titles),
        rows=tuple(rows),
        notes=(
            "The best row was found by the same numbers, which makes its lead over close rivals look larger than it "
            "is: ‡ and † in the tables of results are corrected for that, over all pairs.",
        ),
    )


def _interval(tested: Welch | Bootstrap | None, p: float | None) -> TableCell:
    if tested is None or p is None:
        return TableCell(MISSING)
    shown = "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    return TableCell(f"[{signed(tested.low)}, {signed(tested.high)}], {shown}", p)


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
        ]
        documents = [
            *_confidence(comparison.bootstrap),
            *_p(comparison, "randomization", "randomization"),
            *_p(comparison, "bootstrap", "bootstrap"),
        ]
        cells = [
            *(_in_lines([system.name, _scored(comparison, system)]) for system in (comparison.a, comparison.b)),
            TableCell(MISSING) if difference is None else TableCell(f"{difference:+.2f}", difference),
            _in_lines(seeds or [MISSING]),
            _in_lines(documents or [MISSING]),
        ]
        rows.append(TableRow(tuple(cells)))
    titles = ("A", "B", "A - B", "Over seeds", "Over documents")
    title = f"{condition}: {question.title}, percent"
    columns = tuple(Column(heading, numeric=heading == "A - B") for heading in titles)
    return Table(f"tests-{condition.heading}", title, "", columns, tuple(rows))


def _in_lines(lines: Sequence[str]) -> TableCell:
    first, *others = lines
    return TableCell(first, under=tuple(Line("", line) for line in others))


def _scored(comparison: Comparison, system: System) -> str:
    """What a system scored, and over how many seeds: `48.21 ± 0.62 (4 of 5 seeds*)`."""
    summary = comparison.summary(system)
    if summary is None:
        return f"{MISSING} (0 of {system.expected} seeds)"
    score = f"{summary.mean:.2f}" + ("" if summary.std is None else f" ± {summary.std:.2f}")
    if system.published:
        return score + ("" if system.expected is None else f" ({system.expected} seeds claimed)")
    return f"{score} ({system.seeds} seeds{'*' if system.partial else ''})"


def _confidence(tested: Welch | Bootstrap | None) -> list[str]:
    return [] if tested is None else [f"95 % {tested.low:+.2f} to {tested.high:+.2f}"]


def _p(comparison: Comparison, test: Test, title: str) -> list[str]:
    """The p of a test and the adjusted one, as a line; none where the test could not be done."""
    if test not in comparison.p:
        return []
    permutation = comparison.permutation
    lowest = test == "permutation" and permutation is not None and permutation.p <= permutation.floor
    adjusted_p = f", Holm {_shown(comparison.holm[test])}" if comparison.family > 1 else ""
    return [f"{title} p {_shown(comparison.p[test])}{adjusted_p}{' (lowest possible)' if lowest else ''}"]


def _shown(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
