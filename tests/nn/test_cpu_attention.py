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


def errors_of(attention, inputs, upstream):
    """Of output and gradients, how far they are from those in float64, as a share of these."""
    output = attention(*inputs)
    found = [output, *torch.autograd.grad(output, inputs, upstream.to(output.dtype))]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    weights = (SCALE * exact[0] @ exact[1].mT).softmax(-1)
    expected = [weights @ exact[2], *torch.autograd.grad(weights @ exact[2], exact, upstream)]
    return [
        float((a.detach().double() - b.detach()).norm() / b.detach().norm())
        for a, b in zip(found, expected, strict=True)
    ]


@pytest.mark.parametrize("under_autocast", [False, True])
def test_in_bfloat16_it_is_about_as_exact_as_the_fused_kernel_without_dropout(under_autocast):
    random = torch.Generator().manual_seed(0)
    inputs = [torch.randn(2, 3, 64, 32, generator=random).mul(size).bfloat16() for size in (2.5, 2.5, 1.0)]
    inputs = [x.requires_grad_() for x in inputs]  # scores to some 60, as in the first layer of BERT
    upstream = torch.randn(2, 3, 64, 32, generator=random, dtype=torch.float64)

    def ours(query, key, value):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=under_autocast):
            return dropout_attention(query, key, value, None, SCALE, 0.0)

    fused = errors_of(lambda *x: F.scaled_dot_product_attention(*x, scale=SCALE), inputs, upstream)
    for mine, its in zip(errors_of(ours, inputs, upstream), fused, strict=True):
        assert mine < 1.5 * its


def test_in_float32_it_is_this_formula_to_the_bit(inputs, masks):
    query, key, value = (x.detach().float().requires_grad_() for x in inputs)
    mask, dropout = masks["padding"], 0.3
    upstream = torch.randn(SHAPE)
    torch.manual_seed(4)
    output = dropout_attention(query, key, value, mask, SCALE, dropout)
    found = [output, *torch.autograd.grad(output, (query, key, value), upstream)]
    torch.manual_seed(4)
    for w in range(len(query)):
        q, k, v, grad = (x[w].detach() for x in (query, key, value, upstream))
        scores = ((q * SCALE) @ k.mT).masked_fill(~mask[w], torch.finfo(torch.float32).min)
        weights = scores.softmax(-1)
        keep = cpu_attention._drawn(scores, dropout) == 1
        expected = (weights * keep) @ (v / (1 - dropout))
        scaled = grad / (1 - dropout)
        d_scores = ((scaled @ v.mT) * keep - (grad * expected).sum(-1, keepdim=True)) * weights * SCALE
        gradients = [d_scores @ k, d_scores.mT @ q, (weights * keep).mT @ scaled]
        for mine, its in zip(found, [expected, *gradients], strict=True):
            assert torch.equal(mine[w], its)


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
