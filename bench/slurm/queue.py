"""What SLURM says of our jobs: `squeue` for those it has, `sacct` for those that are over."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.errors import BenchError

TIMEOUT_SECONDS = 60
OUT_OF_MEMORY = (
    "out of memory: the job was killed. Ask for more (memory in the profile), or lower batch_size "
    "(--set batch_size=..., and raise accumulate for the same update)"
)


@dataclass(frozen=True)
class ArrayIndex:
    """A job of ours, as SLURM knows it: the id of an array, and an index in it."""

    array: str
    index: int

    def __str__(self) -> str:
        return f"{self.array}_{self.index}"


class SchedulerError(BenchError):
    """SLURM cannot be asked: its commands are not there, or nobody answers them."""


@dataclass(frozen=True)
class Queued:
    """A job that SLURM has: pending, running, or on its way from one to the other."""

    name: str
    state: str
    node: str
    reason: str


@dataclass(frozen=True)
class Ended:
    """A job that SLURM has no more. state: COMPLETED, FAILED, TIMEOUT, OUT_OF_MEMORY, CANCELLED, NODE_FAIL, ..."""

    state: str
    exit_code: str
    node: str


def command(arguments: Sequence[str]) -> str:
    """The output of a command of SLURM. Raises SchedulerError with what it said."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except FileNotFoundError:
        raise SchedulerError(f"{arguments[0]}: not found. Is this a machine of a SLURM cluster?") from None
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"{arguments[0]}: no answer within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise SchedulerError(f"{arguments[0]}: {said}")
    return done.stdout


def queued_jobs() -> dict[ArrayIndex, Queued]:
    """Every array task of this user that SLURM has. Raises SchedulerError."""
    lines = command(["squeue", "--me", "--noheader", "--array", "--format=%F|%K|%T|%N|%r|%j"]).splitlines()
    jobs = {}
    for line in lines:
        array, index, state, node, reason, name = line.strip().split("|", 5)
        if index.isdigit():  # not a job of ours: those are arrays
            jobs[ArrayIndex(array, int(index))] = Queued(name, state, node, reason)
    return jobs


def ended_jobs(asked: Collection[ArrayIndex]) -> dict[ArrayIndex, Ended]:
    """How some tasks went, by SLURM's accounting. Raises SchedulerError (also where there is none)."""
    arrays = ",".join(sorted({job.array for job in asked}))
    if not arrays:
        return {}
    lines = command(
        ["sacct", "-X", "--noheader", "--parsable2", "--format=JobID,State,ExitCode,NodeList", f"--jobs={arrays}"]
    ).splitlines()
    tasks: dict[ArrayIndex, Ended] = {}
    whole: dict[str, Ended] = {}
    for line in lines:
        job, state, exit_code, node = line.replace("None assigned", "").split("|")[:4]
        ended = Ended(state.split(" ")[0], exit_code, node)  # "CANCELLED by 1000"
        if "_" in job:
            tasks |= dict.fromkeys(_array_indices(job), ended)
        else:
            whole[job] = ended  # an array of one task that never started is told without its index
    return {job: tasks.get(job) or whole[job.array] for job in asked if job in tasks or job.array in whole}


def _array_indices(job: str) -> list[ArrayIndex]:
    """The tasks that sacct means by a job: `7_3` is one, `7_[1-3,5%2]` are four."""
    array, _, index = job.partition("_")
    if index.isdigit():
        return [ArrayIndex(array, int(index))]
    indices: list[int] = []
    for part in index.strip("[]").partition("%")[0].split(","):
        if spread := re.fullmatch(r"(\d+)(?:-(\d+))?", part):
            indices += range(int(spread[1]), int(spread[2] or spread[1]) + 1)
    return [ArrayIndex(array, index) for index in indices]
