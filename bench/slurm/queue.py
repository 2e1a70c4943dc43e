"""What SLURM says of our jobs: `squeue` of those it has, `sacct` of all, the more so of those that are over."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from bench.errors import BenchError
from bench.slurm.environment import clean_environment
from bench.slurm.states import ENDS, meaning

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


class NoAccountingError(SchedulerError):
    """This cluster keeps no accounts of jobs."""


@dataclass(frozen=True)
class Queued:
    """A job that SLURM has: pending, running, or on its way from one to the other. state: see `bench.slurm.states`."""

    name: str
    state: str
    node: str
    reason: str


@dataclass(frozen=True)
class Accounted:
    """A job as SLURM's accounting knows it, over or not. state: see `bench.slurm.states`."""

    state: str
    exit_code: str
    node: str


def command(arguments: Sequence[str], timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """The output of a command of SLURM. Raises SchedulerError with what it said."""
    try:
        done = subprocess.run(
            arguments,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            check=False,
            env=clean_environment(),
        )
    except FileNotFoundError:
        raise SchedulerError(f"{arguments[0]}: not found. Is this a machine of a SLURM cluster?") from None
    except subprocess.TimeoutExpired:
        raise SchedulerError(f"{arguments[0]}: no answer within {timeout_seconds} s") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise SchedulerError(f"{arguments[0]}: {said}")
    return done.stdout


def queued_jobs() -> dict[ArrayIndex, Queued]:
    """Every array task of this user that SLURM has. Raises SchedulerError."""
    told = command(["squeue", "--me", "--noheader", "--array", "--format=%F|%K|%T|%N|%r|%j"])
    jobs = {}
    for array, index, state, node, reason, name in _rows("squeue", told, 6):
        # What has no index is not a job of ours: those are arrays. What is over is not in the queue any more.
        if index.isdigit() and meaning(state) not in ENDS:
            jobs[ArrayIndex(array, int(index))] = Queued(name, state, node, reason)
    return jobs


def accounted_jobs(asked: Collection[ArrayIndex]) -> dict[ArrayIndex, Accounted]:
    """What SLURM's accounting says of some tasks. Raises SchedulerError, where there is none NoAccountingError.

    A task that it does not know is left out, unless it says that it could not look: then that is raised.
    """
    arrays = ",".join(sorted({job.array for job in asked}))
    if not arrays:
        return {}
    asking = ["sacct", "-X", "--noheader", "--parsable2", "--format=JobID,State,ExitCode,NodeList", f"--jobs={arrays}"]
    try:
        told = command(asking)
    except SchedulerError as error:
        if re.search(r"accounting storage is disabled|: not found", str(error)):
            raise NoAccountingError(str(error)) from error
        raise
    tasks: dict[ArrayIndex, Accounted] = {}
    whole: dict[str, Accounted] = {}
    for job, state, exit_code, node in _rows("sacct", told.replace("None assigned", ""), 4):
        account = Accounted(state.split(" ")[0], exit_code, node)  # "CANCELLED by 1000"
        if "_" in job and "..." not in job:
            tasks |= dict.fromkeys(_array_indices(job), account)
        else:
            # An array of one task that never started is told without its index. Of a list that is cut although it was
            # asked for whole, those without a line of their own are the rest.
            whole[job.partition("_")[0]] = account
    known = {job: tasks.get(job) or whole[job.array] for job in asked if job in tasks or job.array in whole}
    if len(known) < len(set(asked)) and (trouble := re.search(r"^(sacct|slurm\w*): error: .*$", told, re.MULTILINE)):
        raise SchedulerError(trouble[0])  # with an exit status of 0, as some versions end
    return known


def _rows(asked: str, told: str, fields: int) -> list[list[str]]:
    """The fields of each line of an answer that is of a job; what a site prints besides begins with no job's id.

    asked: the command.   fields: their number; the last may have a `|` in it. Raises SchedulerError where a line of a
    job is of another form: a job whose line is passed over would be taken for over, and submitted again.
    """
    rows = []
    for line in map(str.strip, told.splitlines()):
        if not re.match(r"\d+([_|]|$)", line):  # "CLUSTER: name", where SLURM_CLUSTERS names one
            continue
        row = line.split("|", fields - 1)
        if len(row) < fields:
            raise SchedulerError(f"{asked}: a line of a job that cannot be read: {line!r}")
        rows.append(row)
    return rows


def _array_indices(job: str) -> list[ArrayIndex]:
    """The tasks that sacct means by a job: `7_3` is one, `7_[1-3,5%2]` are four, `7_[0-80:2%4]` are 41."""
    array, _, index = job.partition("_")
    if index.isdigit():
        return [ArrayIndex(array, int(index))]
    indices: list[int] = []
    for part in index.strip("[]").partition("%")[0].split(","):
        if spread := re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part):
            indices += range(int(spread[1]), int(spread[2] or spread[1]) + 1, int(spread[3] or 1))
    return [ArrayIndex(array, index) for index in indices]
