"""Tensors in a sealed file, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from bench.filesystem import DamagedFileError, load_state, write_atomically, write_sealed


def save_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write `tensors` to `path` and then `state` with their checksum beside it: a reader needs both."""
    content = safetensors.torch.save(_apart(tensors))
    write_atomically(path, content)
    state = {**state, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    write_sealed(path.with_suffix(".json"), "state", state)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the state that `save_tensors` wrote. Raises DamagedFileError where that is not there."""
    state = load_state(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    if hashlib.sha256(content).hexdigest() != state["tensors_sha256"]:
        raise DamagedFileError(f"{path}: not the content that was written (checksum)")
    return safetensors.torch.load(content), state


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each with memory of its own: safetensors refuses tied weights, which a model may have."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        place = copy.untyped_storage().data_ptr()
        apart[name] = copy.clone() if place in seen else copy
        seen.add(place)
    return apart
