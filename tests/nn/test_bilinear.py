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


def gradients(layer, head, tail, upstream):
    logits = layer(head, tail)
    return [logits, *torch.autograd.grad(logits, (head, tail, layer.weight), upstream)]


def test_under_autocast_on_a_cpu_what_comes_in_float32_is_multiplied_in_bfloat16(small_blocks):
    layer = GroupedBilinear(pair_size=12, block_size=3, classes=5)
    wide, upstream = drawn(7, 12, torch.float32), torch.randn(7, 5)
    narrow = [z.detach().bfloat16().requires_grad_() for z in wide]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(layer, *wide, upstream)
    assert [x.dtype for x in found] == [torch.float32] * 4
    for mine, its in zip(found, gradients(layer, *narrow, upstream), strict=True):
        assert torch.equal(mine, its.float())


def test_in_bfloat16_gradients_are_near_those_in_float64(small_blocks):
    narrow = GroupedBilinear(pair_size=64, block_size=16, classes=5)
    wide = GroupedBilinear(pair_size=64, block_size=16, classes=5).double()
    wide.load_state_dict(narrow.state_dict())
    inputs, upstream = drawn(30, 64, torch.float32), torch.randn(30, 5)
    exact = [z.detach().double().requires_grad_() for z in inputs]
    found = gradients(narrow, *(z.detach().bfloat16().requires_grad_() for z in inputs), upstream)
    for mine, its in zip(found, gradients(wide, *exact, upstream.double()), strict=True):
        assert (mine.detach().double() - its).norm() < 0.01 * its.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pair_has_the_same_logits_to_the_bit_whatever_is_beside_it(dtype):
    layer = GroupedBilinear(pair_size=128, block_size=64, classes=97)
    head, tail = (z.to(dtype) for z in drawn(300, 128, torch.float32))
    assert torch.equal(layer(head, tail)[:256], layer(head[:256], tail[:256]))


def test_in_float32_it_is_this_formula():
    layer = GroupedBilinear(pair_size=32, block_size=16, classes=5, bias=False)
    head, tail = drawn(9, 32, torch.float32)
    upstream, logits = torch.randn(9, 5), torch.zeros(9, 5)
    found = gradients(layer, head, tail, upstream)
    d_head, d_tail, d_weight = (torch.zeros_like(x) for x in (head, tail, layer.weight))
    with torch.no_grad():
        for group in range(2):
            own = slice(16 * group, 16 * group + 16)
            a, b, weight = head[:, own], tail[:, own], layer.weight[:, group].flatten(1)
            outer = (a[:, :, None] * b[:, None, :]).flatten(1)
            logits += outer @ weight.T
            d_outer = (upstream @ weight).view(9, 16, 16)
            d_head[:, own] = (d_outer * b[:, None, :]).sum(-1)
            d_tail[:, own] = (d_outer * a[:, :, None]).sum(-2)
            d_weight[:, group] = (upstream.T @ outer).view(5, 16, 16)
    for mine, its in zip(found, (logits, d_head, d_tail, d_weight), strict=True):
        torch.testing.assert_close(mine, its)


def test_a_pair_size_that_blocks_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="not a multiple"):
        GroupedBilinear(pair_size=100, block_size=64, classes=3)


def test_projecting_entities_first_is_projecting_the_concatenation():
    layer = EntityInContext(encoder_size=5, pair_size=4)
    entities, context, index = torch.randn(3, 5), torch.randn(6, 5), torch.tensor([0, 2, 2, 1, 0, 1])
    expected = torch.tanh(layer.linear(torch.cat([entities[index], context], dim=1)))
    torch.testing.assert_close(layer(entities, context, index), expected)
