"""Taking jobs out of SLURM's queue."""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from bench.runs.outline import RunOutline, outlines, run_is_done
from bench.slurm.queue import command, queued_jobs
from bench.slurm.submissions import Job, newest_jobs, submissions
from bench.slurm.tasks import stage_key

AT_ONCE = 200
"""Jobs that one command names: its arguments have an end."""


def cancel_jobs(out: Path, runs: Set[str]) -> list[Job]:
    """Cancel the jobs of `runs`, but not of stages that other unfinished runs need; those cancelled.

    Raises SchedulerError.
    """
    found = submissions(out)
    if not found:
        return []
    queue = queued_jobs()
    others = [run for run in outlines(out) if isinstance(run, RunOutline) and run.folder not in runs]
    needed = {stage_key(s.folder) for run in others if not run_is_done(out, run.folder) for s in run.stages}
    wanted = {
        stage_key(stage.folder)
        for run in outlines(out)
        if isinstance(run, RunOutline) and run.folder in runs
        for stage in run.stages
    }
    jobs = [
        job
        for key, job in newest_jobs(found, queue).items()
        if job.place in queue and key not in needed and ((job.task.finishes and job.task.run in runs) or key in wanted)
    ]
    # Dependants first: SLURM would cancel them itself, and then not know them any more.
    ids = [job.id for job in reversed(jobs)]
    for first in range(0, len(ids), AT_ONCE):
        command(["scancel", *ids[first : first + AT_ONCE]])
    return jobs
