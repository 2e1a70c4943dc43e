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

from bench.slurm.attempts import Attempt
from bench.slurm.exit_status import DONE, FAILED, STOPPED, TO_REQUEUE
from bench.slurm.outcomes import fail, goes_on, how_it_ended, ran_out_of_memory, why_not_again
from bench.slurm.pack import status_left, status_of
from bench.slurm.queue import SchedulerError, command
from bench.slurm.states import MEANINGS, meaning
from bench.slurm.submissions import Job, job_log, read_submission

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
    if submission is None or index not in submission.tasks:
        return status
    attempt, jobs = Attempt.of_job(submission.name), submission.jobs(index, array)
    if submission.is_packed:
        # srun's is another where the kernel has killed a process of it, although the others went on.
        status = status_left(out, jobs[0], attempt, status)
    if status in (DONE, FAILED):
        return status
    left = [job for job in jobs if goes_on(out, job, attempt)]
    again = left if status == STOPPED else [job for job in left if _may_be_tried_again(out, job, status)]
    if again:
        if shutil.which("scontrol") is None:
            return TO_REQUEUE
        try:
            return requeue(again[0].id, status)
        except RequeueRefusedError as refusal:
            for job in again:
                _fail(
                    out,
                    job,
                    f"stopped or killed, and SLURM does not take the job back into the queue ({refusal}); {RETRY}",
                )
    if submission.is_packed:
        return status_of(out, jobs)
    return FAILED if left else status


def _may_be_tried_again(out: Path, job: Job, status: int) -> bool:
    """Whether a task goes on although its process was killed; it fails where not."""
    reason = why_not_again(out, job, status, ran_out_of_memory(job_log(out, job)))
    if reason:
        _fail(out, job, reason)
    else:
        how = how_it_ended(status)
        print(f"bench: the process was killed ({how}); the job goes on from the last checkpoint", flush=True)
    return not reason


def _fail(out: Path, job: Job, reason: str) -> None:
    print(f"bench: failed: {reason}", flush=True)
    fail(out, job, reason)


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
    """Whether SLURM calls a job running, whatever a site prints besides. Raises SchedulerError if it says no state."""
    said = command(["squeue", "--noheader", f"--jobs={job}", "--format=%T"])
    words = [line.strip() for line in said.splitlines() if line.strip()]
    states = [word for word in words if word in MEANINGS]
    if words and not states:
        raise SchedulerError(f"squeue: {words[-1]}")
    return any(meaning(state) == "running" for state in states)


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
