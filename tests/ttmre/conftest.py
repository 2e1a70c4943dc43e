from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from bench.interface import Task
from bench.nn.pooling import Pairs

ENCODER_SIZE = 24
RATES = (0.02, 0.001, 0.0, 0.08, 0.005)

PairsOf = Callable[..., Pairs]


@pytest.fixture
def task() -> Task:
    """Five relations, of which one has no labelled pair."""
    return Task(ENCODER_SIZE, tuple(f"P{i}" for i in range(len(RATES))), RATES)


@pytest.fixture
def random_pairs() -> PairsOf:
    """A function making `count` pairs over 10 entities; the same seed gives the same leading pairs."""

    def make(count: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Pairs:
        generator = torch.Generator().manual_seed(seed)
        entities = torch.randn(10, ENCODER_SIZE, generator=generator, dtype=dtype)
        rows = [torch.randn(ENCODER_SIZE, generator=generator, dtype=dtype) for _ in range(count)]
        return Pairs(
            entities=entities,
            context=torch.stack(rows) if rows else entities[:0],
            head=torch.arange(count) % 10,
            tail=(torch.arange(count) * 3 + 1) % 10,
            sizes=(count,),
            token_attention=(),
        )

    return make


@pytest.fixture
def select() -> Callable[[Pairs, torch.Tensor], Pairs]:
    """A function keeping the pairs at `index`, in that order."""

    def keep(pairs: Pairs, index: torch.Tensor) -> Pairs:
        return Pairs(pairs.entities, pairs.context[index], pairs.head[index], pairs.tail[index], (len(index),), ())

    return keep
