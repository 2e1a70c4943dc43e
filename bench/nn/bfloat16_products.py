"""Products of bfloat16 matrices on a CPU without instructions for them: by way of float32, in a hundredth of the time.

There PyTorch multiplies them number by number. A product of two bfloat16 numbers is exact in float32, and in float32
the instructions of other processors add them up as well: what comes out is theirs but for the order of the sums.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

PRODUCTS = ("mm", "bmm", "addmm", "baddbmm")
"""The operations of PyTorch that all other products of matrices, and their gradients, are made of."""


@cache
def multiply_by_float32() -> torch.library.Library:
    """From now on this process multiplies bfloat16 so on the CPU. Nothing else changes, nor a bit of other products.

    Returns what holds PyTorch to it. Raises AttributeError in PyTorch before 2.9, which has no way back to its own.
    """
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators")  # that one is put in another's place
        for name in PRODUCTS:
            library.impl(name, _by_float32(name), "CPU", with_keyset=True)
    return library


def _by_float32(name: str) -> Callable[..., Tensor]:
    """PyTorch picks a kernel by the device, not by the type: its own, for other numbers, is called from here."""
    product = getattr(torch.ops.aten, name)
    its_own = torch.library.get_kernel(f"aten::{name}", "CPU")

    def kernel(keys: Any, *matrices: Tensor, **factors: float) -> Tensor:
        if all(matrix.dtype == torch.bfloat16 for matrix in matrices):
            result: Tensor = product(*(matrix.float() for matrix in matrices), **factors).to(torch.bfloat16)
        else:
            result = its_own.call_boxed(keys, *matrices, **factors)
        return result

    return kernel
