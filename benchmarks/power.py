"""How large a difference of two systems would have been found: by simulation, from the variances of their records.

    python benchmarks/power.py "ttmre (layers=1)" "ttmre (layers=4)" --out results --seeds 5,10,20

Experiments are drawn again and again in which the second system is better by so many points of test F1: a score of
each seed from a normal distribution with the standard deviation that the system's seeds had, and one error that all
seeds share, since they are tested on the same documents, with the standard error that the paired bootstrap over
documents found. Each experiment is tested as `bench compare` tests one (over seeds and documents together, p < 0.05).
What is told is the share of experiments in which the difference is found, and the one that is found four times in five;
beside it what `bench compare` tells of that, which is worked out, not drawn, and what it would be if the deviations
were those at the ends of their intervals: of a few seeds they are badly known.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from deviation import pooled

from bench.analysis import stats
from bench.analysis.aggregate import load_cells
from bench.analysis.comparison import ALPHA, Question
from bench.analysis.pairing import Pairing
from bench.analysis.stats import Bootstrap, Summary
from bench.errors import BenchError

SHIFTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0)
"""Points of F1 that the second system is better by; at 0 the share is how often a difference is claimed wrongly."""


def shares(deviations: Sequence[float], bootstrap: Bootstrap, seeds: int, trials: int) -> list[float]:
    """The share of `trials` experiments with so many seeds of each system that find each of `SHIFTS`.

    deviations: of the two systems' scores over seeds.   bootstrap: over documents; that of an experiment is about the
    same, whatever the shift is.
    """
    generator = np.random.default_rng(0)
    of_seeds = [generator.normal(0, deviation, (trials, seeds)) for deviation in deviations]
    of_documents = generator.normal(0, bootstrap.error, trials)
    found = []
    for shift in SHIFTS:
        tests = (
            stats.over_both(stats.welch(a.tolist(), (b + shift + error).tolist()), bootstrap)
            for a, b, error in zip(*of_seeds, of_documents, strict=True)
        )
        found.append(float(np.mean([test is not None and test.p < ALPHA for test in tests])))
    return found


def four_in_five(found: list[float]) -> str:
    """The shift that is found with the power of `bench compare`, interpolated between those that were tried."""
    if found[-1] < stats.POWER:
        return f"over {SHIFTS[-1]}"
    return f"{np.interp(stats.POWER, np.maximum.accumulate(found), SHIFTS):.1f}"


def as_far_as_known(scores: Sequence[Sequence[float]], bootstrap: Bootstrap) -> list[float]:
    """The shift found four times in five with deviations at the lower and at the upper ends of their 95 % intervals.

    scores: of the seeds of either system, two or more, in percent.
    """
    intervals = [pooled([of_system]).interval or (0.0, 0.0) for of_system in scores]
    found = []
    for deviations in zip(*intervals, strict=True):
        a, b = (Summary(0.0, std, len(seeds)) for std, seeds in zip(deviations, scores, strict=True))
        both = stats.over_both(stats.welch_of_summaries(a, b), bootstrap)
        found.append(stats.detectable(both) if both else float("nan"))
    return found


def at_least_two(text: str) -> list[int]:
    """Numbers of seeds that can be tested."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 2:
        raise argparse.ArgumentTypeError("whole numbers above 1")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seeds", type=at_least_two, default=[5, 10, 20], metavar="N,...")
    parser.add_argument("--trials", type=int, default=4000)
    options = parser.parse_args()
    if options.trials < 100:
        parser.error("--trials: at least 100")
    try:
        comparisons = Pairing(load_cells(options.out), None, Question()).pair(options.a, options.b)
    except BenchError as error:
        raise SystemExit(f"power.py: {error}") from None
    for compared in comparisons:
        if compared.both is None or compared.bootstrap is None or compared.welch is None:
            print(f"{compared.condition}: two seeds of each are needed, on the same documents\n")
            continue
        scores = [system.values("test", "f1") for system in (compared.a, compared.b)]
        low, high = as_far_as_known(scores, compared.bootstrap)
        print(
            f"{compared.condition}: test F1, {compared.a.seeds} and {compared.b.seeds} seeds. Standard error over "
            f"seeds {compared.welch.error:.2f}, over documents {compared.bootstrap.error:.2f}; "
            f"found four times in five, worked out: {stats.detectable(compared.both):.1f} "
            f"({low:.1f} to {high:.1f} with deviations at the ends of their intervals)\n"
        )
        deviations = [stats.sample_std(of_system) or 0.0 for of_system in scores]
        print(f"| seeds | {' | '.join(f'{shift:g}' for shift in SHIFTS)} | four times in five |")
        print(f"|---|{'---|' * len(SHIFTS)}---|")
        for seeds in options.seeds:
            found = shares(deviations, compared.bootstrap, seeds, options.trials)
            print(f"| {seeds} | {' | '.join(f'{100 * s:.0f}' for s in found)} | {four_in_five(found)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
