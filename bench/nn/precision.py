"""Which precision is best on a machine, where that is left to it."""

from __future__ import annotations

import torch

from bench.runs.recipe import Precision


def best_precision(device: torch.device) -> Precision:
    """What `precision = "auto"` means on `device`."""
    return "bf16" if device.type == "cuda" else "fp32"
