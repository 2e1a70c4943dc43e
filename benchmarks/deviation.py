"""What the deviation of a table is made of: first weights, order of documents, dropout, of what a seed draws.

    python benchmarks/deviation.py atlop --setting human --out results

It reads the records of one model in which `order_seed` and `dropout_seed` were set, and those in which they were not:
a run is then three seeds, of which the run's own draws the first weights. Runs that agree in two of the three show
what the third varies by; the variance within such groups is pooled over them (of pairs: half the mean square of their
differences, the total effect of Jansen, 1999). Runs whose three are equal show what a table calls ±, in which all vary
at once. The parts add up to it only if none matters more or less with other draws of the rest; else to more.
All of them have to be trained on one kind of processor: another adds up in another order, which is one more draw.
Variances of a handful of runs are known badly, so each has its interval (chi-squared, 95 %, of normal scores). The rows
have runs in common, so their errors are not independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from runs_of_model import arguments, finished_runs, in_common
from scipy.stats import chi2

from bench.analysis.metrics import METRICS, Metric
from bench.analysis.stats import CONFIDENCE
from bench.errors import BenchError, UsageError, plural
from bench.points import points
from bench.runs.plan import RunPlan

DRAWN = ("first weights", "order of documents", "dropout")
ALL_THREE = "all three, as in a table"
ANY = -1
"""In the place of a seed that may be any."""


class Seeds(NamedTuple):
    """The seeds of one run."""

    weights: int
    order: int
    dropout: int


class Deviation(NamedTuple):
    """Standard deviation, in percent, with so many degrees of freedom, and its interval; None where there are none."""

    df: int
    std: float | None
    interval: tuple[float, float] | None


def pooled(groups: Iterable[Sequence[float]]) -> Deviation:
    """The deviation within groups of scores, in percent: what varies within is the same in all."""
    several = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    df = sum(len(group) - 1 for group in several)
    if not df:
        return Deviation(0, None, None)
    std = float(sum(((group - group.mean()) ** 2).sum() for group in several) / df) ** 0.5
    low, high = chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], df)
    return Deviation(df, std, (std * (df / low) ** 0.5, std * (df / high) ** 0.5))


def by_what_was_drawn(scores: Mapping[Seeds, float]) -> dict[str, Deviation]:
    """Of each of `DRAWN` the deviation of runs that differ in it alone, and of runs with three equal seeds."""
    found = {}
    for name, field in zip(DRAWN, Seeds._fields, strict=True):
        groups: dict[Seeds, list[float]] = {}
        for seeds, score in scores.items():
            groups.setdefault(seeds._replace(**{field: ANY}), []).append(score)
        found[name] = pooled(groups.values())
    return {**found, ALL_THREE: pooled([[score for seeds, score in scores.items() if len(set(seeds)) == 1]])}


def seeds_of(plan: RunPlan) -> Seeds | None:
    """None for a run whose stages were drawn differently, or that was not trained here."""
    drawn = {(stage.order_seed, stage.dropout_seed) for stage in plan.stages}
    if plan.origin != "trained" or len(drawn) != 1:
        return None
    return Seeds(plan.seed, *drawn.pop())


def read_scores(out: Path, model: str, setting: str, metric: Metric) -> dict[str, dict[Seeds, float]]:
    """Test scores in percent, by what the runs have in common but for those seeds. Raises UsageError.

    Two runs with the same three seeds are one run (a seed that is set to what it is anyway has a key of its own).
    """
    found: dict[str, dict[Seeds, float]] = {}
    for plan, record in finished_runs(out, model, setting):
        seeds = seeds_of(plan)
        score = metric.of_split(record.splits["test"]) if "test" in record.splits else None
        if seeds is None or score is None:
            continue
        common = in_common(plan.with_training(order_seed=None, dropout_seed=None))
        earlier = found.setdefault(common, {}).setdefault(seeds, score)
        if earlier != score:
            raise UsageError(f"{common}: two runs with {seeds} have {earlier} and {score}, and should be one")
    return found


def main() -> None:
    options = arguments(__doc__)
    try:
        found = read_scores(options.out, options.model, options.setting, METRICS[options.metric])
    except BenchError as error:
        raise SystemExit(f"deviation.py: {error}") from None
    if not found:
        raise SystemExit(f"deviation.py: no finished run of {options.model} in {options.setting} in {options.out}")
    for common, scores in found.items():
        print(f"{options.model}, {common}, {plural(len(scores), 'run')}: {METRICS[options.metric].label}\n")
        print("| what was drawn | degrees of freedom | std | 95 % |\n|---|---|---|---|")
        for name, (df, std, interval) in by_what_was_drawn(scores).items():
            known = [points(std), " to ".join(map(points, interval))] if std is not None and interval else ["", ""]
            print(f"| {name} | {df} | {' | '.join(known)} |")
        print()


if __name__ == "__main__":
    main()
