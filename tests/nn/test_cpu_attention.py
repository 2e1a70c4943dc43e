from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bench.nn import cpu_attention
from bench.nn.cpu_attention import dropout_attention

SHAPE = (2, 3, 5, 4)
SCALE = 0.7


@pytest.fixture
def inputs():
    random = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=random, dtype=torch.float64).requires_grad_() for _ in range(3)]


@pytest.fixture
def masks():
    keep = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    keep[1, ..., 3:] = False
    per_head = torch.randn(2, 3, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return {"none": None, "padding": keep, "expanded": keep.expand(2, 1, 5, 5), "added": per_head}


@pytest.fixture
def always_the_same_dropped(monkeypatch):
    dropped = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(2)) < 0.3
    monkeypatch.setattr(cpu_attention, "_drawn", lambda like, dropout: ~dropped)
    return dropped


@pytest.mark.parametrize("mask", ["none", "padding", "expanded", "added"])
def test_without_anything_dropped_it_is_scaled_dot_product_attention(inputs, masks, mask):
    ours = dropout_attention(*inputs, masks[mask], SCALE, 0.0)
    expected = F.scaled_dot_product_attention(*inputs, attn_mask=masks[mask], scale=SCALE)
    torch.testing.assert_close(ours, expected)
    upstream = torch.randn(SHAPE, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(expected, inputs, upstream)
    )


@pytest.mark.parametrize("mask", ["none", "padding", "added"])
def test_it_passes_gradcheck_under_dropout(inputs, masks, mask, always_the_same_dropped):
    assert torch.autograd.gradcheck(lambda q, k, v: dropout_attention(q, k, v, masks[mask], SCALE, 0.3), inputs)


def test_what_is_dropped_counts_nothing_and_the_rest_more(inputs, always_the_same_dropped):
    query, key, value = inputs
    weights = (SCALE * query @ key.mT).softmax(-1).masked_fill(always_the_same_dropped, 0.0) / 0.7
    torch.testing.assert_close(dropout_attention(query, key, value, None, SCALE, 0.3), weights @ value)


@pytest.mark.parametrize("dropout", [0.0, 0.1, 0.5])
def test_as_many_are_dropped_as_asked_independently_of_each_other(dropout):
    torch.manual_seed(0)
    kept = cpu_attention._drawn(torch.empty(400, 500), dropout).double()
    deviation = (dropout * (1 - dropout) / kept.numel()) ** 0.5
    assert abs(kept.mean() - (1 - dropout)) <= 5 * deviation
    if dropout:
        for shift in (1, 2, 3, 4):
            neighbours = torch.stack([kept.flatten()[:-shift], kept.flatten()[shift:]])
            assert abs(torch.corrcoef(neighbours)[0, 1]) < 5 / kept.numel() ** 0.5


def test_what_is_dropped_follows_from_the_seed(inputs):
    torch.manual_seed(3)
    first = dropout_attention(*inputs, None, SCALE, 0.5)
    second = dropout_attention(*inputs, None, SCALE, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropout_attention(*inputs, None, SCALE, 0.5), first)
    assert not torch.equal(first, second)
