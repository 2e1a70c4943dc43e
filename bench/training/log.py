"""The early record of a stage: loss parts and learning rates by step, as JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.filesystem import naming, write_atomically

FLUSH_EVERY = 10
"""Steps between writes: the losses stay on the device until then, so that a step never waits for them."""


class StepLog:
    """`log.jsonl` of a stage. After a resume it holds each step once, whatever was written before the interruption.

    on_lines: is given the lines that were written.
    """

    def __init__(
        self,
        path: Path,
        from_step: int,
        on_lines: Callable[[Sequence[dict[str, Any]]], None] = lambda lines: None,
    ) -> None:
        self.path = path
        self._waiting: list[tuple[dict[str, Any], dict[str, Tensor]]] = []
        self._on_lines = on_lines
        self._drop_from(from_step)

    def _drop_from(self, step: int) -> None:
        if not self.path.exists():
            return
        lines = []
        for line in self.path.read_bytes().splitlines():
            try:
                if json.loads(line)["step"] < step:
                    lines.append(line + b"\n")
            except (ValueError, KeyError, TypeError):
                continue  # damaged, or being written when the process died
        write_atomically(self.path, b"".join(lines))

    def add(self, values: dict[str, Any], losses: dict[str, Tensor], gradient_norm: Tensor) -> None:
        """One update: `values` has at least `step`; the parts of the loss and the norm are scalars on the device.

        A model may leave a part out where it has no use for it: a line has the parts of its own update.
        """
        parts = {f"loss/{name}": loss.detach() for name, loss in losses.items()}
        self._waiting.append((values, {**parts, "gradient_norm": gradient_norm.detach()}))
        if len(self._waiting) >= FLUSH_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what was added since the last time to the file. Raises OSError; the file then has none of it."""
        if not self._waiting:
            return
        # One transfer from the device for all of them.
        numbers = iter(torch.stack([number.float() for _, row in self._waiting for number in row.values()]).tolist())
        lines = []
        for values, row in self._waiting:
            measured = {name: next(numbers) for name in row}
            parts = [number for name, number in measured.items() if name.startswith("loss/")]
            lines.append({**values, "loss": sum(parts), **measured})
        self._append("".join(json.dumps(line) + "\n" for line in lines).encode())
        self._waiting.clear()
        self._on_lines(lines)

    def _append(self, content: bytes) -> None:
        with naming(self.path), self.path.open("ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                # What a full disk takes is less than what it is given, without an error.
                while content:
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(size)
                raise
