"""Trackio: the database that `trackio show` opens, in its own folder (TRACKIO_DIR), or a Space (TRACKIO_SPACE_ID)."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

from bench.tracking.interface import PROJECT, Axis, Rows, State, TrackedRun, place


class Trackio:
    """A run by the name of its folder."""

    def begin(self, run: TrackedRun) -> None:
        """Begin the run, or go on with it. TRACKIO_PROJECT of the environment goes first."""
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):  # how to open the dashboard, into the live display
            self._run: Any = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=run.name,
                group=run.group,
                config={**run.config, "key": run.key},
                resume="allow",
                embed=False,
            )

    def kept(self) -> None:
        """It keeps what it is told, half a second later."""

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        """Rows with their places on their own axis, which the dashboard offers for x."""
        for at, values in rows:
            self._run.log({**values} if axis == "run" else {place(stage, axis): at, **values})

    def end(self, state: State) -> None:
        """Wait until all is written."""
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):
            trackio.finish()
