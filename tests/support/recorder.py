"""A tracker that keeps what it is told, for all runs and processes of a test, and may fail on the way."""

from __future__ import annotations

from typing import ClassVar

from bench.tracking.interface import Axis, Rows, State, TrackedRun


class Recorder:
    """told: (run, stage, axis, place, numbers), in the order of being told.   fails_at: which telling raises.

    has: what it says that it has kept.
    """

    told: ClassVar[list[tuple[str, str, Axis, int, dict[str, float]]]] = []
    begun: ClassVar[list[TrackedRun]] = []
    ended: ClassVar[list[State]] = []
    fails_at: ClassVar[str] = ""
    has: ClassVar[dict[str, int] | None] = None

    def begin(self, run: TrackedRun) -> None:
        self._fail("begin")
        self.run = run
        self.begun.append(run)

    def kept(self) -> dict[str, int] | None:
        return self.has

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        self._fail(axis)
        self.told.extend((self.run.name, stage, axis, at, dict(values)) for at, values in rows)

    def end(self, state: State) -> None:
        self._fail("end")
        self.ended.append(state)

    def _fail(self, at: str) -> None:
        if at == self.fails_at:
            raise OSError(28, f"no space left for {at}")
