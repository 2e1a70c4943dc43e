"""Which attempt of a task counts: where SLURM takes a node for dead that is not, two processes are at the same task.

An attempt writes itself down in `slurm/attempts/TASK.json` when it starts. One that finds a newer attempt there leaves
at once, without a checkpoint, an error or a status of its own, and nothing is requeued for it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.filesystem import read_checked, write_checked
from bench.runs.interrupt import Interrupt
from bench.slurm.tasks import Task

LOOK_SECONDS = 5.0
"""Between two looks at whether there is a newer attempt."""


class SupersededError(BaseException):
    """A newer attempt of this task has started. Not an Exception: nothing is to be written down for it."""


@dataclass(frozen=True, order=True)
class Attempt:
    """One start of a task's job. The names of submissions begin with their time; restarts: of this job, by SLURM."""

    submission: str
    restarts: int

    @classmethod
    def of_job(cls, submission: str, environment: Mapping[str, str] = os.environ) -> Attempt:
        """The attempt that this process is part of, by the variables of its job."""
        return cls(submission, int(environment.get("SLURM_RESTART_COUNT") or 0))


def start_attempt(out: Path, task: Task, attempt: Attempt) -> None:
    """Write down that an attempt has started, unless a newer one has."""
    if not is_superseded(out, task, attempt):
        write_checked(_path(out, task), vars(attempt))


def is_superseded(out: Path, task: Task, attempt: Attempt) -> bool:
    """Whether a newer attempt of the task has started."""
    newest = read_checked(_path(out, task))
    try:
        return newest is not None and Attempt(**newest) > attempt
    except TypeError:  # not what was written
        return False


def _path(out: Path, task: Task) -> Path:
    return out / "slurm" / "attempts" / task.file_name


class Fence(Interrupt):
    """Signals that ask a job to stop, and once it guards a task the end of an attempt that counts no more."""

    def __init__(self) -> None:
        super().__init__()
        self._guarded: tuple[Path, Task, Attempt] | None = None
        self._looked = 0.0

    def guard(self, out: Path, task: Task, attempt: Attempt) -> None:
        """From now on raise SupersededError when asked and a newer attempt has started."""
        self._guarded = out, task, attempt

    def asked(self) -> signal.Signals | None:
        """The signal that has come, if one has. Raises SupersededError."""
        if self._guarded and time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            if is_superseded(*self._guarded):
                raise SupersededError
        return super().asked()
