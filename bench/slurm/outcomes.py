"""What has become of a task, by the output folder; and of one whose process was killed, whether it is tried again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench.filesystem import last_text, read_checked, write_checked
from bench.runs.outline import RunOutline, outline_of, outlines
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import RESULT, stage_folder, stage_is_done
from bench.slurm.attempts import Attempt, is_superseded
from bench.slurm.queue import OUT_OF_MEMORY
from bench.slurm.submissions import Job, cancelled_jobs, log_path
from bench.slurm.tasks import Task, finishing_stages, tasks_of

KILLS = 5
"""So many kills in a row without a checkpoint in between, and the job fails."""


def is_done(out: Path, task: Task) -> bool:
    """Whether what the task is to make is there."""
    if task.finishes:
        return RunFolder(out, task.run).verdict().is_closed
    return stage_is_done(stage_folder(out, task.stage or ""))


def missing_tasks(out: Path, runs: Sequence[RunOutline]) -> list[Task]:
    """The tasks of these runs that are not done, be their plans written down yet or not."""
    planned = {run.folder: run for run in outlines(out) if isinstance(run, RunOutline)}
    return tasks_of(
        runs,
        finishing_stages((planned | {run.folder: run for run in runs}).values()),
        run_is_done=lambda run: RunFolder(out, run).verdict().is_closed,
        stage_is_done=lambda stage: stage_is_done(stage_folder(out, stage)),
    )


def lacks(out: Path, task: Task) -> str | None:
    """The stage that a task builds on, where that is not there: SLURM only knows that the job before is over."""
    stage = task.needed_stage
    return stage if stage and not stage_is_done(stage_folder(out, stage)) else None


def has_left(out: Path, job: Job, cancelled: set[str]) -> bool:
    """Whether a member of a pack is out of it while the others go on: it was cancelled, or has failed.

    cancelled: the `cancelled_jobs` of the folder.
    """
    return job.member is not None and (job.own_id in cancelled or _left_path(out, job).exists())


def leave(out: Path, job: Job) -> None:
    """Write down that a member of a pack has failed: no attempt of this job tries it again, also without its error."""
    if job.member is not None:
        write_checked(_left_path(out, job), {"task": job.task.key})


def _left_path(out: Path, job: Job) -> Path:
    return out / "slurm" / "left" / f"{job.id}-{job.member}.json"


def goes_on(out: Path, job: Job, attempt: Attempt) -> bool:
    """Whether a task whose process was stopped or killed in this attempt of its job is to be gone on with."""
    cancelled = cancelled_jobs(out)
    if job.id in cancelled or has_left(out, job, cancelled) or is_superseded(out, job.task, attempt):
        return False
    return job.member is None or not (is_done(out, job.task) or lacks(out, job.task))


def fail(out: Path, job: Job, reason: str) -> None:
    """Say in the run's folder why its task failed, as the harness does for errors of its own."""
    RunFolder(out, job.task.run).write_error(reason, traceback="")
    leave(out, job)


def why_not_again(out: Path, job: Job, status: int, out_of_memory: bool) -> str | None:
    """Why a task whose process was killed should not be tried again, if it should not. Counts its kills."""
    if out_of_memory:
        return OUT_OF_MEMORY
    path = out / "slurm" / "kills" / job.task.file_name
    before, progress = read_checked(path) or {}, _progress(out, job.task)
    counted = before.get("kills")
    kills = counted + 1 if isinstance(counted, int) and before.get("progress") == progress else 1
    write_checked(path, {"progress": progress, "kills": kills})
    if kills < KILLS:
        return None
    how = how_it_ended(status)
    return f"killed {kills} times in a row without a checkpoint in between ({how}); see {log_path(out, job)}"


def how_it_ended(status: int) -> str:
    """The exit status of a process in words, as a shell gives it: 137 is signal 9."""
    return f"signal {status - 128}" if status > 128 else f"exit status {status}"


def _progress(out: Path, task: Task) -> list[str]:
    """What grows as a task gets on: finished stages and the newest checkpoint."""
    run = outline_of(out, task.run)
    folders = [stage_folder(out, stage) for stage in run.stages] if run else []
    files = [path for folder in folders for path in (*folder.glob(RESULT), *folder.glob("checkpoints/*.json"))]
    return sorted(str(path.relative_to(out)) for path in files)


def ran_out_of_memory(log: Path) -> bool:
    """Whether SLURM says so at the end of what the job printed, or the kernel in the job's control group."""
    return bool(re.search(r"oom.kill|out of memory|memory limit", last_text(log), re.IGNORECASE)) or oom_kills() > 0


def oom_kills() -> int:
    """How often the kernel killed a process of the job (control groups version 2: SLURM's is .../job_ID/step_...)."""
    try:
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        folder = next(f for f in (group, *group.parents) if f.name.startswith("job_"))
        events = dict(line.split() for line in (folder / "memory.events").read_text().splitlines())
    except (OSError, StopIteration, ValueError):
        return 0
    return int(events.get("oom_kill", 0))
