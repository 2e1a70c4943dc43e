"""The generated sample, made once in a process: it is the same every time, and takes as long as many a test."""

from __future__ import annotations

import functools

from bench.data import sample
from bench.data.documents import Document


@functools.cache
def sample_splits() -> dict[str, list[Document]]:
    """The documents of each split, as `bench.data.sample.generate` makes them from seed 0."""
    return sample.generate(seed=0)
