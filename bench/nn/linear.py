"""Linear layers by oneDNN, which on the CPU takes half the time of MKL on some processors.

PyTorch has MKL multiply float32 numbers on the CPU, which uses AVX-512 on Intel's processors alone. oneDNN, which comes
with PyTorch as well, uses what the processor has; but its operation has no gradient, so that is here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGE = 2**16
"""Numbers in a weight from which on the calls of a gradient of our own cost less than they save."""


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows @ weight.T + bias`, as `torch.nn.functional.linear`. rows: [..., k].   weight: [n, k].   bias: [n]."""
    if not _by_onednn(rows, weight):
        return F.linear(rows, weight, bias)
    if torch.is_grad_enabled():
        # Whatever the rows: how many there are must not decide what numbers come out.
        if weight.numel() < LARGE:
            return F.linear(rows, weight, bias)
        with_gradient: Tensor = _Linear.apply(rows, weight, bias)
        return with_gradient
    return product(rows, weight, bias)


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`linear` by oneDNN, without gradient, of float32 numbers on the CPU."""
    # In rows that lie apart or in a weight that is a view, oneDNN would multiply number by number.
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows.contiguous(), weight.contiguous(), bias, "none", [], "")
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        (of_output,) = grad
        flat = of_output.reshape(-1, of_output.shape[-1])
        of_rows, of_weight, of_bias = ctx.needs_input_grad
        return (
            # Not `product`: whoever differentiates twice has gradients of these, too.
            linear(of_output, weight.T) if of_rows else None,
            linear(flat.T, rows.reshape(-1, rows.shape[-1]).T) if of_weight else None,
            flat.sum(0) if of_bias else None,
        )


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    return bool(
        rows.device.type == "cpu"
        and rows.dtype == weight.dtype == torch.float32
        and rows.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()  # which makes kernels of its own
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
    )


class Linear(nn.Linear):
    """`nn.Linear` through `linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """input: [..., in_features].   Returns [..., out_features]."""
        return linear(input, self.weight, self.bias)


def through_linear(module: nn.Module) -> None:
    """Have every `nn.Linear` in a module compute by `linear`; subclasses of it, which may do otherwise, are left."""
    for layer in module.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = Linear
