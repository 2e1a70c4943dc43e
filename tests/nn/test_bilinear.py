from __future__ import annotations

import pytest
import torch

from bench.nn import bilinear
from bench.nn.bilinear import EntityInContext, GroupedBilinear


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(bilinear, "PRODUCTS_AT_ONCE", {"cpu": 40})  # 4 pairs, where a group is 3 wide


def drawn(pairs, size, dtype=torch.float64):
    random = torch.Generator().manual_seed(0)
    return [torch.randn(pairs, size, generator=random, dtype=dtype).requires_grad_() for _ in range(2)]


def plain(layer: GroupedBilinear, head, tail):
    head, tail = (z.unflatten(1, (layer.groups, -1)) for z in (head, tail))
    return torch.einsum("pga,pgb,rgab->pr", head, tail, layer.weight) + layer.bias


@pytest.mark.parametrize("pairs", [0, 1, 4, 11])
def test_logits_and_gradients_are_the_plain_einsums(small_blocks, pairs):
    layer = GroupedBilinear(pair_size=12, block_size=3, classes=5).double()
    head, tail = drawn(pairs, 12)
    inputs = [head, tail, layer.weight, layer.bias]
    ours, expected = layer(head, tail), plain(layer, head, tail)
    torch.testing.assert_close(ours, expected)
    upstream = torch.randn(pairs, 5, dtype=torch.float64)
    for mine, theirs in zip(
        torch.autograd.grad(ours, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("pairs", [0, 1, 4, 11])
def test_logits_that_nothing_is_differentiated_through_are_the_same(small_blocks, pairs):
    layer = GroupedBilinear(pair_size=12, block_size=3, classes=5)
    head, tail = drawn(pairs, 12, torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(layer(head, tail), plain(layer, head, tail))


def test_without_a_bias_it_has_none_and_adds_none():
    layer = GroupedBilinear(pair_size=12, block_size=3, classes=5, bias=False).double()
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    zeros = torch.zeros(2, 12, dtype=torch.float64)
    assert (layer(zeros, zeros) == 0).all()


def test_it_passes_gradcheck(small_blocks):
    layer = GroupedBilinear(pair_size=6, block_size=2, classes=3).double()
    head, tail = drawn(5, 6)

    def logits(head, tail, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (head, tail))

    assert torch.autograd.gradcheck(logits, (head, tail, layer.weight, layer.bias))


def test_it_keeps_no_pairs_by_products_for_the_backward_pass():
    pairs, size = 100, 64
    layer = GroupedBilinear(pair_size=size, block_size=16, classes=4)
    head, tail = drawn(pairs, size, torch.float32)
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(head, tail)
    assert sum(kept) <= 2 * pairs * size + layer.weight.numel()


def test_in_half_precision_the_logits_are_summed_in_float32(small_blocks):
    layer = GroupedBilinear(pair_size=12, block_size=3, classes=5)
    head, tail = (z.bfloat16() for z in drawn(7, 12, torch.float32))
    logits = layer(head, tail)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, plain(layer, head.float(), tail.float()), rtol=0.05, atol=0.05)
    logits.sum().backward()
    assert layer.weight.grad.dtype == torch.float32


def test_a_pair_size_that_blocks_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        GroupedBilinear(pair_size=100, block_size=64, classes=3)


def test_projecting_entities_first_is_projecting_the_concatenation():
    layer = EntityInContext(encoder_size=5, pair_size=4)
    entities, context, index = torch.randn(3, 5), torch.randn(6, 5), torch.tensor([0, 2, 2, 1, 0, 1])
    expected = torch.tanh(layer.linear(torch.cat([entities[index], context], dim=1)))
    torch.testing.assert_close(layer(entities, context, index), expected)
