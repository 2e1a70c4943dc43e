"""Statistics of a comparison of two systems: over seeds, over documents, and corrected where many are compared.

Two things vary, and a claim about models needs both. Another seed trains another model: the tests over *seeds* take
each seed's score as one observation, on these documents. Other documents would score it differently: the tests over
*documents* hold the trained models fixed and resample documents, the same ones for both systems. Each of the two calls
a difference that the other explains one of the models, so that both being met is not enough either: the test over
*both* adds the two variances (`over_both`).

A score is a ratio of summed counts (`bench.metrics.official`), so documents are resampled as counts and the ratio is
taken again of the new sums; a mean of per-document F1 is another quantity and is never formed.

Several seeds of a system are not more documents: seeds of one document rise and fall together, and stacking them would
make intervals too narrow. A document is drawn with the counts of *all* seeds of both systems. The bootstrap scores each
seed on the drawn documents and averages those scores, as the tables do. The randomization test exchanges, per document,
the two systems' counts averaged over their seeds: no seed of one system belongs to any seed of the other, and the
numbers of seeds may differ.

Everything is a pure function of arrays; what draws random numbers takes a seed and repeats exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from bench.metrics import arithmetic

Array = npt.NDArray[np.float64]

CONFIDENCE = 0.95
POWER = 0.8
"""How often a difference is to be found for which an experiment is called large enough."""
RESAMPLES = 10_000
EXACT_SPLITS = 200_000
"""Up to this many ways to divide the seeds, all of them are looked at (10 against 10 are 184,756)."""
_CHUNK = 1_000
"""Resamples made at a time: 500 documents of them are 4 MB."""
TIE = 1e-9
"""Numbers (percent) this close are equal: sums of the same terms in another order differ in the last digits."""


class Summary(NamedTuple):
    """What a table tells of a system: mean, sample standard deviation (None: not told) and number of seeds."""

    mean: float
    std: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Welch:
    """Welch's t test of the difference of two means. low, high: the confidence interval. p: two-sided.

    error: standard error of the difference.
    """

    difference: float
    low: float
    high: float
    t: float
    df: float
    p: float
    error: float


@dataclass(frozen=True, slots=True)
class Permutation:
    """A permutation test of the difference of two means. p: two-sided.

    floor: the smallest p that this many seeds can give.   exact: whether every split was looked at.
    """

    p: float
    floor: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A paired bootstrap over documents. difference: of the scores as they are. low, high: percentile interval.

    p: two-sided, twice the smaller share of resamples on either side of zero.   floor: the smallest p that this many
    resamples can give.   error: standard error of the difference.   documents: how many there are.
    """

    difference: float
    low: float
    high: float
    p: float
    floor: float
    error: float
    documents: int


@dataclass(frozen=True, slots=True)
class Randomization:
    """Approximate randomization over documents. p: two-sided.   floor: the smallest p so many resamples can give."""

    p: float
    floor: float


@dataclass(frozen=True, slots=True)
class OverBoth:
    """A test of the difference, seeds and documents both drawn. low, high: the confidence interval. p: two-sided."""

    difference: float
    low: float
    high: float
    t: float
    df: float
    p: float


