"""Taking jobs out of SLURM's queue."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

from bench.locks import waiting_for
from bench.runs.outline import RunOutline, outlines
from bench.runs.run_folder import RunFolder
from bench.slurm.outcomes import is_done
from bench.slurm.queue import SchedulerError, command
from bench.slurm.scheduler import Scheduler
from bench.slurm.submissions import Job, note_cancellation
from bench.slurm.tasks import task_of_stage

AT_ONCE = 200
"""Jobs that one command names: its arguments have an end."""


def cancel_jobs(out: Path, runs: Set[str]) -> list[Job]:
    """Cancel the jobs of `runs`, but not of stages that other unfinished runs need; returns those cancelled.

    Of a job that several runs share it is their part, and the others go on.

    A job of which nobody knows whether SLURM still has it is given up with that. Raises SchedulerError.
    """
    if not (out / "slurm" / "submissions").is_dir():
        return []
    with waiting_for(out / "slurm" / "lock"):  # not between the arrays of a submission
        scheduler = Scheduler(out)
        if not scheduler.answered:
            raise SchedulerError(scheduler.trouble)
        jobs = _jobs_to_cancel(out, runs, scheduler)
        # Members of packs whose others go on: their processes see it. They may be at a step of minutes.
        alone = [job for job in jobs if not _is_whole(job, jobs, out, scheduler)]
        if alone:
            note_cancellation(out, [job.own_id for job in alone])
        # Dependants first: SLURM would cancel them itself, and then not know them any more.
        whole = {job.id: job for job in reversed(jobs) if job not in alone}.values()
        _cancel([job for job in whole if scheduler.in_queue(job)], out)
        _cancel([job for job in whole if not scheduler.in_queue(job)], out, may_be_gone=True)
    return jobs


def _is_whole(job: Job, jobs: Sequence[Job], out: Path, scheduler: Scheduler) -> bool:
    """Whether nothing of a job is to go on when `jobs` are cancelled: others of its pack are cancelled, or over."""
    return all(
        other in jobs or is_done(out, other.task) or not (scheduler.live(other) or scheduler.doubt(other))
        for other in scheduler.beside(job)
    )


def _jobs_to_cancel(out: Path, runs: Set[str], scheduler: Scheduler) -> list[Job]:
    planned = [run for run in outlines(out) if isinstance(run, RunOutline)]
    others = [run for run in planned if run.folder not in runs]
    unfinished = [run for run in others if not RunFolder(out, run.folder).verdict().is_closed]
    needed = {task_of_stage(stage.folder) for run in unfinished for stage in run.stages}
    wanted = {task_of_stage(stage.folder) for run in planned if run.folder in runs for stage in run.stages}
    return [
        job
        for key, job in scheduler.jobs.items()
        if key not in needed
        and ((job.task.finishes and job.task.run in runs) or key in wanted)
        and job.array_index
        and (scheduler.live(job) or scheduler.doubt(job))
    ]


def _cancel(jobs: Sequence[Job], out: Path, may_be_gone: bool = False) -> None:
    """Cancel jobs, after it was written down that this was asked: of one that never ran SLURM may keep no trace."""
    for first in range(0, len(jobs), AT_ONCE):
        ids = [job.id for job in jobs[first : first + AT_ONCE]]
        note = note_cancellation(out, ids)
        try:
            command(["scancel", *ids])
        except SchedulerError as error:
            if not (may_be_gone and "Invalid job id" in str(error)):
                note.unlink()  # the jobs are where they were
                raise
