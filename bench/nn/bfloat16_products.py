"""Products of bfloat16 matrices by way of float32, where PyTorch would multiply them number by number.

That it does on a CPU that neither has instructions for them nor AVX-512, and it takes ten to sixty times as long. A
product of two bfloat16 numbers is exact in float32, and in float32 they are added up on other processors as well: what
comes out is what those give, but for the order of the sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "convolution", "convolution_backward")
"""The operations of PyTorch that the products of our models, and their gradients, come to (in place there is none)."""


def are_made_one_by_one() -> bool:
    """Whether PyTorch multiplies bfloat16 number by number on this CPU and (from 2.9 on) can be given another way."""
    by_onednn = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return hasattr(torch.library, "get_kernel") and not by_onednn


@cache
def multiply_by_float32() -> torch.library.Library:
    """From now on this process multiplies bfloat16 by way of float32 on the CPU; other products keep their bits.

    Each of them takes some 10 microseconds more. Returns what holds PyTorch to it.
    """
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators")  # that one is put in another's place
        for name in PRODUCTS:
            its_own = torch.library.get_kernel(f"aten::{name}", "CPU")
            kernel = by_float32(getattr(torch.ops.aten, name), its_own.call_boxed)
            library.impl(name, kernel, "CPU", with_keyset=True)
    return library


def by_float32(product: Callable[..., Any], its_own: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that has bfloat16 multiplied by `product` in float32, and all else by PyTorch's own kernel.

    PyTorch picks kernels by the device, not by the type, so that others come here, too.
    """

    def kernel(keys: Any, *operands: Any, **factors: Any) -> Any:
        if any(x.dtype != torch.bfloat16 for x in operands if isinstance(x, Tensor)):
            return its_own(keys, *operands, **factors)
        result = product(*(x.float() if isinstance(x, Tensor) else x for x in operands), **factors)
        if isinstance(result, Tensor):
            return result.to(torch.bfloat16)
        return tuple(x if x is None else x.to(torch.bfloat16) for x in result)  # gradients, as far as they are needed

    return kernel
