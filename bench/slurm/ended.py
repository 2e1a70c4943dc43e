"""What becomes of a job when its process has ended: `python -m bench.slurm.ended OUT SUBMISSION STATUS`.

The batch script calls it, so nothing heavy is imported. A job that a signal stopped, or that was killed, goes back into
the queue and goes on from its last checkpoint; one that ran out of memory, or that is killed again and again without
getting any further, fails, and its run says why.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path

from bench.filesystem import last_text, read_checked, write_checked
from bench.runs.outline import outline_of
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import RESULT, stage_folder
from bench.slurm.attempts import Attempt, is_superseded
from bench.slurm.exit_status import DONE, FAILED, STOPPED, TO_REQUEUE
from bench.slurm.queue import OUT_OF_MEMORY, ArrayIndex, SchedulerError, command
from bench.slurm.states import meaning
from bench.slurm.submissions import Job, cancelled_jobs, log_path, read_submission
from bench.slurm.tasks import Task

KILLS = 5
"""So many kills in a row without a checkpoint in between, and the job fails."""
PATIENCE_SECONDS = 600
"""How long it waits for a slurmctld that does not answer."""
RETRY = "`bench retry` goes on from the last checkpoint"
UNREACHABLE = r"contact|connect|time[d ]* ?out|no answer|zero bytes|communicat|temporar|again|exit status"
"""What SLURM's commands say where nobody answers them; anything else is an answer."""


class RequeueRefusedError(Exception):
    """SLURM has answered that a job may not go back into the queue, and why."""


def main(arguments: list[str]) -> int:
    """The exit status of the job, unless SLURM ends it first to requeue it; TO_REQUEUE leaves that to the script."""
    out, submission, status = Path(arguments[0]), read_submission(Path(arguments[0]), arguments[1]), int(arguments[2])
    array, index = os.environ["SLURM_ARRAY_JOB_ID"], int(os.environ["SLURM_ARRAY_TASK_ID"])
    if status in (DONE, FAILED) or submission is None or index not in submission.tasks:
        return status
    job = Job(submission.tasks[index], ArrayIndex(array, index))
    if job.id in cancelled_jobs(out) or is_superseded(out, job.task, Attempt.of_job(submission.name)):
        return status
    if status != STOPPED:
        reason = why_not_again(out, job, status)
        if reason:
            print(f"bench: failed: {reason}", flush=True)
            fail(out, job.task, reason)
            return FAILED
    if shutil.which("scontrol") is None:
        return TO_REQUEUE
    try:
        return requeue(job.id, status)
    except RequeueRefusedError as refusal:
        reason = f"stopped or killed, and SLURM does not take the job back into the queue ({refusal}); {RETRY}"
        print(f"bench: failed: {reason}", flush=True)
        fail(out, job.task, reason)
        return FAILED


def why_not_again(out: Path, job: Job, status: int) -> str | None:
    """Why a killed job should not go back into the queue, if it should not. Counts its kills."""
    if ran_out_of_memory(log_path(out, job)):
        return OUT_OF_MEMORY
    path = out / "slurm" / "kills" / job.task.file_name
    before, progress = read_checked(path) or {}, _progress(out, job.task)
    counted = before.get("kills")
    kills = counted + 1 if isinstance(counted, int) and before.get("progress") == progress else 1
    write_checked(path, {"progress": progress, "kills": kills})
    how = f"signal {status - 128}" if status > 128 else f"exit status {status}"
    if kills < KILLS:
        print(f"bench: the process was killed ({how}); the job goes on from the last checkpoint", flush=True)
        return None
    return f"killed {kills} times in a row without a checkpoint in between ({how}); see {log_path(out, job)}"


def _progress(out: Path, task: Task) -> list[str]:
    """What grows as a task gets on: finished stages and the newest checkpoint."""
    run = outline_of(out, task.run)
    folders = [stage_folder(out, stage) for stage in run.stages] if run else []
    files = [path for folder in folders for path in (*folder.glob(RESULT), *folder.glob("checkpoints/*.json"))]
    return sorted(str(path.relative_to(out)) for path in files)


def ran_out_of_memory(log: Path) -> bool:
    """Whether SLURM says so at the end of what the job printed, or the kernel in the job's control group."""
    return bool(re.search(r"oom.kill|out of memory|memory limit", last_text(log), re.IGNORECASE)) or _oom_kills() > 0


def _oom_kills() -> int:
    """How often the kernel killed a process of the job (control groups version 2: SLURM's is .../job_ID/step_...)."""
    try:
        group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip().lstrip("/")
        folder = next(f for f in (group, *group.parents) if f.name.startswith("job_"))
        events = dict(line.split() for line in (folder / "memory.events").read_text().splitlines())
    except (OSError, StopIteration, ValueError):
        return 0
    return int(events.get("oom_kill", 0))


def fail(out: Path, task: Task, reason: str) -> None:
    """Say in the run's folder why it failed, as the harness does for errors of its own."""
    RunFolder(out, task.run).write_error(reason, traceback="")


def requeue(job: str, status: int) -> int:
    """Put the job back into the queue, unless it is cancelled or there already. Then SLURM ends this process.

    Raises RequeueRefusedError.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    refusal = ""
    while True:
        try:
            if not _is_running(job):
                return status
            if refusal:  # and nobody else has cancelled or requeued it in between
                raise RequeueRefusedError(refusal)
            refusal = _ask_to_requeue(job)
            if not refusal:
                break
        except SchedulerError as error:
            print(f"bench: {error}", flush=True)
        if time.monotonic() > give_up:
            return status
        time.sleep(2)
    time.sleep(PATIENCE_SECONDS)  # until SLURM has ended it
    return status


def _is_running(job: str) -> bool:
    return meaning(command(["squeue", "--noheader", f"--jobs={job}", "--format=%T"]).strip()) == "running"


def _ask_to_requeue(job: str) -> str:
    """Why SLURM does not put a job back into the queue; empty if it does. Raises SchedulerError if it does not say."""
    try:
        command(["scontrol", "requeue", job])
    except SchedulerError as error:
        if re.search(UNREACHABLE, str(error), re.IGNORECASE):
            raise
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