def sample_std(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1 in the denominator (ddof 1); None of fewer than two values."""
    return float(np.std(np.asarray(values, dtype=float), ddof=1)) if len(values) > 1 else None


def summarize(values: Sequence[float]) -> Summary:
    """Mean, sample standard deviation and number of `values`, of which there must be one."""
    return Summary(float(np.mean(values)), sample_std(values), len(values))


def mean_interval(summary: Summary, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """The confidence interval of a mean over seeds (Student's t); None of one seed, or of a deviation not told."""
    if summary.std is None or summary.n < 2:
        return None
    margin = float(special.stdtrit(summary.n - 1, (1 + confidence) / 2)) * summary.std / math.sqrt(summary.n)
    return summary.mean - margin, summary.mean + margin


def welch(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Welch | None:
    """Welch's t test of mean(a) - mean(b), one score per seed; see `welch_of_summaries`."""
    return welch_of_summaries(summarize(a), summarize(b), confidence)


def welch_of_summaries(a: Summary, b: Summary, confidence: float = CONFIDENCE) -> Welch | None:
    """Welch's t test of a.mean - b.mean, the variances estimated apart (Welch 1947, Satterthwaite's df).

    None where it is undefined: fewer than two seeds on a side, a deviation that is not told, or none at all.
    """
    if a.std is None or b.std is None or min(a.n, b.n) < 2 or max(a.std, b.std) < TIE:
        return None
    difference, parts = a.mean - b.mean, (a.std**2 / a.n, b.std**2 / b.n)
    error = math.sqrt(sum(parts))
    df = _satterthwaite(parts, (a.n - 1, b.n - 1))
    return Welch(*_student(difference, error, df, confidence), error)


def over_both(welch: Welch | None, bootstrap: Bootstrap | None, confidence: float = CONFIDENCE) -> OverBoth | None:
    """The difference against what seeds and documents together let it vary: Clark's min F' (1973), with one numerator.

    Its variance is the sum of Welch's over seeds and of the bootstrap's over documents, the degrees of freedom are
    Satterthwaite's of that sum. What varies with seed and document at once is in both, so that the test rather says
    too little than too much. Few seeds gain degrees of freedom from many documents; they gain no more by it than
    Welch's test by itself gives: p is never smaller and the interval never narrower than over seeds alone. None where
    seeds or documents cannot be tested.
    """
    if welch is None or bootstrap is None:
        return None
    parts = (welch.error**2, bootstrap.error**2)
    df = _satterthwaite(parts, (welch.df, bootstrap.documents - 1))
    difference, low, high, t, df, p = _student(welch.difference, math.sqrt(sum(parts)), df, confidence)
    return OverBoth(difference, min(low, welch.low), max(high, welch.high), t, df, max(p, welch.p))


def detectable(tested: Welch | OverBoth, power: float = POWER, confidence: float = CONFIDENCE) -> float:
    """The difference that such a test finds with probability `power`, were the standard error what it was seen to be.

    From the noncentral t distribution, two-sided. It is of another experiment with as many seeds and documents.
    """
    critical = float(special.stdtrit(tested.df, (1 + confidence) / 2))
    error = (tested.high - tested.low) / 2 / critical

    def found(shift: float) -> float:
        above = 1 - special.nctdtr(tested.df, shift, critical)
        return float(above + special.nctdtr(tested.df, shift, -critical))

    low, high = 0.0, 1.0
    while found(high) < power:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if found(middle) >= power else (middle, high)
    return high * error


def _satterthwaite(parts: Sequence[float], df: Sequence[float]) -> float:
    """Degrees of freedom of a sum of variances, each with its own."""
    # With shares of the variance, which cannot underflow as its squares can.
    return 1.0 / sum((part / sum(parts)) ** 2 / own for part, own in zip(parts, df, strict=True))


def _student(
    difference: float, error: float, df: float, confidence: float
) -> tuple[float, float, float, float, float, float]:
    """difference, low, high, t, df and p (two-sided) of Student's t."""
    # The distribution functions of `scipy.stats.t` without its checks of arguments, which take 100 times as long.
    margin = float(special.stdtrit(df, (1 + confidence) / 2)) * error
    t = difference / error
    return difference, difference - margin, difference + margin, t, df, float(2 * special.stdtr(df, -abs(t)))


def permutation(a: Sequence[float], b: Sequence[float], resamples: int = 100_000, seed: int = 0) -> Permutation | None:
    """Two-sample permutation test of |mean(a) - mean(b)|, one score per seed (Fisher, Pitman). None without a score.

    All ways to divide the seeds into two groups of these sizes are looked at, so p is exact; beyond `EXACT_SPLITS` of
    them, `resamples` random ones. Five against five cannot fall below 2/252 = 0.0079, three against three not below .1.
    """
    if not len(a) or not len(b):
        return None
    pooled = np.asarray([*a, *b], dtype=float)
    splits = math.comb(len(pooled), len(a))
    # With groups of one size, a split and its mirror image have the same absolute difference.
    floor = (2.0 if len(a) == len(b) else 1.0) / splits
    observed = abs(np.mean(pooled[: len(a)]) - np.mean(pooled[len(a) :]))
    if splits <= EXACT_SPLITS:
        chosen = np.array(list(itertools.combinations(range(len(pooled)), len(a))))
        return Permutation(float(np.mean(_split_differences(pooled, pooled[chosen]) >= observed - TIE)), floor, True)
    shuffled = np.random.default_rng(seed).permuted(np.tile(pooled, (resamples, 1)), axis=1)[:, : len(a)]
    extreme = int(np.sum(_split_differences(pooled, shuffled) >= observed - TIE))
    return Permutation((extreme + 1) / (resamples + 1), max(floor, 1 / (resamples + 1)), False)


def _split_differences(pooled: Array, first: Array) -> Array:
    """[splits]: |mean of the first group - mean of the rest|.   pooled: [n].   first: [splits, size of first]."""
    sums, size = first.sum(axis=1), first.shape[1]
    return np.abs(sums / size - (pooled.sum() - sums) / (len(pooled) - size))


_OF_COUNTS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "f1": lambda correct, predicted, gold, seen: arithmetic.f1(correct, predicted, gold),
    "ign_f1": arithmetic.ign_f1,
    "precision": lambda correct, predicted, gold, seen: arithmetic.precision(correct, predicted),
    "recall": lambda correct, predicted, gold, seen: arithmetic.recall(correct, gold),
}


def score(counts: Array, metric: str) -> Array:
    """A score in percent of counts [..., 4] (correct, predicted, gold, correct in facts); 0.0 over nothing: [...].

    metric: the name of one of `bench.analysis.metrics.COUNTED`.
    """
    correct, predicted, gold, seen = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    return _OF_COUNTS[metric](correct, predicted, gold, seen)


def paired_bootstrap(
    a: Array,
    b: Array,
    metric: str,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Bootstrap:
    """Bootstrap of score(a) - score(b) over documents drawn with replacement, the same ones for both systems.

    a: [seeds of A, documents, 4].   b: [seeds of B, documents, 4], the same documents in the same order. The score of a
    system is the mean over its seeds (see the module). Raises ValueError where the shapes do not fit.
    """
    a, b = _paired(a, b)
    documents = a.shape[1]
    # [documents, seeds * 4]: a draw's totals of every seed of both systems are one row of weights times this.
    columns = np.concatenate([a, b]).transpose(1, 0, 2).reshape(documents, -1)
    drawn = np.empty(resamples)
    for rows, weights in _bootstrap_weights(documents, resamples, seed):
        totals = (weights @ columns).reshape(len(weights), -1, 4)
        scores = score(totals, metric)
        drawn[rows] = scores[:, : len(a)].mean(axis=1) - scores[:, len(a) :].mean(axis=1)
    difference = float(score(a.sum(axis=1), metric).mean() - score(b.sum(axis=1), metric).mean())
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    side = min(np.sum(drawn <= TIE), np.sum(drawn >= -TIE))
    floor, error = 2 / (resamples + 1), float(np.std(drawn, ddof=1))
    p = min(1.0, floor * (int(side) + 1))
    return Bootstrap(difference, float(low), float(high), p, floor, error, documents)


def _bootstrap_weights(documents: int, resamples: int, seed: int) -> Iterator[tuple[slice, Array]]:
    """How often each document is in each draw: [chunk, documents], and which resamples these are."""
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        drawn = generator.integers(documents, size=(size, documents))
        drawn += np.arange(size)[:, None] * documents
        weights = np.bincount(drawn.ravel(), minlength=size * documents).reshape(size, documents)
        yield slice(start, start + size), weights.astype(float)


def randomization(a: Array, b: Array, metric: str, resamples: int = RESAMPLES, seed: int = 0) -> Randomization:
    """Approximate randomization (Noreen 1989): documents at random exchange who predicted them.

    a: [seeds of A, documents, 4].   b: [seeds of B, documents, 4], the same documents in the same order; each system's
    counts are averaged over its seeds (see the module). The observed assignment counts as one of the resamples, so p is
    never 0. Raises ValueError where the shapes do not fit.
    """
    a, b = _paired(a, b)
    ours, theirs = a.mean(axis=0), b.mean(axis=0)
    middle, half = (ours + theirs).sum(axis=0) / 2, (ours - theirs) / 2
    observed = abs(score(ours.sum(axis=0), metric) - score(theirs.sum(axis=0), metric))
    generator, extreme = np.random.default_rng(seed), 0
    for start in range(0, resamples, _CHUNK):
        size = min(_CHUNK, resamples - start)
        signs = generator.integers(2, size=(size, len(half)), dtype=np.int8).astype(float) * 2 - 1
        moved = signs @ half
        differences = np.abs(score(middle + moved, metric) - score(middle - moved, metric))
        extreme += int(np.sum(differences >= observed - TIE))
    floor = 1 / (resamples + 1)
    return Randomization(floor * (extreme + 1), floor)


def _paired(a: Array, b: Array) -> tuple[Array, Array]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    fits = a.ndim == b.ndim == 3 and a.shape[1:] == b.shape[1:] and a.shape[2] == 4 and min(*a.shape, *b.shape) > 0
    if not fits:
        raise ValueError(f"expected [seeds, documents, 4] twice, of the same documents, got {a.shape} and {b.shape}")
    return a, b


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) of p values, in the order given. It holds whatever their dependence.

    The k-th smallest of m is multiplied by m - k + 1, made no smaller than those before it, and cut at 1.
    """
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = highest
    return adjusted
