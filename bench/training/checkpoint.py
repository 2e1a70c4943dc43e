"""Weights and training state on disk: safetensors beside JSON, verified by checksum when read. Nothing is pickled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from bench.filesystem import read_sealed, write_atomically, write_sealed

KEPT = 2
"""Checkpoints kept of an unfinished stage: the last, and the one before it should the last be damaged."""


class DamagedFileError(Exception):
    """Tensors that are not what was written: truncated, changed, or without their description."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write `tensors` to `path` and then `state` with their checksum beside it: a reader needs both."""
    content = safetensors.torch.save(_apart(tensors))
    write_atomically(path, content)
    state = {**state, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    write_sealed(path.with_suffix(".json"), "state", state)


def load_state(path: Path) -> dict[str, Any]:
    """The `state` that `save_tensors` wrote for `path`, with `tensors_sha256`. Raises DamagedFileError."""
    state: dict[str, Any] | None = read_sealed(path.with_suffix(".json"), "state")
    if state is None:
        raise DamagedFileError(f"{path}: no readable description beside it")
    return state


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote. Raises DamagedFileError."""
    state = load_state(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    if hashlib.sha256(content).hexdigest() != state["tensors_sha256"]:
        raise DamagedFileError(f"{path}: not the content that was written (checksum)")
    return safetensors.torch.load(content), state


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, each with memory of its own: safetensors refuses tied weights, a model may have them."""
    apart: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        copy = tensor.detach().cpu().contiguous()
        place = copy.untyped_storage().data_ptr()
        apart[name] = copy.clone() if place in seen else copy
        seen.add(place)
    return apart


class Checkpoints:
    """The checkpoints of one stage, by step, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[str] = []

    def save(self, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
        """Write the state of training after `step` updates, then drop all but the newest two."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for i, values in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": value for name, value in values.items()}
        save_tensors(self._path(step), tensors, {"step": step, **state})
        for old in self._steps()[:-KEPT]:
            self._remove(old)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
        """Put the newest undamaged checkpoint into `model` and `optimizer`; its state, or None without one."""
        for step in reversed(self._steps()):
            try:
                tensors, state = load_tensors(self._path(step))
            except DamagedFileError as error:
                self.damaged.append(str(error))
                self._remove(step)
                continue
            model.load_state_dict(_below(tensors, "model."))
            moments: dict[int, dict[str, Tensor]] = {}
            for name, tensor in _below(tensors, "optimizer.").items():
                i, _, key = name.partition(".")
                moments.setdefault(int(i), {})[key] = tensor
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
            return state
        return None

    def drop(self, unwanted: Callable[[dict[str, Any]], bool] = lambda state: True) -> int:
        """Remove those whose state is `unwanted` (all of them by default, and any that cannot be read). How many."""
        dropped = 0
        for step in self._steps():
            try:
                if not unwanted(load_state(self._path(step))):
                    continue
            except DamagedFileError:
                pass  # of no use to anyone
            self._remove(step)
            dropped += 1
        return dropped

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:08d}.safetensors"

    def _steps(self) -> list[int]:
        names = (re.fullmatch(r"step-(\d+)\.safetensors", path.name) for path in self.folder.glob("step-*"))
        return sorted(int(name[1]) for name in names if name)

    def _remove(self, step: int) -> None:
        # The description first: tensors without one are no checkpoint.
        self._path(step).with_suffix(".json").unlink(missing_ok=True)
        self._path(step).unlink(missing_ok=True)


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
