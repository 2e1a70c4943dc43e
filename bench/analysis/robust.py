"""Measures of runs that one odd seed does not move: interquartile mean, probability of improvement, profiles.

They are those of Agarwal et al. (Deep Reinforcement Learning at the Edge of the Statistical Precipice, NeurIPS 2021),
where a *task* is here a condition: a data set, setting and encoder. Pure functions of arrays of scores, one per seed,
in percent. They describe; what may be claimed of models rests on the tests of `bench.analysis.stats`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from bench.analysis.stats import CONFIDENCE, TIE, Array

RESAMPLES = 5_000
_MOST_AT_ONCE = 4_000_000
"""Scores that are held at once while resamples are taken."""


def interquartile_mean(scores: Array) -> Array:
    """The mean [...] of the middle half of scores [..., n]: without the lowest and the highest n // 4 of them.

    With two or three scores it is their mean; of five, that of the middle three.
    """
    n = scores.shape[-1]
    middle: Array = np.sort(scores, axis=-1)[..., n // 4 : n - n // 4]
    return middle.mean(axis=-1)


def evenly(tasks: Sequence[Array]) -> Array:
    """The scores of all tasks side by side, those of each task repeated until it has as many as any other.

    tasks: of each task [..., n] scores, one per seed. So a task does not count for more because it has more seeds.
    """
    size = math.lcm(*(scores.shape[-1] for scores in tasks))
    return np.concatenate([np.repeat(scores, size // scores.shape[-1], axis=-1) for scores in tasks], axis=-1)


def interquartile_interval(
    tasks: Sequence[Array], resamples: int = RESAMPLES, confidence: float = CONFIDENCE, seed: int = 0
) -> tuple[float, float] | None:
    """The percentile interval of the interquartile mean of all scores together, seeds drawn anew within each task.

    tasks: of each task [n] scores, one per seed; each task counts as much as another (`evenly`). None where one has a
    single seed. Of few seeds the interval is too narrow: the lowest and the highest score that were seen are the
    furthest that it can reach.
    """
    if not tasks or min(map(len, tasks)) < 2:
        return None
    generator = np.random.default_rng(seed)
    drawn = [scores[generator.integers(len(scores), size=(resamples, len(scores)))] for scores in tasks]
    at_once = max(1, _MOST_AT_ONCE // evenly(tasks).size)
    parts = ([scores[i : i + at_once] for scores in drawn] for i in range(0, resamples, at_once))
    means = np.concatenate([interquartile_mean(evenly(part)) for part in parts])
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Improvement:
    """How likely a seed of one system scores higher than a seed of another; a tie counts half.

    low, high: the confidence interval, of new seeds on these documents.
    """

    probability: float
    low: float
    high: float


def probability_of_improvement(a: Array, b: Array) -> float:
    """The share of all pairs of a seed of a [n] and one of b [m] in which a's score is higher; ties count half.

    It is Mann and Whitney's U over n m.
    """
    differences = a[:, None] - b[None, :]
    ties = np.abs(differences) < TIE
    return float(np.mean(np.where(ties, 0.5, differences > 0)))


def improvement(a: Array, b: Array, confidence: float = CONFIDENCE) -> Improvement | None:
    """The probability of improvement with Newcombe's interval (method 5; Statistics in Medicine 25, 2006).

    A bootstrap would call it certain where all seeds of one system are above all of the other, however few they are.
    None with fewer than two seeds on a side.
    """
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return None
    probability = probability_of_improvement(a, b)
    z = float(special.ndtri((1 + confidence) / 2))
    high = _bound(probability, n, m, z)
    return Improvement(probability, 1 - _bound(1 - probability, n, m, z), high)


def _bound(probability: float, n: int, m: int, z: float) -> float:
    """The largest value, at most 1, from which the probability found is z standard errors away by Hanley and McNeil."""
    others = (n + m) / 2 - 1

    def is_nearer(theta: float) -> bool:
        spread = 1 + others * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (theta - probability) ** 2 < z**2 * theta * (1 - theta) * spread / (n * m)

    low, high = probability, 1.0
    if probability == 0.0:  # where the error is none, and any value a little above is nearer
        low = 1e-12
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if is_nearer(middle) else (low, middle)
    return low


def performance_profile(scores: Array, thresholds: Array) -> Array:
    """The share of runs [k] that score more than each of the thresholds [k]. scores: [n], of all tasks and seeds."""
    return np.mean(scores[:, None] > thresholds[None, :], axis=0)
