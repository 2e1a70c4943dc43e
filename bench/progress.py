"""What state each run is in, read from the output folder alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.records import RunFolder, run_folders


@dataclass(frozen=True)
class RunState:
    """One run. state: done, running, interrupted, failed, damaged or waiting; detail: what a person wants to know."""

    run: str
    model: str
    variant: str
    dataset: str
    setting: str
    encoder: str
    seed: int
    state: str
    detail: str


def run_states(out: Path) -> list[RunState]:
    """The state of every run planned in `out`."""
    return [_state(folder) for folder in run_folders(out)]


def _state(folder: RunFolder) -> RunState:
    plan = folder.plan()
    if plan is None:
        return RunState(folder.name, "?", "", "?", "?", "?", -1, "damaged", f"{folder.path / 'run.json'} is unreadable")
    state, detail = _what_is_there(folder)
    return RunState(
        folder.name, plan.model, plan.variant, plan.dataset, plan.setting, plan.encoder, plan.seed, state, detail
    )


def _what_is_there(folder: RunFolder) -> tuple[str, str]:
    record = folder.record()
    if record is not None:
        return "done", record.headline
    status = folder.status()
    if _is_locked(folder):
        epoch = f", epoch {status['epoch']}/{status.get('epochs')}" if "epoch" in status else ""
        return "running", f"{status.get('stage', 'starting')}{epoch} on {status.get('host', '?')}"
    if error := folder.error():
        return "failed", error.partition("\n")[0]
    if folder.has_damaged_record():
        return "damaged", "its record is not what was written; `bench run` evaluates again"
    if status.get("state") in ("running", "interrupted"):
        return "interrupted", "`bench run` goes on from the last checkpoint"
    return "waiting", ""


def _is_locked(folder: RunFolder) -> bool:
    """Whether a process is at the run: its lock is held as long as it lives. Not to be seen in another's folder."""
    if not os.access(folder.path / "lock", os.W_OK):
        return False
    try:
        with FileLock(folder.path / "lock", blocking=False):
            return False
    except Timeout:
        return True
