"""Scores as people read them: points of percent with two decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

_DIGITS = 10
"""Decimals of a score that are its own: what floating point leaves after them is no reason to round down."""


def points(value: float, sign: str = "") -> str:
    """`48.21`, or with "+" as sign `+48.21`. A half is rounded up, away from zero, as it is by hand and in papers.

    The decimal digits decide: 0.285 is 0.29, although the nearest binary number is a little less. Of zero, and of what
    floating point leaves of it, there is no negative one.
    """
    rounded = (Decimal(f"{value:.{_DIGITS}f}") + 0).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{rounded:{sign}}"


def points_and_std(mean: float, std: float | None, sign: str = "") -> str:
    """`48.21 ± 0.53`, or the mean alone where there is no deviation. sign: of the mean, as in `points`."""
    return points(mean, sign) + ("" if std is None else f" ± {points(std)}")
