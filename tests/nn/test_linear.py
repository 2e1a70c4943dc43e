from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.nn.linear import Linear, linear, through_linear


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


ROWS = {
    "none": drawn(0, 12),
    "one": drawn(1, 12),
    "many": drawn(50, 12),
    "in groups": drawn(3, 5, 12),
    "a vector": drawn(12),
    "every second one": drawn(50, 12)[::2],
    "columns of a wider matrix": drawn(50, 30)[:, 4:16],
    "turned round": drawn(12, 50).T,
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize(
    "weight", [drawn(7, 12), drawn(7, 24)[:, 12:], drawn(12, 7).T], ids=["whole", "part", "turned"]
)
@pytest.mark.parametrize("bias", [None, drawn(7)], ids=["", "bias"])
def test_however_numbers_lie_in_memory_a_product_without_gradient_is_the_one_with_it(rows, weight, bias):
    with torch.no_grad():
        torch.testing.assert_close(linear(rows, weight, bias), F.linear(rows, weight, bias))


def test_a_small_product_that_is_differentiated_is_pytorchs_to_the_bit():
    rows, weight, bias = (x.requires_grad_() for x in (drawn(9, 12), drawn(7, 12), drawn(7)))
    ours, theirs = linear(rows, weight, bias), F.linear(rows, weight, bias)
    assert torch.equal(ours, theirs)
    for mine, its in zip(*(torch.autograd.grad(y.sum(), (rows, weight, bias)) for y in (ours, theirs)), strict=True):
        assert torch.equal(mine, its)


@pytest.fixture
def all_are_large(monkeypatch):
    monkeypatch.setattr("bench.nn.linear.LARGE", 0)


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("trained", list(product([False, True], repeat=3)), ids=str)
def test_gradients_are_pytorchs_whichever_are_asked_for(rows, trained):
    weight, bias = drawn(7, 12), drawn(7)
    results = []
    for multiply in (linear, F.linear):
        inputs = [x.clone().requires_grad_(asked) for x, asked in zip((rows, weight, bias), trained, strict=True)]
        output = multiply(*inputs)
        if any(trained):
            output.backward(drawn(*output.shape))
        results.append([output, *(x.grad for x in inputs)])
    for mine, its in zip(*results, strict=True):
        assert (mine is None) == (its is None)
        if its is not None:
            torch.testing.assert_close(mine, its)


@pytest.mark.usefixtures("all_are_large")
def test_gradients_repeat_to_the_bit():
    rows, weight = drawn(300, 384).requires_grad_(), drawn(96, 384).requires_grad_()
    first, second = (torch.autograd.grad(linear(rows, weight).square().sum(), (rows, weight)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.usefixtures("all_are_large")
def test_gradients_of_gradients_are_pytorchs():
    results = []
    for multiply in (linear, F.linear):
        rows, weight = drawn(9, 12).requires_grad_(), drawn(7, 12).requires_grad_()
        gradients = torch.autograd.grad(multiply(rows, weight).pow(3).sum(), (rows, weight), create_graph=True)
        penalty = sum(gradient.square().sum() for gradient in gradients)
        results.append(torch.autograd.grad(penalty, (rows, weight)))
    for mine, its in zip(*results, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_numbers_of_other_widths_are_multiplied_by_pytorch(dtype):
    rows, weight = drawn(9, 12).to(dtype), drawn(7, 12).to(dtype)
    with torch.no_grad():
        assert torch.equal(linear(rows, weight), F.linear(rows, weight))


def test_autocast_decides_the_width_of_a_product():
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(drawn(9, 12), drawn(7, 12)).dtype == torch.bfloat16


def test_without_onednn_pytorch_multiplies_as_ever(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    rows, weight = drawn(9, 12), drawn(7, 12)
    with torch.no_grad():
        assert torch.equal(linear(rows, weight), F.linear(rows, weight))


@pytest.mark.parametrize("size", [(384, 384), (384, 1536), (1536, 384), (4096, 97)])
def test_what_a_row_gives_does_not_depend_on_the_rows_beside_it(size):
    wide, narrow = size
    rows, weight, bias = drawn(300, wide), drawn(narrow, wide), drawn(narrow)
    with torch.no_grad():
        together = linear(rows, weight, bias)
        for first, count in ((0, 2), (5, 7), (100, 64), (13, 257)):
            assert torch.equal(linear(rows[first : first + count], weight, bias), together[first : first + count])


def test_every_linear_layer_is_changed_and_nothing_else_of_a_module():
    class Own(nn.Linear):
        pass

    module = nn.Sequential(nn.Linear(12, 7), nn.Sequential(nn.Linear(7, 5, bias=False)), Own(5, 3), nn.LayerNorm(3))
    before = copy.deepcopy(module)
    through_linear(module)
    assert [type(m) for m in module.modules() if isinstance(m, nn.Linear)] == [Linear, Linear, Own]
    assert repr(module) == repr(before)
    assert list(module.state_dict()) == list(before.state_dict())
    rows = drawn(4, 12)
    assert torch.equal(copy.deepcopy(module)(rows), before(rows))
    with torch.no_grad():
        torch.testing.assert_close(module(rows), before(rows))
