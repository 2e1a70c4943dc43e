"""The memory of a trained model beside the head entities that read it, on a plane: the numbers of Figure 5."""

from __future__ import annotations

import io
import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from bench.analysis.stats import Array
from bench.filesystem import home, write_atomically

DOCUMENTS = 20
HEADS = 2_000
"""Head tokens that are drawn at most, a random sample of those of all pairs."""


@dataclass(frozen=True)
class Projection:
    """heads: [h, 2], tokens: [m, 2], explained: [2], the share of the variance of both along each component.

    spread: the variance among the tokens as a share of that among the heads, over all dimensions, not only these two;
    NaN where all heads are the same.
    between: of the mean square of what pairs read, the share that differs from pair to pair; NaN of a single pair, and
    where the module returns something else than a vector, or several, of each pair.
    """

    heads: Array
    tokens: Array
    explained: Array
    spread: float
    between: float


def principal(heads: Array, tokens: Array, between: float = math.nan) -> Projection:
    """The two components along which heads [h, e] and tokens [m, e] together vary most; `between` is handed on."""
    chosen = np.random.default_rng(0).permutation(len(heads))[:HEADS]
    both = np.concatenate([heads[np.sort(chosen)], tokens]).astype(float)
    centred = both - both.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary: its largest part is made positive, so that a figure drawn again is the same.
    directions = directions[:2] * np.sign(directions[np.arange(2), np.abs(directions[:2]).argmax(axis=1)])[:, None]
    placed = centred @ directions.T
    share = spread**2 / (np.sum(spread**2) or 1.0)
    of_tokens, of_heads = (float(points.var(axis=0).sum()) for points in (tokens, heads))
    ratio = of_tokens / of_heads if of_heads else math.nan
    return Projection(placed[: -len(tokens)], placed[-len(tokens) :], share[:2], ratio, between)


def kept_projection(key: str) -> Projection | None:
    """That of the run with this key, where it was kept under BENCH_HOME and is not damaged."""
    path = _path(key)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Projection(stored["heads"], stored["tokens"], stored["explained"], *map(float, stored["shares"]))
    except (OSError, EOFError, ValueError, TypeError, KeyError, BadZipFile):
        return None  # it is made again


def keep_projection(key: str, projection: Projection) -> None:
    """Keep it for the next time; where BENCH_HOME cannot be written, it is made again."""
    file = io.BytesIO()
    shares = [projection.spread, projection.between]
    np.savez(file, heads=projection.heads, tokens=projection.tokens, explained=projection.explained, shares=shares)
    with suppress(OSError):
        write_atomically(_path(key), file.getvalue())


def _path(key: str) -> Path:
    return home() / "memory-figures" / f"v2-{key}-{DOCUMENTS}-{HEADS}.npz"
