"""Products of bfloat16 matrices by way of float32: theirs, and no others."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.nn.bfloat16_products import multiply_by_float32

PRODUCTS = {
    "mm": lambda a, b, c: a @ b,
    "linear": lambda a, b, c: torch.nn.functional.linear(a, b.T, c),
    "addmm": lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=3),
    "no bias": lambda a, b, c: torch.addmm(torch.full_like(c, float("nan")), a, b, beta=0),
    "bmm": lambda a, b, c: a[None] @ b[None],
    "baddbmm": lambda a, b, c: torch.baddbmm(c.expand(1, len(a), -1), a[None], b[None], beta=2, alpha=0.25),
    "einsum": lambda a, b, c: torch.einsum("ik,kj->ji", a, b),
}


@pytest.fixture(scope="module")
def in_place():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        library = multiply_by_float32.__wrapped__()
    yield
    library._destroy()


def matrices(n: int, k: int, m: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    # Rounded to bfloat16 first, so that all types are given the same numbers.
    a, b, c = (torch.randn(shape, generator=draw).bfloat16().to(dtype) for shape in ((n, k), (k, m), (m,)))
    return a, b, c


@pytest.mark.parametrize("name", PRODUCTS)
@settings(deadline=None)  # the first products of a process take seconds
@given(n=st.integers(0, 9), k=st.integers(0, 70), m=st.integers(0, 9))
def test_a_product_is_the_exact_one_rounded_once(in_place, name, n, k, m):
    result = PRODUCTS[name](*matrices(n, k, m, torch.bfloat16))
    exact = PRODUCTS[name](*matrices(n, k, m, torch.float64))
    assert result.dtype == torch.bfloat16
    # Half of the last of eight binary digits; and what float32 loses where numbers cancel.
    torch.testing.assert_close(result.double(), exact, rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_products_of_other_numbers_are_pytorchs_own_to_the_bit(name, dtype):
    operands = matrices(31, 129, 17, dtype)
    its_own = PRODUCTS[name](*operands)
    library = multiply_by_float32.__wrapped__()
    try:
        assert torch.equal(PRODUCTS[name](*operands), its_own)
    finally:
        library._destroy()


def test_gradients_are_products_as_well(in_place):
    """Under autocast, as a training step has it: of weights in float32, gradients in float32."""
    a, b, _ = matrices(5, 300, 7, torch.float32)
    a.requires_grad_(), b.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        product = a @ b
    product.float().square().sum().backward()
    upstream = (2 * product.detach().float()).bfloat16().double()
    torch.testing.assert_close(a.grad.double(), upstream @ b.detach().double().T, rtol=2**-8, atol=1e-2)
    torch.testing.assert_close(b.grad.double(), a.detach().double().T @ upstream, rtol=2**-8, atol=1e-2)


def test_matrices_that_do_not_fit_or_differ_in_type_are_refused_as_before(in_place):
    a, b, _ = matrices(3, 4, 5, torch.bfloat16)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        a @ a
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.mm(a, b.float())
