"""In which part of the triples two systems differ, and whether in one part more than in another.

    python benchmarks/slices.py "ttmre (layers=1)" "ttmre (layers=4)" --setting human --out results

Of each slice (frequent relations and the rest, pairs within a sentence and across, documents by their entities) the
scores of both systems and their difference by Welch's test, with p values adjusted for the number of slices (Holm).
Below them, of two slices that make up the whole, how much more the systems differ in one than in the other: each run's
two scores are taken from each other first, since they are of the same model.
A slice's precision divides by the predictions in the slice (`--protocol strict`) or, as TTM-RE's program has it, by all
predictions (released). Records hold no counts by slice and document, so all of this is over seeds: of these documents,
not of others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.analysis import stats
from bench.analysis.aggregate import ALL, PROTOCOL_PREFIXES, load_cells
from bench.analysis.comparison import Comparison, Question
from bench.analysis.metrics import COUNTED, METRICS
from bench.analysis.pairing import Pairing
from bench.analysis.systems import System
from bench.errors import BenchError
from bench.points import points, points_and_std

PAIRS = (
    ("all_but_top_5", "top_5"), ("all_but_top_10", "top_10"), ("below_25th_percentile", "not_below_25th_percentile"),
    ("inter", "intra"),
)  # fmt: skip
"""Slices that together are the whole; the one that a memory is said to help with comes first."""

Rows = dict[str, tuple[list[float], list[float]]]
"""By name what is known of either system, one number per seed, in percent."""


class Scored(NamedTuple):
    """How a slice is scored: the metric, and what its precision divides by."""

    metric: str
    protocol: str


def slices_of(system: System, scored: Scored) -> list[str]:
    """The slices of test that the records have, in their order."""
    own, others = PROTOCOL_PREFIXES[scored.protocol], [p for p in PROTOCOL_PREFIXES.values() if p]
    found = (s.slice for s in system.cell.scores if (s.split, s.metric) == ("test", scored.metric) and s.slice != ALL)
    if own:
        return [name.removeprefix(own) for name in found if name.startswith(own)]
    return [name for name in found if not name.startswith(tuple(others))]


def by_seed(system: System, scored: Scored, name: str) -> dict[int, float]:
    """The scores of a slice of test; empty where the records have none."""
    score = system.score("test", scored.metric, PROTOCOL_PREFIXES[scored.protocol] + name)
    return {int(seed): value for seed, value in score.seeds.items()} if score else {}


def gained(system: System, scored: Scored, one: str, other: str) -> list[float]:
    """Of each seed that has both, how much higher it scores in one slice than in the other."""
    of_one, of_other = by_seed(system, scored, one), by_seed(system, scored, other)
    return [of_one[seed] - of_other[seed] for seed in of_one if seed in of_other]


def scores_by_slice(a: System, b: System, scored: Scored) -> Rows:
    """Of each slice that both systems have, their scores."""
    names = slices_of(a, scored)
    return _of_both({name: [list(by_seed(system, scored, name).values()) for system in (a, b)] for name in names})


def gains_by_pair(a: System, b: System, scored: Scored) -> Rows:
    """Of each two slices that make up the whole, how much higher the runs of both systems score in the first."""
    return _of_both({" less ".join(pair): [gained(system, scored, *pair) for system in (a, b)] for pair in PAIRS})


def _of_both(found: dict[str, list[list[float]]]) -> Rows:
    return {name: (of_a, of_b) for name, (of_a, of_b) in found.items() if of_a and of_b}


def lines(rows: Rows) -> Iterator[str]:
    """A Markdown table of Welch's tests, the p values adjusted for their number."""
    tests = {name: stats.welch(of_a, of_b) for name, (of_a, of_b) in rows.items()}
    p = {name: test.p for name, test in tests.items() if test}
    adjusted = dict(zip(p, stats.holm(list(p.values())), strict=True))
    yield f"| | A | B | A - B | 95 % | p | p, Holm over {len(p)} |\n|---|---|---|---|---|---|---|"
    for name, (of_a, of_b) in rows.items():
        test, difference = tests[name], np.mean(of_a) - np.mean(of_b)
        told = [points(float(difference), "+"), "", "", ""]  # of one seed, or of scores that are all alike
        if test:
            between = " to ".join(points(end, "+") for end in (test.low, test.high))
            told = [points(test.difference, "+"), between, _p(test.p), _p(adjusted[name])]
        yield f"| {name} | {_shown(of_a)} | {_shown(of_b)} | {' | '.join(told)} |"


def _shown(values: Sequence[float]) -> str:
    mean, std, _ = stats.summarize(values)
    return points_and_std(mean, std)


def _p(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--setting")
    parser.add_argument("--metric", choices=[metric.name for metric in COUNTED], default="f1")
    parser.add_argument("--protocol", choices=PROTOCOL_PREFIXES, default="strict")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    try:
        pairing = Pairing(load_cells(options.out), None, Question())
        pairing.limit(None, options.setting, None)
        comparisons: list[Comparison] = pairing.pair(options.a, options.b)
    except BenchError as error:
        raise SystemExit(f"slices.py: {error}") from None
    scored = Scored(options.metric, options.protocol)
    if not any(scores_by_slice(compared.a, compared.b, scored) for compared in comparisons):
        raise SystemExit(f"slices.py: the records of these two have no slices ({options.protocol})")
    for compared in comparisons:
        a, b = compared.a, compared.b
        print(f"{compared.condition}: test {METRICS[options.metric].label} by slice ({options.protocol}), percent")
        print(f"A: {a.name}, {a.seeds} seeds; B: {b.name}, {b.seeds} seeds\n")
        for rows in (scores_by_slice(a, b, scored), gains_by_pair(a, b, scored)):
            print("\n".join(lines(rows)) + "\n")


if __name__ == "__main__":
    main()
