"""Taking jobs out of SLURM's queue."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from bench.runs.outline import RunOutline, outlines
from bench.runs.run_folder import RunFolder
from bench.slurm.queue import command, queued_jobs
from bench.slurm.submissions import Job, newest_jobs, submissions
from bench.slurm.tasks import task_of_stage

AT_ONCE = 200
"""Jobs that one command names: its arguments have an end."""


def cancel_jobs(out: Path, runs: Set[str]) -> list[Job]:
    """Cancel the jobs of `runs`, but not of stages that other unfinished runs need; returns those cancelled.

    Raises SchedulerError.
    """
    submitted = submissions(out)
    if not submitted:
        return []
    queue = queued_jobs()
    planned = [run for run in outlines(out) if isinstance(run, RunOutline)]
    unfinished = [run for run in planned if run.folder not in runs and not RunFolder(out, run.folder).is_done()]
    needed = {task_of_stage(stage.folder) for run in unfinished for stage in run.stages}
    wanted = {task_of_stage(stage.folder) for run in planned if run.folder in runs for stage in run.stages}
    jobs = [
        job
        for key, job in newest_jobs(submitted, queue).items()
        if job.array_index in queue
        and key not in needed
        and ((job.task.finishes and job.task.run in runs) or key in wanted)
    ]
    # Dependants first: SLURM would cancel them itself, and then not know them any more.
    ids = [job.id for job in reversed(jobs)]
    for first in range(0, len(ids), AT_ONCE):
        command(["scancel", *ids[first : first + AT_ONCE]])
    return jobs
