"""The operations that benchmarks/floor.py counts from sizes, against those that torch counts while they are done."""

from __future__ import annotations

import math

import pytest
import torch
from documents import document_batch, system_of
from floor import step_operations
from steps import Ours, timed_step
from torch.utils.flop_counter import FlopCounterMode

from bench.nn.encoder_source import find_encoder


def by_onednn(rows: torch.Size, weight: torch.Size, *more: object, **options: object) -> int:
    """The operations of a linear layer by oneDNN, which torch does not count by itself."""
    return 2 * math.prod(rows) * weight[0]


@pytest.mark.parametrize("name", ["atlop", "spu", "dreeam", "kd_docre", "ttmre", "ttmre-released"])
def test_a_step_does_the_operations_it_cannot_do_without_and_few_others(name):
    source = find_encoder("tiny", ())
    batch = document_batch(None, source, count=2)
    chunk = {"chunk": 10_000} if name == "ttmre-released" else {}  # whole batches of them, so that no chunk is shorter
    system = system_of(name, source, batch, pair_size=64, block_size=16, **chunk)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.mkldnn._linear_pointwise: by_onednn}) as counter:
        timed_step(system, Ours(system), batch)
    counted = sum(step_operations(system, batch).values())
    assert 0.97 * counted <= counter.get_total_flops() <= 1.15 * counted
