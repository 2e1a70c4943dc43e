"""What a stage computes in, where that is left to the machine; and what is computed in float32 at least."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

from bench.nn.bfloat16_products import are_made_one_by_one, multiply_by_float32
from bench.runs.recipe import AskedPrecision, Precision

ENOUGH_FOR_BFLOAT16 = 256
"""Hidden size of an encoder from which on a CPU's bfloat16 instructions pay: with 128 (`tiny`) steps were no faster."""


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float32, or as it is where it is wider."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def settled_precision(asked: AskedPrecision, device: torch.device, encoder_size: int) -> Precision:
    """What a stage that begins on `device` computes in, whose encoder has the hidden size `encoder_size` (0: none).

    "auto" is bfloat16 on a GPU that CUDA knows, and on a CPU with instructions for it where the encoder is wide enough
    to gain by them; "bf16-on-gpu" is so on the GPU alone. Either is float32 elsewhere.
    """
    if asked == "fp32" or asked == "bf16":
        return asked
    if device.type == "cuda":
        return "bf16"
    on_cpu = asked == "auto" and device.type == "cpu" and encoder_size >= ENOUGH_FOR_BFLOAT16
    return "bf16" if on_cpu and bfloat16_instructions() else "fp32"


def precision_context(device: torch.device, precision: str) -> torch.autocast:
    """Autocast to bf16 for "bf16"; for "fp32" a context that changes nothing.

    An "auto" here is of a stage from before what it means was written down: bf16 on a GPU, as it meant then.
    """
    half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    if half and device.type == "cpu" and are_made_one_by_one():
        multiply_by_float32()
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


@cache
def bfloat16_instructions() -> tuple[str, ...]:
    """What this processor has to multiply bfloat16 matrices by; nothing where torch cannot tell."""
    capabilities: Callable[[], Mapping[str, object]] | None = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is None:  # torch before 2.10
        return ()
    found = capabilities()
    return tuple(name for name in ("avx512_bf16", "amx_bf16", "bf16") if found.get(name))  # the last is Arm's
