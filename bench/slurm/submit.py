"""Submitting what is missing of runs to SLURM, through submitit."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from submitit import SlurmExecutor
from submitit.core.utils import DelayedSubmission, JobPaths

from bench.errors import BenchError, UsageError, plural
from bench.locks import waiting_for
from bench.runs.outline import RunOutline, outline_of, outlines
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder, stage_is_done
from bench.slurm.environment import overriding_variables
from bench.slurm.job import ArrayJob
from bench.slurm.profiles import Profile, Section
from bench.slurm.queue import ArrayIndex, SchedulerError
from bench.slurm.scheduler import Scheduler
from bench.slurm.submissions import Submission, job_name, submission_path
from bench.slurm.tasks import Array, Task, arrays_of, finishing_stages, tasks_of

PATIENCE = ["--wait=15"]
"""For several processes: a job in which one has died ends so many seconds later, if the others have not noticed."""


@dataclass(frozen=True)
class Submitted:
    """What `submit` did: the arrays it submitted, and how many tasks were in the queue before.

    unknown: tasks left out, since it cannot be known whether SLURM still has a job for them, or for one they need.
    """

    arrays: list[Array]
    before: int
    unknown: int


def submit(runs: Sequence[RunOutline], out: Path, profile: Profile, checkpoint_seconds: float) -> Submitted:
    """Submit what is neither done nor in the queue. Raises UsageError, or BenchError with what was submitted so far."""
    out = out.absolute()
    if "%" in str(out):
        raise UsageError(f"{out}: SLURM takes a % in the name of a log's folder for a pattern; use another --out")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError(
            "sbatch and srun are not on the PATH. Is this a machine of a SLURM cluster? (--launcher local)"
        )
    (out / "slurm" / "submissions").mkdir(parents=True, exist_ok=True)
    with waiting_for(out / "slurm" / "lock"):  # two commands at once would submit everything twice
        scheduler = Scheduler(out)
        if not scheduler.answered:
            raise BenchError(_stopped([], SchedulerError(scheduler.trouble)))
        missing = _missing_tasks(runs, out)
        queued, unknown = _where(missing, scheduler)
        wanted: list[Task] = []
        again: set[str | None] = set()
        for task in missing:
            # What waits for a job that was lost leaves the queue with it, now or at SLURM's next look.
            if task.key not in unknown and (task.key not in queued or task.needs in again):
                wanted.append(task)
                again.add(task.key)
        arrays = arrays_of(wanted, queued, profile.array_size, lambda kind: profile.resources(kind).runs_per_gpu)
        _submit_all(arrays, out, profile, checkpoint_seconds)
        return Submitted(arrays, len(missing) - len(wanted) - len(unknown), len(unknown))


def _where(tasks: Sequence[Task], scheduler: Scheduler) -> tuple[dict[str, ArrayIndex], set[str]]:
    """Where the tasks are whose jobs SLURM has, by the task's key; and the keys of those nobody knows that of."""
    queued: dict[str, ArrayIndex] = {}
    unknown: set[str] = set()
    for task in tasks:
        job = scheduler.jobs.get(task.key)
        if job and job.array_index and scheduler.live(job):
            queued[task.key] = job.array_index
        elif task.needs in unknown or (job and scheduler.doubt(job)):
            unknown.add(task.key)
    return queued, unknown


def _missing_tasks(runs: Sequence[RunOutline], out: Path) -> list[Task]:
    planned = [run for run in outlines(out) if isinstance(run, RunOutline)]
    return tasks_of(
        runs,
        finishing_stages(planned),
        run_is_done=lambda run: RunFolder(out, run).verdict().is_closed,
        stage_is_done=lambda stage: stage_is_done(stage_folder(out, stage)),
    )


