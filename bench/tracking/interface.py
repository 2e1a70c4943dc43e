"""What a tracker is told of a run. Another one is a module with such a class, and its line in `TRACKERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

PROJECT = "docre-bench"
"""What the project, or experiment, of all runs is called in every tracker."""
Axis = Literal["step", "epoch", "run"]
"""What a number is counted along: updates of a stage (from 0), its epochs (from 1), or nothing, of the whole run."""
Rows = Sequence[tuple[int, Mapping[str, float]]]
"""Places on an axis, each with finite numbers by their names."""
State = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class TrackedRun:
    """A run as trackers know it.

    name: of its folder, which no other run has.   key: a hash of all that decides its result.   group: what runs that
    differ in their seed alone have in common.   config: everything it was planned with, flat.
    folder: where trackers that keep files keep them.
    """

    name: str
    key: str
    group: str
    config: Mapping[str, str | int | float | bool]
    folder: Path


def place(stage: str, axis: Axis) -> str:
    """What an axis of a stage is called: `human/step`."""
    return f"{stage}/{axis}"


class Tracker(Protocol):
    """One tool, told of one run after another. Whatever it raises is told once, and leaves it out of the run."""

    def begin(self, run: TrackedRun) -> None:
        """A run begins, or goes on: what was told of it before, by another process perhaps, is still there."""

    def kept(self) -> Mapping[str, int] | None:
        """How far along each axis of the run (`place`) it has kept what it was told, before this time.

        None where it keeps whatever it is told, or cannot say: then what was told counts.
        """

    def scalars(self, stage: str, axis: Axis, rows: Rows) -> None:
        """Numbers of a run along an axis.

        stage: its name, with which the names of its numbers begin; empty for those of the whole run. Along an axis of
        a stage places rise from call to call, and nothing is told twice.
        """

    def end(self, state: State) -> None:
        """Nothing more comes of the run in this process."""
