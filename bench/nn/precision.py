"""Which precision is best on a machine, where that is left to it; and what is computed in float32 at least."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.runs.recipe import Precision


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is wider."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def best_precision(device: torch.device) -> Precision:
    """What `precision = "auto"` means on `device`."""
    return "bf16" if device.type == "cuda" else "fp32"
