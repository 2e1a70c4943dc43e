"""Weights & Biases: online where a key is, offline below the output folder where none is (`wandb sync` sends it)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from bench.tracking import wandb_files
from bench.tracking.interface import PROJECT, Axis, Rows, State, TrackedRun, place


class WeightsAndBiases:
    """A run by the key of ours, so that what goes on there is the run that it was."""

    def begin(self, run: TrackedRun) -> None:
        """Begin the run, or go on with it. WANDB_MODE, WANDB_PROJECT and WANDB_DIR of the environment go first."""
        import wandb

        # Silent, and without the console: it would write over the live display, and take what runs print for its own.
        settings = wandb.Settings(silent=True, console="off")
        wandb.setup(settings)
        # Not verified: that would ask the server, and where there is none, init tells.
        mode = os.environ.get("WANDB_MODE")
        offline = mode == "offline" if mode else not wandb.login(prompt=False, verify=False)
        folder = Path(os.environ.get("WANDB_DIR", run.folder / "wandb"))
        folder.mkdir(parents=True, exist_ok=True)
        self._kept = wandb_files.kept(folder, run.key) if offline else None
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.key,
            name=run.name,
            group=run.group,
            config=dict(run.config),
            dir=str(folder),
            mode="offline" if offline else None,
            resume="allow",
            settings=settings,
        )
        self._placed: set[str] = set()

    def kept(self) -> dict[str, int] | None:
        """What its files have of the run, where it is offline: of a process that was killed they may have nothing."""
        return self._kept

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        """Rows with their places on their own axis: W&B's step only rises, and stages begin anew."""
        own = place(stage, axis)
        for at, values in rows:
            if axis == "run":
                self._run.log(values)
                continue
            for name in values.keys() - self._placed:
                self._run.define_metric(name, step_metric=own)
            self._placed |= values.keys()
            self._run.log({own: at, **values})

    def end(self, state: State) -> None:
        """Write the rest; a run that failed or was interrupted is marked as such."""
        self._run.finish(exit_code=0 if state == "finished" else 1)
