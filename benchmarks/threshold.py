"""What its own threshold costs a model: test F1 as it decides, and with the threshold moved as dev labels have it.

    python benchmarks/threshold.py --setting human --out results
    python benchmarks/threshold.py --setting ext --predicted 3000 --out results

One number for all pairs and relations is added to what a model compares its logits with: the one by which F1 is best on
dev, or with `--predicted` the one by which about so many triples of dev are predicted. That takes no complete labels
(beyond those that chose the epoch) but a guess of how many there are, such as losses for missing labels make with a
prior multiple. Beside it the best that any such number gives on test, which nobody could choose. A loss that ranks
triples well and draws the line in the wrong place gains by this; one that ranks them worse does not.
It reads the precision-recall curves that runs keep beside their predictions, which an archive has none of. They have
200 points and no limit to the labels of one pair, so what is had by another threshold is known to some tenths of a
point. Where dev labels are complete and those of training are not, dev tells what training cannot.
`examples/moved_threshold.py` is the same, by F1 on dev, as models: they are run, recorded and compared like any other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.analysis.aggregate import Cell, existing_cells
from bench.analysis.stats import summarize
from bench.errors import BenchError
from bench.metrics.arithmetic import harmonic_mean
from bench.points import points_and_std
from bench.runs.names import model_name
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import load_curve

Curve = NDArray[np.float64]
"""[k, 3], points of a precision-recall curve: recall and precision in percent, and the margin, which falls."""


class Moved(NamedTuple):
    """Test F1 of one run, in percent. own: as it decides.   moved: with `by` in the place of a margin of 0.

    best: the highest on its curve.
    """

    own: float
    moved: float
    best: float
    by: float


def move(own: float, by: float, test: Curve) -> Moved:
    """What a run that scores `own` on test scores there by another threshold."""
    return Moved(own, _above(test, by), float(_f1(test).max()), by)


def best_margin(dev: Curve) -> float:
    """The margin by which F1 on dev is best; of several the highest."""
    return float(dev[_f1(dev).argmax(), 2])


def margin_of(predicted: int, dev: Curve, gold: int) -> float:
    """The margin by which the number of predictions on dev, which has `gold` labels, is nearest to `predicted`."""
    recall, precision, margin = dev.T
    return float(margin[np.abs(recall * gold / precision - predicted).argmin()])


def _f1(curve: Curve) -> NDArray[np.float64]:
    return harmonic_mean(curve[:, 0], curve[:, 1])


def _above(curve: Curve, margin: float) -> float:
    """F1 of what has at least this margin, at the last point of the curve that has."""
    count = int((curve[:, 2] >= margin).sum())
    return float(_f1(curve)[count - 1]) if count else 0.0


def moved_runs(cell: Cell, out: Path, predicted: int | None) -> Iterator[Moved]:
    """Of each finished run that has both curves. predicted: how many triples of dev; None for the best F1 there."""
    plans = {plan.seed: plan for plan in cell.plans}
    for record in cell.records:
        folder = RunFolder.of(out, plans[record.seed]).path
        dev, test = load_curve(folder, "dev"), load_curve(folder, "test")
        # Of labels that are no candidates there is a curve without points.
        if record.splits.keys() >= {"dev", "test"} and dev is not None and len(dev) and test is not None and len(test):
            gold = sum(record.splits["dev"].documents.gold)
            by = best_margin(dev) if predicted is None else margin_of(predicted, dev, gold)
            yield move(record.splits["test"].scores.f1, by, test)


def row(cell: Cell, runs: Sequence[Moved]) -> str:
    """One line of the table: means and deviations over the seeds that have curves."""
    plan = cell.plans[0]
    name = model_name(plan.model, plan.variant)
    own, moved, best, by = zip(*runs, strict=True)
    gained = [run.moved - run.own for run in runs]
    scores = [*map(_shown, (own, moved, best)), _shown(gained, "+"), _shown(by, "+")]
    return f"| {name} | {plan.dataset}, {plan.encoder} | {len(runs)} of {cell.expected} | {' | '.join(scores)} |"


def _shown(values: Sequence[float], sign: str = "") -> str:
    mean, std, _ = summarize(values)
    return points_and_std(mean, std, sign)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", default="human")
    parser.add_argument("--predicted", type=int, help="choose by the number of predictions on dev, not by F1 there")
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    try:
        cells = [cell for cell in existing_cells(options.out) if cell.plans[0].setting == options.setting]
    except BenchError as error:
        raise SystemExit(f"threshold.py: {error}") from None
    # The third column of the curve of an import is the score that somebody gave, over a threshold that nobody knows.
    outside = [cell.plans[0].model for cell in cells if cell.plans[0].outside]
    if outside:
        print(f"left out, since no threshold of theirs is known: {', '.join(outside)}", file=sys.stderr)
    cells = [cell for cell in cells if not cell.plans[0].outside]
    rows = [row(cell, runs) for cell in cells if (runs := list(moved_runs(cell, options.out, options.predicted)))]
    if not rows:
        raise SystemExit(f"threshold.py: no finished run in {options.setting} has its curves in {options.out}")
    print("| model | data | seeds | its own | chosen on dev | best on test | gained | moved by |")
    print("|---|---|---|---|---|---|---|---|\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
