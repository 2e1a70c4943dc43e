"""What may be claimed: in each place the best row of the test set against every other, as `bench compare` does it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.claims import claim
from bench.analysis.comparison import Comparison, Question, adjusted
from bench.analysis.stats import Bootstrap, Welch
from bench.analysis.systems import System, Systems
from bench.errors import UsageError
from bench.report.table import MISSING, Cell, Column, Row, Table
from bench.report.tables.verdicts import signed

RESAMPLES = 2_000
MOST_PLACES = 6
MOST_RIVALS = 8
"""Of a place, those that come nearest to its best: a comparison takes a tenth of a second."""


def comparison_tables(groups: Sequence[tuple[str, Sequence[System]]]) -> Iterator[Table]:
    """One for each place, of at least two systems with the test set's labels. groups: what a place is called."""
    for place, systems in groups[:MOST_PLACES]:
        there = [system for system in systems if system.values("test", "f1")]
        ranked = sorted(there, key=lambda system: -_mean(system))[: MOST_RIVALS + 1]
        if len(ranked) > 1:
            made = _best_against(ranked)
            if made:
                yield _table(place, made, len(there) - len(ranked))


def _mean(system: System) -> float:
    values = system.values("test", "f1")
    return sum(values) / len(values)


def _best_against(ranked: Sequence[System]) -> list[Comparison]:
    """The first against each of the rest, adjusted together; none of those that cannot be compared with it."""
    systems = Systems([system.cell for system in ranked], None, Question(resamples=RESAMPLES))
    made: list[Comparison] = []
    for other in ranked[1:]:
        try:
            made += systems.pair(_full_name(ranked[0]), _full_name(other))
        except UsageError:  # scored on other documents: the tables of results say so
            continue
    return adjusted(made)


def _full_name(system: System) -> str:
    """With the configuration: a name may be that of several."""
    plan = system.plan
    return f"{plan.model}{f':{plan.variant}' if plan.variant else ''}#{plan.configuration}"


def _table(place: str, comparisons: Sequence[Comparison], left_out: int) -> Table:
    rows = []
    for made in comparisons:
        difference = made.difference
        cells = [
            *(Cell(side.name, side.name) for side in (made.a, made.b)),
            Cell(MISSING) if difference is None else Cell(signed(difference), difference),
            _interval(made.welch, made.holm.get("welch")),
            _interval(made.bootstrap, made.holm.get("randomization")),
            Cell(claim(made)),
        ]
        rows.append(Row(tuple(cells)))
    titles = ("Best", "Other", "Difference", "Over seeds", "Over documents", "What may be claimed")
    more = f" {left_out} rows further down are left out." if left_out else ""
    return Table(
        name=f"claims-{place}",
        title=f"What may be claimed: {place}",
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


def _interval(tested: Welch | Bootstrap | None, p: float | None) -> Cell:
    if tested is None or p is None:
        return Cell(MISSING)
    shown = "p < 0.001" if p < 0.001 else f"p {p:.3f}"
    return Cell(f"[{signed(tested.low)}, {signed(tested.high)}], {shown}", p)
