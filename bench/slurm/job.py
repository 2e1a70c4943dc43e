"""What a job of an array does, from the moment submitit calls it.

It asks the output folder what its task is and does it, or has a pack of them done side by side. It leaves no result but
the files of the run, and says how it ended by its exit status: `bench.slurm.ended`, which the batch script calls next,
decides what becomes of the job.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cores import find_cores, let_threads_sleep
from bench.errors import BenchError
from bench.points import points
from bench.runs.interrupt import Interrupt, handling_signals, stop_at_end_of_input
from bench.runs.run_folder import RunFolder
from bench.scratch import SCRATCH, scratch_in
from bench.slurm.attempts import Attempt, Fence, SupersededError, start_attempt
from bench.slurm.exit_status import DONE, FAILED, STOPPED
from bench.slurm.outcomes import is_done
from bench.slurm.pack import carry_out_pack
from bench.slurm.submissions import read_submission
from bench.slurm.together import is_one_of_several, member_of_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from submitit.helpers import DelayedSubmission

    from bench.runs.status import RunStatus
    from bench.slurm.submissions import Submission
    from bench.slurm.tasks import Task
    from bench.training.team import Team


@dataclass(frozen=True)
class ArrayJob:
    """The function that submitit pickles: nothing but where to look. Ends the process with its exit status."""

    out: str
    submission: str

    def __call__(self) -> None:
        """Do the job. Never returns: submitit would leave a result file, which a kill can leave half-written."""
        sys.exit(attempt_job(Path(self.out), self.submission, int(os.environ["SLURM_ARRAY_TASK_ID"])))

    def checkpoint(self) -> DelayedSubmission:
        """For a signal in the moment before `__call__` has taken over: submitit requeues the same call."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def attempt_job(out: Path, name: str, index: int) -> int:
    """Do the task of an index of a submission, or the pack of them; the exit status."""
    return _unless_superseded(lambda fence: _attempt(out, name, index, None, fence))


def attempt_task(out: Path, name: str, index: int, member: int) -> int:
    """Do one task of a pack, in a process of its own that stops when the one that started it ends; the exit status."""

    def work(fence: Fence) -> int:
        stop_at_end_of_input(fence)
        return _attempt(out, name, index, member, fence)

    return _unless_superseded(work)


def _unless_superseded(work: Callable[[Fence], int]) -> int:
    let_threads_sleep()
    fence = Fence()
    with handling_signals(fence):  # before anything slow: submitit's own handler stops at once
        try:
            with scratch_in(os.environ.get(SCRATCH)):
                return work(fence)
        except SupersededError:
            print("bench: a newer attempt of this job has started: this one ends", flush=True)
            return STOPPED


def _attempt(out: Path, name: str, index: int, member: int | None, fence: Fence) -> int:
    submission = read_submission(out, name)
    if submission is None or index not in submission.tasks:
        print(f"bench: task {index} of {name} is not in {out / 'slurm'}", flush=True)
        return FAILED
    if submission.is_packed and member is None:
        jobs = submission.jobs(index, os.environ["SLURM_ARRAY_JOB_ID"])
        return carry_out_pack(jobs, out, submission, fence)
    task = submission.tasks[index][member or 0]
    attempt = Attempt.of_job(submission.name)
    start_attempt(out, task, attempt)
    fence.guard(out, task, attempt)
    if is_one_of_several():
        return carry_out_together(task, out, submission, fence)
    print(f"bench: {task.key}{f' ({task.stage})' if task.finishes and task.stage else ''}", flush=True)
    return carry_out(task, out, submission, fence)


class _Reporter:
    """Prints where training is, a line an epoch: what `bench logs` shows."""

    def __init__(self) -> None:
        self.last_line = ""

    def __call__(self, folder: RunFolder, status: RunStatus) -> None:
        line = f"{status.stage or ''}: {status.doing or status.state}"
        if status.epoch is not None:
            best = f", best dev F1 {points(status.best)}" if status.best is not None else ""
            line += f", epoch {status.epoch}/{status.epochs}{best}"
        if status.state == "running" and line != self.last_line:
            print(f"bench: {line}", flush=True)
            self.last_line = line


def carry_out_together(task: Task, out: Path, submission: Submission, interrupt: Interrupt) -> int:
    """Do a task with the other processes of this job, each on a GPU of its own; the exit status."""
    try:
        member = member_of_job()
    except BenchError as error:
        print(f"bench: failed: {error}", flush=True)
        RunFolder(out, task.run).write_error(str(error), traceback="")
        return FAILED

    from bench.execution.executor import Executor
    from bench.training.team import LOST, PeerLostError, joined

    try:
        with joined(member.rank, member.size, member.port, member.address) as team:
            if team and member.rank:
                _set_threads()
                team.follow(Executor(out, interrupt, lambda folder, status: None, team=team).help_with)
                return DONE
            print(f"bench: {task.key}, {member.size} processes", flush=True)
            return carry_out(task, out, submission, interrupt, team)
    except PeerLostError as lost:
        print(f"bench: {lost}", flush=True)
        return LOST


def _set_threads() -> None:
    import torch

    torch.set_num_threads(find_cores().threads())


def carry_out(task: Task, out: Path, submission: Submission, interrupt: Interrupt, team: Team | None = None) -> int:
    """Do a task in this process (with the help of its `team`), at once if it is done; the exit status."""
    folder = RunFolder(out, task.run)
    if is_done(out, task):
        return DONE

    from bench.execution.executor import Executor
    from bench.runs.interrupt import Interrupted

    _set_threads()
    plan = folder.plan()
    if plan is None:
        print(f"bench: {folder.path}: no readable plan", flush=True)
        return FAILED
    executor = Executor(out, interrupt, _Reporter(), submission.checkpoint_seconds, team, track=submission.track)
    try:
        failed = executor.execute([plan], until=None if task.finishes else task.stage)
    except Interrupted as stop:
        print(f"bench: stopped by {stop}, to go on from here", flush=True)
        return STOPPED
    if failed:
        print(f"bench: failed: {folder.error()}", flush=True)
    return FAILED if failed else DONE
