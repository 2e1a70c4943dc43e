"""Submitting what is missing of runs to SLURM, through submitit."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import SlurmExecutor
from submitit.core.utils import DelayedSubmission, JobPaths

from bench.errors import BenchError, UsageError, plural
from bench.locks import waiting_for
from bench.runs.executions import STARTED
from bench.runs.outline import RunOutline, outline_of
from bench.runs.run_folder import RunFolder
from bench.slurm.environment import overriding_variables
from bench.slurm.exit_status import STOPPED, TO_REQUEUE
from bench.slurm.job import ArrayJob
from bench.slurm.outcomes import missing_tasks
from bench.slurm.profiles import Profile, Resources
from bench.slurm.queue import ArrayIndex, SchedulerError
from bench.slurm.scheduler import Scheduler
from bench.slurm.submissions import Submission, job_name, submission_path
from bench.slurm.tasks import Array, Task, arrays_of, resources_in

PATIENCE = ["--wait=15"]
"""For several processes: a job in which one has died ends so many seconds later, if the others have not noticed."""

REQUEUE = [
    "code=$?",
    f'if [ "$code" -eq {TO_REQUEUE} ]; then',
    '    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID" && sleep 600  # until SLURM has ended it',
    f"    code={STOPPED}",
    "fi",
    'exit "$code"',
]
"""The end of a batch script, which has SLURM's commands where a container, in which all else runs, has none."""


@dataclass(frozen=True)
class Submitted:
    """What `submit` did: the arrays it submitted, and how many tasks were in the queue before.

    unknown: tasks left out, since it cannot be known whether SLURM still has a job for them, or for one they need.
    """

    arrays: list[Array]
    before: int
    unknown: int


def submit(
    runs: Sequence[RunOutline], out: Path, profile: Profile, checkpoint_seconds: float, track: Sequence[str] = ()
) -> Submitted:
    """Submit what is neither done nor in the queue. Raises UsageError, or BenchError with what was submitted so far."""
    check_submittable(out)
    out = out.absolute()
    (out / "slurm" / "submissions").mkdir(parents=True, exist_ok=True)
    with waiting_for(out / "slurm" / "lock"):  # two commands at once would submit everything twice
        scheduler = Scheduler(out)
        if not scheduler.answered:
            raise BenchError(_stopped([], SchedulerError(scheduler.trouble)))
        missing = missing_tasks(out, runs)
        queued, unknown = _where(missing, scheduler)
        wanted: list[Task] = []
        again: set[str | None] = set()
        for task in missing:
            # What waits for a job that was lost leaves the queue with it, now or at SLURM's next look.
            if task.key not in unknown and (task.key not in queued or task.needs in again):
                wanted.append(task)
                again.add(task.key)
        arrays = arrays_of(wanted, queued, profile.array_size, resources_in(profile, runs))
        _submit_all(arrays, out, profile, checkpoint_seconds, track)
        return Submitted(arrays, len(missing) - len(wanted) - len(unknown), len(unknown))


def check_submittable(out: Path) -> None:
    """Raise UsageError where no job can be submitted from here, or none that writes its log below `out`."""
    if "%" in str(out.absolute()):
        raise UsageError(f"{out}: SLURM takes a % in the name of a log's folder for a pattern; use another --out")
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UsageError(
            "sbatch and srun are not on the PATH. Is this a machine of a SLURM cluster? (--launcher local)"
        )


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


def _submit_all(
    arrays: Sequence[Array], out: Path, profile: Profile, checkpoint_seconds: float, track: Sequence[str]
) -> None:
    now = time.time()
    # To the microsecond: which of two submissions is the newer one decides which job of a task counts.
    moment = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{int(now % 1 * 1e6):06d}"
    stamp = f"{moment}-{secrets.token_hex(3)}"
    for number, array in enumerate(arrays):
        packed = array.resources.runs_per_gpu > 1
        name = f"bench-{stamp}-{number:03d}"
        submission = Submission(name, None, profile, checkpoint_seconds, array.tasks, track, packed)
        submission.write(out)
        for task in submission.all_tasks:
            RunFolder(out, task.run).clear_error()  # of the try before: it says nothing of this one
        after = array.after.job if isinstance(array.after, Array) else array.after
        try:
            array.job = submission.job = _submit(submission, array.resources, after, out)
        except Exception as error:
            # What sbatch refused is not there; if it only gave up waiting, the queue knows the array by its name.
            submission_path(out, submission.name).unlink()
            raise BenchError(_stopped(arrays, error)) from error
        submission.write(out)


class ArrayExecutor(SlurmExecutor):
    """submitit's arrays have the indices 0 to n - 1; these have those of the tasks they wait for.

    sbatch is called without what of the environment would change the profile, and so are the jobs, which inherit it.

    resources: what a job asks for.   options: of sbatch besides.   teardown: what the batch script does at the end.
    runs: how many share a job at most.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        resources: Resources,
        options: dict[str, Any],
        teardown: Sequence[str] = (),
        runs: int = 1,
    ) -> None:
        super().__init__(folder, max_num_timeout=sys.maxsize, python=resources.interpreter)
        extra = {name: value for name, value in resources.extra_options.items() if value is not False}
        asked = resources.sbatch(runs)
        self.update_parameters(
            **asked | {"setup": [f"export {STARTED}=$(date +%s)", *asked["setup"]]},
            job_name=name,
            stderr_to_stdout=True,
            # Since 22.05 srun does not take over the processors of the job: without this a task gets one.
            srun_args=[f"--cpus-per-task={resources.cpus * runs}", *(PATIENCE if resources.processes > 1 else [])],
            teardown=list(teardown),
            additional_parameters={**options, **extra},
        )

    @staticmethod
    def _get_job_id_from_submission_command(string: str | bytes) -> str:
        """The id in what sbatch says. submitit takes the first `job` with a number, be it in what a site prints."""
        said = string if isinstance(string, str) else string.decode(errors="replace")
        found = re.search(r"^Submitted batch job \d+", said, re.MULTILINE)
        return SlurmExecutor._get_job_id_from_submission_command(found[0] if found else said)

    def submit_indices(self, work: Callable[[], None], indices: Sequence[int], at_most: int) -> str:
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

    def script(self) -> str:
        """The batch script of a job, as sbatch is given it."""
        return str(self._make_submission_file_text(self._submitit_command_str, ""))

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        unset = [part for name in overriding_variables() for part in ("-u", name)]
        return ["env", *unset, *super()._make_submission_command(submission_file_path)]


def _submit(submission: Submission, resources: Resources, after: str | None, out: Path) -> str:
    ended = f"{resources.interpreter} -m bench.slurm.ended {shlex.join([str(out), submission.name])}"
    options: dict[str, Any] = {"requeue": True}
    if after:
        # A predecessor that fails for good takes its dependants out of the queue: they would wait for ever.
        options |= {"dependency": f"aftercorr:{after}", "kill-on-invalid-dep": "yes"}
    name = job_name(submission.name, _runs_of(submission, out))
    teardown = ["code=$?", f'{ended} "$code"', *REQUEUE]
    runs = max(map(len, submission.tasks.values()))
    executor = ArrayExecutor(out / "slurm" / "jobs", name, resources, options, teardown, runs)
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
