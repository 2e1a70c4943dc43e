"""Weights and training state on disk: safetensors beside JSON, verified by checksum when read. Nothing is pickled."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.filesystem import DamagedFileError, load_state
from bench.nn.weights import load_tensors, save_tensors

KEPT = 2
"""Checkpoints kept of an unfinished stage: the last, and the one before it should the last be damaged."""


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
        """Remove checkpoints whose state is `unwanted` (by default all) or cannot be read; how many that were."""
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
