"""The status of a run: the states that it can be in, and what the process at it writes into `status.json`.

The process that carries a run out knows four states: it is `running`, and then `done`, `failed` or `interrupted`.
Whoever looks at the folder concludes a state from more than that file: from the record, the lock, the error and, where
there are jobs, from SLURM (`bench.launch.status`).
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

State = Literal[
    "done",
    "running",
    "suspended",
    "completing",
    "pending",
    "waiting",
    "unknown",
    "interrupted",
    "cancelled",
    "failed",
    "blocked",
    "damaged",
    "newer",
]
"""What can be said of a run.

suspended: SLURM has stopped its job for a while.   completing: its job is over, and SLURM has not said yet how.
pending: its job is in the queue.   waiting: for a stage before it, or for anybody to start it.
unknown: SLURM does not say whether it still has the job.
blocked: a stage that it needs has failed.   damaged: its plan or its record is not what was written, or cannot be
right.   newer: a newer version of the program has made its plan, its record or a stage of it; it is kept as it is.
"""
SETTLED: tuple[State, ...] = ("done", "interrupted", "cancelled", "failed", "blocked", "damaged", "newer")
"""States that do not change unless someone does something."""
UNDER_WAY: tuple[State, ...] = ("running", "suspended", "completing", "pending", "unknown")
"""States in which a process or a job is at a run, or may be."""

DONE_IN_FILES = "finished"
"""How `status.json` spells the state `done`."""


class RunStatus(BaseModel):
    """What a process says of the run it is at. A field that it says nothing about is None, and absent in the file.

    time: when it said so, in seconds since 1970.   pid, host: the process.   job, node: where that is a job of SLURM,
    its id (123_4) and its machine.
    stage: the data it trains on, or "evaluation".   doing: in words.   step, steps: of what it is doing, of which there
    are `steps` in all; epoch, epochs: likewise.   best: dev F1 so far, percent.   eta: seconds to the end of the stage.
    result: the headline of a finished run, which took `seconds`.   error: why it failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: State | None = None
    time: float | None = None
    pid: int | None = None
    host: str | None = None
    job: str | None = None
    node: str | None = None
    stage: str | None = None
    doing: str | None = None
    step: int | None = None
    steps: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    best: float | None = None
    eta: float | None = None
    result: str | None = None
    seconds: float | None = None
    error: str | None = None

    def is_since(self, moment: float) -> bool:
        """Whether it was said at `moment` (seconds since 1970) or later."""
        return (self.time or 0) >= moment

    def as_json(self) -> dict[str, Any]:
        """The content of `status.json`."""
        content = self.model_dump(exclude_none=True)
        return content | {"state": DONE_IN_FILES} if self.state == "done" else content

    @classmethod
    def from_json(cls, content: Any) -> RunStatus:
        """What `as_json` gave, also of another version of the program; of anything else a status that says nothing."""
        if not isinstance(content, dict):
            return cls()
        known = {name: value for name, value in content.items() if name in cls.model_fields}
        if known.get("state") == DONE_IN_FILES:
            known["state"] = "done"
        try:
            return cls(**known)
        except ValidationError:
            return cls()