def _submit_all(arrays: Sequence[Array], out: Path, profile: Profile, checkpoint_seconds: float) -> None:
    now = time.time()
    # To the microsecond: which of two submissions is the newer one decides which job of a task counts.
    moment = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{int(now % 1 * 1e6):06d}"
    stamp = f"{moment}-{secrets.token_hex(3)}"
    for number, array in enumerate(arrays):
        submission = Submission(f"bench-{stamp}-{number:03d}", None, profile, checkpoint_seconds, array.tasks)
        submission.write(out)
        for task in submission.all_tasks:
            RunFolder(out, task.run).clear_error()  # of the try before: it says nothing of this one
        after = array.after.job if isinstance(array.after, Array) else array.after
        try:
            array.job = submission.job = _submit(submission, array.section, after, out)
        except Exception as error:
            # What sbatch refused is not there; if it only gave up waiting, the queue knows the array by its name.
            submission_path(out, submission.name).unlink()
            raise BenchError(_stopped(arrays, error)) from error
        submission.write(out)


class ArrayExecutor(SlurmExecutor):
    """submitit's arrays have the indices 0 to n - 1; these have those of the tasks they wait for.

    sbatch is called without what of the environment would change the profile, and so are the jobs, which inherit it.
    """

    def submit_indices(self, work: ArrayJob, indices: Sequence[int], at_most: int) -> str:
        """Submit `work` once for each index, no more than `at_most` at a time; the id of the array."""
        self.parameters["additional_parameters"]["array"] = f"{','.join(map(str, indices))}%{at_most}"
        self.parameters["map_count"] = len(indices)
        self.folder.mkdir(parents=True, exist_ok=True)
        array = str(self._submit_command(self._submitit_command_str).job_id)
        delayed = DelayedSubmission(work)
        delayed.set_timeout(self.parameters["time"], self.max_num_timeout)
        # One file for all: the call asks for its index, so that no task can be handed another's work.
        pickles = [JobPaths(self.folder, f"{array}_{index}").submitted_pickle for index in indices]
        temporary = pickles[0].with_suffix(".tmp")
        delayed.dump(temporary)
        for pickle in pickles[1:]:
            pickle.symlink_to(pickles[0].name)
        os.replace(temporary, pickles[0])
        return array

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        unset = [part for name in overriding_variables() for part in ("-u", name)]
        return ["env", *unset, *super()._make_submission_command(submission_file_path)]


def _submit(submission: Submission, section: Section, after: str | None, out: Path) -> str:
    resources = submission.profile.resources(section)
    ended = shlex.join([sys.executable, "-m", "bench.slurm.ended", str(out), submission.name])
    additional = {"requeue": True, **{k.replace("_", "-"): v for k, v in resources.extra.items() if v is not False}}
    if after:
        # A predecessor that fails for good takes its dependants out of the queue: they would wait for ever.
        additional |= {"dependency": f"aftercorr:{after}", "kill-on-invalid-dep": "yes"}
    executor = ArrayExecutor(out / "slurm" / "jobs", max_num_timeout=sys.maxsize)
    runs = max(map(len, submission.tasks.values()))
    executor.update_parameters(
        **resources.sbatch(runs),
        job_name=job_name(submission.name, _runs_of(submission, out)),
        stderr_to_stdout=True,
        # Since 22.05 srun does not take over the processors of the job: without this a task gets one.
        srun_args=[f"--cpus-per-task={resources.cpus * runs}", *(PATIENCE if resources.gpus_per_run > 1 else [])],
        teardown=["code=$?", f'{ended} "$code"'],
        additional_parameters=additional,
    )
    work = ArrayJob(str(out), submission.name)
    return executor.submit_indices(work, sorted(submission.tasks), resources.array_parallelism)


def _runs_of(submission: Submission, out: Path) -> list[RunOutline]:
    runs = (outline_of(out, task.run) for task in submission.all_tasks)
    return [run for run in runs if run is not None]


def _stopped(arrays: Sequence[Array], error: Exception) -> str:
    done = [array for array in arrays if array.job]
    said = str(error).strip().splitlines()
    message = f"SLURM did not take the jobs: {said[-1] if said else type(error).__name__}\n"
    if not done:
        return message + (
            "No job was submitted. Run the same command again once SLURM answers and the profile is one it accepts"
        )
    jobs = sum(len(array.tasks) for array in done)
    ids = ", ".join(str(array.job) for array in done)
    were = "was" if jobs == 1 else "were"
    return (
        message
        + f"{plural(jobs, 'job')} {were} submitted before ({ids}). Run the same command again to submit the rest"
    )
