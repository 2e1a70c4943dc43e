"""Where and when something was computed, how long it took, and with what versions: no part of what was planned."""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from bench.cores import allotted_cores, asked_threads, usable_cores
from bench.errors import plural
from bench.filesystem import write_json
from bench.nn.devices import device_name
from bench.runs.executions import executions, provenance_path


class Execution:
    """One execution of a run or a stage, with its part in the `provenance.json` of the folder.

    The file has the first start, the seconds of all executions together, and of the last one machine, device, threads,
    cores that it might use, processes that trained together and versions; under `executions` each with its own. A
    result may depend on these to rounding, and by the draw of dropout.

    at_work: whether it has got to work; until then there is nothing to write down.
    job: what there is to say now of the job that this is a part of.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        processes: int,
        job: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._job = job
        self.folder, self.path = folder, provenance_path(folder)
        self.at_work = False
        self._began, self._written = time.monotonic(), -math.inf  # the first time at once: what goes on needs it
        self._about: dict[str, Any] = {
            "started": datetime.now(UTC).isoformat(timespec="microseconds"),
            "seconds": 0.0,
            "host": platform.node(),
            "pid": os.getpid(),
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "cores": usable_cores(),
            "processes": processes,
            "versions": {name: version(name) for name in ("docre-bench", "torch", "transformers", "numpy")},
        }

    def write(self) -> None:
        """Write the file with what this execution took so far beside what others did."""
        self._written = time.monotonic()
        self._about["seconds"] = round(self._written - self._began, 1)
        # Read anew: where a cluster takes a node for dead that is not, two executions are at it.
        every = [one for one in executions(self.folder) if not self._is(one)] + [{**self._about, **self._job()}]
        total = {"started": every[0]["started"], "seconds": round(sum(one["seconds"] for one in every), 1)}
        write_json(self.path, {**self._about, **total, "executions": every}, 1)

    def write_if_due(self, every: float) -> None:
        """The same, if it is at work and the last time is so many seconds ago."""
        if self.at_work and time.monotonic() - self._written >= every:
            self.write()

    def _is(self, written: dict[str, Any]) -> bool:
        return all(written.get(name) == self._about[name] for name in ("started", "host", "pid"))


def say_if_elsewhere(folder: Path, device: torch.device) -> None:
    """Say it where what goes on in `folder` began on another kind of device, whose sums may be rounded otherwise."""
    if _began_elsewhere(folder, device):
        said = f"began on {_told_at_first(folder, 'device')} and goes on with {device_name(device)}"
        why = "what comes out may not be what it would have been in one go"
        print(f"bench: {folder}: {said}: {why}", file=sys.stderr, flush=True)


@contextmanager
def threads_as_begun(folder: Path, device: torch.device) -> Iterator[None]:
    """Within this block torch has as many threads as what goes on in `folder` began with, where it may; says if not.

    Sums are rounded otherwise by another number, so that what was interrupted would come out otherwise than in one go;
    and how many it began with was free cores' doing, which are others by now. What the user or SLURM says goes first,
    and there are never more threads than cores to use. A GPU's sums depend on none of this.
    """
    given = torch.get_num_threads()
    elsewhere = device.type == "cuda" or _began_elsewhere(folder, device)
    began = given if elsewhere else _threads_at_first(folder) or given
    may = not asked_threads() and not allotted_cores() and began <= usable_cores()
    threads = began if may else given
    if began != given:
        said = (
            f"goes on with {plural(threads, 'thread')} as it began, to the same bits (OMP_NUM_THREADS={given} has it "
            f"take {given})"
            if may
            else f"began with {plural(began, 'thread')} and goes on with {given}: its sums are rounded otherwise from "
            "here on than in one go"
        )
        print(f"bench: {folder}: {said}", file=sys.stderr, flush=True)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(given)


def _began_elsewhere(folder: Path, device: torch.device) -> bool:
    """Whether it is known that the first execution was on another kind of device.

    The first versions named a CPU by its kind alone, or "cpu", which tells nothing of its instructions.
    """
    began, here = _told_at_first(folder, "device"), device_name(device)
    if not isinstance(began, str):
        return False
    may_be_this = device.type == "cpu" and (began == "cpu" or here.startswith(f"{began} ("))
    return began != here and not may_be_this


def _threads_at_first(folder: Path) -> int | None:
    first = _told_at_first(folder, "threads")
    return first if type(first) is int and first > 0 else None


def _told_at_first(folder: Path, name: str) -> Any:
    return next((one.get(name) for one in executions(folder)), None)


def slurm_job() -> dict[str, str]:
    """The SLURM job that this process is, as `squeue` writes it (123_4), and its node; empty outside of one."""
    if "SLURM_ARRAY_JOB_ID" not in os.environ:
        return {}
    job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return {"job": job, "node": os.environ.get("SLURMD_NODENAME", "")}
