"""Products of bfloat16 matrices by way of float32: theirs, and no others."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.nn.bfloat16_products import are_made_one_by_one, by_float32, multiply_by_float32

PRODUCTS = {
    "mm": lambda a, b, c: a @ b,
    "linear": lambda a, b, c: torch.nn.functional.linear(a, b.T, c),
    "addmm": lambda a, b, c: torch.addmm(c, a, b, beta=0.5, alpha=3),
    "no bias": lambda a, b, c: torch.addmm(torch.full_like(c, float("nan")), a, b, beta=0),
    "bmm": lambda a, b, c: a[None] @ b[None],
    "baddbmm": lambda a, b, c: torch.baddbmm(c.expand(1, len(a), -1), a[None], b[None], beta=2, alpha=0.25),
    "einsum": lambda a, b, c: torch.einsum("ik,kj->ji", a, b),
}
needs_kernels = pytest.mark.skipif(not hasattr(torch.library, "get_kernel"), reason="PyTorch before 2.9")


@pytest.fixture
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


def of_dtypes(*operands: object) -> list[torch.dtype]:
    return [x.dtype for x in operands if isinstance(x, Tensor)]


def test_bfloat16_alone_is_given_to_float32_with_all_that_goes_with_it():
    calls = []

    def product(*operands, **factors):
        calls.append((of_dtypes(*operands), operands[2:], factors))
        return operands[0] @ operands[1]

    def its_own(keys, *operands, **factors):
        calls.append((keys, of_dtypes(*operands), factors))
        return operands[0]

    kernel = by_float32(product, its_own)
    a, b, _ = matrices(3, 4, 5, torch.bfloat16)
    assert kernel("keys", a, b, [1], None, alpha=2).dtype == torch.bfloat16
    assert kernel("keys", a.half(), b.half(), beta=0).dtype == torch.float16
    kernel("keys", a, b.float())
    half, single = torch.float16, torch.float32
    assert calls == [
        ([single, single], ([1], None), {"alpha": 2}),
        ("keys", [half, half], {"beta": 0}),
        ("keys", [torch.bfloat16, single], {}),
    ]


@needs_kernels
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_float32s_rounded_once(in_place, name):
    """To the bit, which what PyTorch has of its own is not: it adds up in another order."""
    exact_in_float32 = PRODUCTS[name](*matrices(300, 384, 500, torch.float32))
    assert torch.equal(PRODUCTS[name](*matrices(300, 384, 500, torch.bfloat16)), exact_in_float32.bfloat16())


@needs_kernels
@settings(deadline=None)  # the first products of a process take seconds
@given(name=st.sampled_from(sorted(PRODUCTS)), n=st.integers(0, 9), k=st.integers(0, 70), m=st.integers(0, 9))
def test_of_any_shape_it_is_the_exact_product_rounded_once(name, n, k, m):
    library = multiply_by_float32.__wrapped__()
    try:
        result = PRODUCTS[name](*matrices(n, k, m, torch.bfloat16))
    finally:
        library._destroy()
    exact = PRODUCTS[name](*matrices(n, k, m, torch.float64))
    # Half of the last of eight binary digits, and what float32 loses where numbers cancel.
    torch.testing.assert_close(result.double(), exact, rtol=2**-8, atol=1e-4)


@needs_kernels
def test_gradients_are_products_as_well(in_place):
    """Under autocast, as a training step has it: of weights in float32, gradients in float32."""
    a, b, _ = matrices(5, 300, 7, torch.float32)
    a.requires_grad_(), b.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        product = a @ b
    product.float().square().sum().backward()
    upstream = (2 * product.detach().float()).bfloat16().float()
    assert torch.equal(a.grad, (upstream @ b.detach().T).bfloat16().float())
    assert torch.equal(b.grad, (a.detach().T @ upstream).bfloat16().float())


@needs_kernels
@pytest.mark.parametrize("with_bias", [True, False])
def test_convolutions_and_their_gradients_too(in_place, with_bias):
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(8, 6, 5, padding=2, bias=with_bias).bfloat16()
    states = torch.randn(2, 8, 30).bfloat16()
    result = layer(states)
    result.float().square().sum().backward()
    other = torch.nn.Conv1d(8, 6, 5, padding=2, bias=with_bias)
    other.load_state_dict({name: tensor.float() for name, tensor in layer.state_dict().items()})
    expected = other(states.float())
    expected.backward((2 * result.detach().float()).bfloat16().float())
    assert torch.equal(result, expected.bfloat16())
    for ours, theirs in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad.bfloat16())


@needs_kernels
def test_matrices_that_do_not_fit_or_differ_in_type_are_refused_as_before(in_place):
    a, b, _ = matrices(3, 4, 5, torch.bfloat16)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        a @ a
    with pytest.raises(RuntimeError, match="same dtype"):
        torch.mm(a, b.float())


ALL_ELSE = """
import torch
from bench.nn.bfloat16_products import multiply_by_float32
from test_bfloat16_products import PRODUCTS, matrices

def results():
    torch.manual_seed(0)
    layer = torch.nn.Conv1d(8, 6, 5)
    layer(torch.linspace(0, 1, 480).view(2, 8, 30)).square().sum().backward()
    of = [product(*matrices(31, 129, 17, dtype)) for product in PRODUCTS.values()
          for dtype in (torch.float64, torch.float32, torch.float16)]
    return [*of, layer.weight.grad]

before = results()
multiply_by_float32()
assert all(map(torch.equal, before, results()))
"""


@needs_kernels
def test_products_of_other_numbers_are_pytorchs_own_to_the_bit():
    """In a process of its own: in this one they may pass through ours already."""
    code = f"import sys; sys.path[:0] = {[*sys.path, str(Path(__file__).parent)]!r}\n{ALL_ELSE}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_a_cpu_whose_products_onednn_makes_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    for supported in (True, False):
        monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda found=supported: found)
        assert are_made_one_by_one() == (hasattr(torch.library, "get_kernel") and not supported)
    monkeypatch.delattr(torch.library, "get_kernel", raising=False)
    assert not are_made_one_by_one()
