"""Precision, recall, F1 and Ign F1 from counts: the one place where a score becomes a number.

Definitions: Yao et al., ACL 2019. Every function takes numbers, or arrays of one shape, and returns the like: percent,
unrounded, 0.0 wherever it would divide by nothing (no predictions, no labels, nothing left after ignoring what training
had seen). Counts may be fractions: means over seeds, say.

correct: right predictions.   predicted: all predictions.   gold: all labels.   seen: right predictions that are among
the training facts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import TypeIs

N = TypeVar("N", float, "npt.NDArray[np.float64]")
"""A number, or an array of them."""


def _is_array(value: object) -> TypeIs[npt.NDArray[np.float64]]:
    # Asked without numpy: `bench evaluate` has numbers alone, and numpy would be a sixth of its time.
    return getattr(value, "ndim", 0) > 0


def percent(part: N, whole: N) -> N:
    """A part of a whole in percent: 100 part / whole."""
    if _is_array(whole):
        import numpy as np

        return 100.0 * np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)
    return 100.0 * part / whole if whole > 0 else 0.0


def harmonic_mean(a: N, b: N) -> N:
    """2ab / (a + b) of two numbers that are not negative; 0.0 where one of them is 0."""
    # Not with the product of the two: that of two tiny percentages can underflow, the ratio below cannot.
    if _is_array(a):
        import numpy as np

        both = (a > 0) & (b > 0)
        return 2.0 * a * np.divide(b, a + b, out=np.zeros(a.shape), where=both)
    return 2.0 * a * (b / (a + b)) if a > 0 and b > 0 else 0.0


def precision(correct: N, predicted: N) -> N:
    """Share of the predictions that are labelled."""
    return percent(correct, predicted)


def recall(correct: N, gold: N) -> N:
    """Share of the labels that were predicted."""
    return percent(correct, gold)


def f1(correct: N, predicted: N, gold: N) -> N:
    """Harmonic mean of precision and recall: 2 correct / (predicted + gold)."""
    return percent(2 * correct, predicted + gold)


def ign_precision(correct: N, predicted: N, seen: N) -> N:
    """Precision once the right predictions that training had seen are left out of both counts."""
    return percent(correct - seen, predicted - seen)


def ign_f1(correct: N, predicted: N, gold: N, seen: N) -> N:
    """Harmonic mean of `ign_precision` and the *plain* recall (so do the released programs).

    They add 1e-5 to the denominator of the Ign precision, which moves the seventh digit or so; this is exact.
    """
    return harmonic_mean(ign_precision(correct, predicted, seen), recall(correct, gold))
