"""TensorBoard: event files below the output folder."""

from __future__ import annotations

from typing import Any

from bench.tracking.interface import Axis, Rows, State, TrackedRun


class TensorBoard:
    """A folder of event files for each run: `tensorboard --logdir results/tracking/tensorboard`."""

    def begin(self, run: TrackedRun) -> None:
        """Open another file of events beside those that are there."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(run.folder / "tensorboard" / run.name))
        rows = "\n".join(f"| {name} | {value} |" for name, value in run.config.items())
        self._writer.add_text("config", f"| | |\n|---|---|\n{rows}", 0)

    def kept(self) -> None:
        """It keeps what it is told."""

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        """A scalar each; those by epoch have the epoch where others have the step."""
        for at, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(name, value, at)
        self._writer.flush()

    def end(self, state: State) -> None:
        """Close the file."""
        self._writer.close()
