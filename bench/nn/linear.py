"""Linear layers that nothing is differentiated through: on the CPU by oneDNN, in half the time on some processors.

PyTorch has MKL multiply float32 numbers on the CPU, which uses AVX-512 on Intel's processors alone. oneDNN, which comes
with PyTorch as well, uses what the processor has; but its operation has no gradient.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows @ weight.T + bias`, as `torch.nn.functional.linear`. rows: [..., k].   weight: [n, k].   bias: [n]."""
    if not _by_onednn(rows, weight):
        return F.linear(rows, weight, bias)
    # In rows that lie apart or in a weight that is a view, oneDNN would multiply number by number.
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows.contiguous(), weight.contiguous(), bias, "none", [], "")
    return result


def _by_onednn(rows: Tensor, weight: Tensor) -> bool:
    return bool(
        not torch.is_grad_enabled()
        and rows.device.type == "cpu"
        and rows.dtype == weight.dtype == torch.float32
        and rows.numel() > 0
        and not torch.is_autocast_enabled("cpu")
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
