"""Which device there is to compute on, and what has to be set before anything uses it. Importing it loads no torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# cuBLAS repeats a product to the bit only with a workspace of fixed size, asked for before it starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR"}
"""Environment of processes that train together: torch warns of what DDP was asked for, and of peers that have ended."""


def this_device() -> torch.device:
    """What a process computes on: the GPU that it sees (the first of several), else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """The GPU by its name, the CPU by its kind and by instructions that PyTorch takes: they decide most of rounding."""
    import torch

    from bench.nn.precision import bfloat16_instructions

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    instructions = (torch.backends.cpu.get_cpu_capability(), *bfloat16_instructions())
    return f"{platform.processor() or platform.machine()} ({', '.join(instructions)})"


def set_seed(device: torch.device, number: int) -> None:
    """Seed what random numbers on `device` are drawn from, as `torch.manual_seed` does for all devices.

    On the CPU that spares a millisecond, and memory that is never given back: PyTorch writes down from where each kind
    of device was seeded that has not been used yet.
    """
    import torch

    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def visible_gpus(count: int, environment: Mapping[str, str] = os.environ) -> list[str]:
    """The GPUs a process may use, as CUDA_VISIBLE_DEVICES names them; where it says nothing, the first `count`."""
    return environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
