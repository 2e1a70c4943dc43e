"""What was submitted, as files in the output folder: any process on any machine that sees the folder can take over.

`slurm/submissions/NAME.json` is written before the array is submitted and given its id after: the names of the array's
jobs end in NAME, so that even one whose id was never written is found in the queue. `slurm/cancelled/*.json` name the
jobs that somebody asked to cancel, and of packed jobs (several runs on one GPU) the members.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.filesystem import read_checked, write_checked
from bench.runs.outline import RunOutline
from bench.runs.settings import parts_of
from bench.slurm.profiles import Profile
from bench.slurm.queue import ArrayIndex, Queued
from bench.slurm.tasks import Task


@dataclass
class Submission:
    """One job array. job: its id, None while (or because) it is not known.   tasks: of each index, one or a pack.

    is_packed: whether the tasks of a job share a GPU, each in a process of its own.   track: trackers told of its runs.
    """

    name: str
    job: str | None
    profile: Profile
    checkpoint_seconds: float
    tasks: dict[int, list[Task]]
    track: Sequence[str] = ()
    is_packed: bool = False

    @property
    def all_tasks(self) -> list[Task]:
        """The tasks of all of its jobs."""
        return [task for tasks in self.tasks.values() for task in tasks]

    def jobs(self, index: int, array: str | None) -> list[Job]:
        """The job of an index, as it is that of each of its tasks. array: the id of the array, where it is known."""
        array_index = ArrayIndex(array, index) if array else None
        members = enumerate(self.tasks[index])
        return [Job(task, array_index, member if self.is_packed else None) for member, task in members]

    def write(self, out: Path) -> None:
        """Write the submission down in its output folder."""
        content = {
            "job": self.job,
            # Without what is not used, so that versions from before what came later can read it.
            "profile": self.profile.model_dump(mode="json", exclude_defaults=True),
            "checkpoint_seconds": self.checkpoint_seconds,
            "tasks": {
                str(index): [vars(task) for task in tasks] if self.is_packed else vars(tasks[0])
                for index, tasks in self.tasks.items()
            },
            # Only where there are any, so that versions from before can read it.
            **({"track": list(self.track)} if self.track else {}),
        }
        write_checked(submission_path(out, self.name), content)


def submission_path(out: Path, name: str) -> Path:
    """The file that a submission is written to."""
    return out / "slurm" / "submissions" / f"{name}.json"


def read_submission(out: Path, name: str) -> Submission | None:
    """The submission of that name, or None where there is none that can be read."""
    stored = read_checked(submission_path(out, name))
    if stored is None:
        return None
    try:
        return Submission(
            name=name,
            job=stored["job"],
            profile=Profile.model_validate(stored["profile"]),
            checkpoint_seconds=stored["checkpoint_seconds"],
            tasks={int(index): _tasks(told) for index, told in stored["tasks"].items()},
            track=tuple(map(str, stored.get("track", ()))),
            is_packed=any(isinstance(told, list) for told in stored["tasks"].values()),
        )
    except (KeyError, TypeError, ValueError, AttributeError):  # of another version, or without a checksum and damaged
        return None


def _tasks(told: Any) -> list[Task]:
    """The tasks of one index; without packs it is one, and no list in the file. Raises TypeError, ValueError."""
    tasks = [Task(**task) for task in (told if isinstance(told, list) else [told])]
    if not tasks:
        raise ValueError("a job without tasks")
    return tasks


def submissions(out: Path) -> list[Submission]:
    """Every submission of an output folder that can be read, oldest first: names begin with the time."""
    paths = sorted((out / "slurm" / "submissions").glob("*.json"))
    readable = (read_submission(out, path.stem) for path in paths)
    return [submission for submission in readable if submission is not None]


def unreadable_submissions(out: Path, readable: Sequence[Submission]) -> list[Path]:
    """The files of submissions that are not `readable`: which jobs these were is not known."""
    names = {submission.name for submission in readable}
    return [path for path in sorted((out / "slurm" / "submissions").glob("*.json")) if path.stem not in names]


@dataclass(frozen=True)
class Job:
    """The job that a task was given to last.

    array_index: None where its array's id is not known.   member: which of a pack the task is; None where the job is
    the task's alone.
    """

    task: Task
    array_index: ArrayIndex | None
    member: int | None = None

    @property
    def id(self) -> str:
        """The job's id as SLURM writes it, 123_4; empty where it is not known."""
        return str(self.array_index) if self.array_index else ""

    @property
    def own_id(self) -> str:
        """What a cancellation of this task alone calls it: the job's id, of a member of a pack 123_4/2."""
        return self.id if self.member is None else f"{self.id}/{self.member}"


def newest_jobs(submitted: Sequence[Submission], queue: Mapping[ArrayIndex, Queued]) -> dict[str, Job]:
    """The newest job of every task that was ever submitted, by the task's key. submitted: oldest first."""
    by_name = {submission_of(queued.name): job.array for job, queued in queue.items()}
    jobs: dict[str, Job] = {}
    for submission in submitted:
        array = submission.job or by_name.get(submission.name)
        for index in submission.tasks:
            jobs |= {job.task.key: job for job in submission.jobs(index, array)}
    return jobs


def job_name(submission: str, runs: Sequence[RunOutline]) -> str:
    """What the jobs of an array are called in `squeue`: the models, settings and seeds of its runs, and the submission.

    `ttmre-human-s0-3.bench-20261129T120000...`; where there are more than two of a kind, their number. The submission
    alone where no plan can be read.
    """
    if not runs:
        return submission
    models = _few([run.model for run in runs], "models")
    settings = _few([parts_of(run.setting).name for run in runs], "settings")
    seeds = sorted({run.seed for run in runs})
    span = f"s{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else f"s{seeds[0]}"
    return re.sub(r"[^\w+.-]", "_", f"{models}-{settings}-{span}") + f".{submission}"


def _few(names: Sequence[str], kind: str) -> str:
    distinct = list(dict.fromkeys(names))
    return "+".join(distinct) if len(distinct) <= 2 else f"{len(distinct)}{kind}"


def submission_of(job_name: str) -> str:
    """The submission in a job's name, which is the whole name where an older version has submitted it."""
    return job_name.rpartition(".")[2]


def note_cancellation(out: Path, jobs: Sequence[str]) -> Path:
    """Write down that jobs (123_4, of a pack 123_4/2) are asked to be cancelled; the file that says so."""
    path = out / "slurm" / "cancelled" / f"{time.time_ns()}-{secrets.token_hex(3)}.json"
    write_checked(path, {"time": time.time(), "jobs": list(jobs)})
    return path


def cancelled_jobs(out: Path) -> set[str]:
    """The jobs (123_4, members of packs 123_4/2) that somebody ever asked to cancel."""
    notes = (read_checked(path) for path in (out / "slurm" / "cancelled").glob("*.json"))
    return {str(job) for note in notes if note and isinstance(note.get("jobs"), list) for job in note["jobs"]}


def job_log(out: Path, job: Job) -> Path:
    """The file with what a job printed in all of its attempts, and what SLURM said there."""
    return out / "slurm" / "jobs" / f"{job.id}_0_log.out"


def member_log(out: Path, job: Job) -> Path:
    """The file with what the process of a member of a pack printed in all attempts."""
    return out / "slurm" / "jobs" / f"{job.id}_member-{job.member}_log.out"


def log_path(out: Path, job: Job) -> Path:
    """The file with what is printed of a task: its job's, or of a member of a pack its own once it has begun."""
    own = member_log(out, job)
    return job_log(out, job) if job.member is None or not own.exists() else own
