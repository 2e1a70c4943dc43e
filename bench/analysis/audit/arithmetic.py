"""Whether the scores of one row can belong to the same predictions.

Silent on all numbers that true counts can give, however they were rounded and however the seeds vary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from bench.analysis.audit.finding import FAR, Finding, Range, show
from bench.analysis.published import Printed, PublishedRow
from bench.metrics.arithmetic import harmonic_mean

ASSUMED_STD = 5.0
"""Points of percent: how far seeds may vary where no deviation is printed."""
ASSUMED_SEEDS = 5
"""How many there may be where the source does not say."""


class _Spread(NamedTuple):
    """What P, R and their deviations over seeds leave open for F1.

    f1: where the mean of F1 must lie.   std: where its deviation must (None: not told by P and R).
    """

    f1: Range
    std: Range | None


def _possible(row: PublishedRow) -> _Spread | None:
    """What the printed P and R leave open for F1; None where one of them is not printed.

    A seed's F1 is H(P, R) = 2PR/(P + R), and the table has means over seeds. H is concave, so the mean F1 lies *below*
    H of the means p and r. How far, exactly: with the tangent plane of H at (p, r), the gap of one seed is
        g = 2 (r P - p R)^2 / ((p + r)^2 (P + R)),   and mean F1 = H(p, r) - mean g.
    Bounds from what is printed: the mean of (r P - p R)^2 is at most (r sP + p sR)^2, and no seed of n is further than
    sqrt(n - 1) deviations from the mean (Samuelson's inequality); both hold whether the deviation was taken with n or
    with n - 1. The deviation of F1 is that of its linear part, which lies between |hP sP - hR sR| and hP sP + hR sR for
    the slopes hP = 2 r^2/(p + r)^2 and hR = 2 p^2/(p + r)^2, give or take that of g.
    """
    if "precision" not in row.scores or "recall" not in row.scores:
        return None
    precision, recall = row.scores["precision"], row.scores["recall"]
    p, r = Range.of(precision.mean), Range.of(recall.mean)
    highest = harmonic_mean(p.high, r.high)
    stds, seeds = [_std(row, score) for score in (precision, recall)], row.seeds or ASSUMED_SEEDS
    off_line = r.high * stds[0].high + p.high * stds[1].high
    least_sum = p.low + r.low - reach(row, precision) - reach(row, recall)
    if least_sum <= 0:
        # Seeds may be anywhere, some without a prediction: F1 is only known to lie below H.
        return _Spread(Range(0.0, highest), None)
    gap = 2 * off_line**2 / ((p.low + r.low) ** 2 * least_sum)
    f1 = Range(max(0.0, harmonic_mean(p.low, r.low) - gap), highest)
    if precision.std is None or recall.std is None or seeds == 1:
        return _Spread(f1, None)
    # No seed's gap exceeds (n - 1) times the bound of their mean, so their deviation is at most
    # sqrt(n/(n - 1) * mean of g^2) <= sqrt(n/(n - 1) * (n - 1)) times it.
    of_gap = math.sqrt(seeds) * gap
    slopes = [
        Range(2 * (a.low / (a.low + b.high)) ** 2, 2 * (a.high / (a.high + b.low)) ** 2) for a, b in ((r, p), (p, r))
    ]
    most = sum(slope.high * std.high for slope, std in zip(slopes, stds, strict=True))
    least = max(
        slopes[0].low * stds[0].low - slopes[1].high * stds[1].high,
        slopes[1].low * stds[1].low - slopes[0].high * stds[0].high,
    )
    return _Spread(f1, Range(max(0.0, least - of_gap), most + of_gap))


def reach(row: PublishedRow, score: Printed) -> float:
    """How far, in points, a seed's score may lie from the mean of the row: sqrt(n - 1) deviations (Samuelson 1968)."""
    return math.sqrt((row.seeds or ASSUMED_SEEDS) - 1) * _std(row, score).high


def _std(row: PublishedRow, score: Printed) -> Range:
    if row.seeds == 1:
        return Range(0.0, 0.0)
    return Range.of(score.std) if score.std is not None else Range(0.0, ASSUMED_STD)


def harmonic(row: PublishedRow) -> Iterator[Finding]:
    """The finding, if there is one, that no precision and recall of the row's can give its F1."""
    possible = _possible(row)
    if possible is None or "f1" not in row.scores:
        return
    p, r, f1 = (float(row.scores[metric].mean) for metric in ("precision", "recall", "f1"))
    printed = Range.of(row.scores["f1"].mean)
    if printed.meets(possible.f1):
        return
    expected = harmonic_mean(p, r)
    difference = f1 - expected
    outside = not min(p, r) <= f1 <= max(p, r)
    yield Finding(
        "f1-not-of-p-and-r",
        "error" if abs(difference) > FAR else "warning",
        row.where,
        f"F1 {f1:.2f}, but 2PR/(P + R) = {expected:.2f} of P {p:.2f} and R {r:.2f} ({difference:+.2f}; rounding and "
        f"seeds allow {possible.f1.low:.2f} to {possible.f1.high:.2f})"
        + ("; it does not even lie between them" if outside else ""),
        {"f1": f1, "precision": p, "recall": r, "harmonic": expected, "difference": difference},
    )


def deviation(row: PublishedRow) -> Iterator[Finding]:
    """The finding, if there is one, that the deviations of precision and recall cannot give that of F1."""
    possible = _possible(row)
    printed = row.scores["f1"].std if "f1" in row.scores else None
    if possible is None or possible.std is None or printed is None:
        return
    rounded = Range.of(printed)
    if not rounded.meets(possible.std):
        stds = {metric: float(row.scores[metric].std or 0) for metric in ("f1", "precision", "recall")}
        more = "more" if rounded.low > possible.std.high else "less"
        yield Finding(
            "deviation-of-f1",
            "warning",
            row.where,
            f"F1 varies {more} than its P and R let it: ± {stds['f1']:.2f}, but ± {stds['precision']:.2f} of P and "
            f"± {stds['recall']:.2f} of R give between {possible.std.low:.2f} and {possible.std.high:.2f}",
            {f"{metric}_std": std for metric, std in stds.items()},
        )


def ignored(row: PublishedRow) -> Iterator[Finding]:
    """The finding, if there is one, that Ign F1 is above F1.

    It leaves right predictions out of the precision's two counts, which never raises it, in any seed.
    """
    if "f1" not in row.scores or "ign_f1" not in row.scores:
        return
    f1, ign = row.scores["f1"].mean, row.scores["ign_f1"].mean
    if Range.of(ign).low > Range.of(f1).high:
        yield Finding(
            "ign-f1-above-f1",
            "error",
            row.where,
            f"Ign F1 {show(ign)} is above F1 {show(f1)}",
            {"f1": float(f1), "ign_f1": float(ign)},
        )
