"""What a job of an array does, from the moment submitit calls it.

It asks the output folder what its task is and does it. It leaves no result but the files of the run, and says how it
ended by its exit status: `bench.slurm.ended`, which the batch script calls next, decides what becomes of the job.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.outline import run_is_done, stage_is_done
from bench.slurm.submissions import read_submission
from bench.training.interrupt import Interrupt, handling_signals

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

    from bench.records import RunFolder
    from bench.slurm.submissions import Submission
    from bench.slurm.tasks import Task

DONE, FAILED, STOPPED = 0, 1, 75
"""Exit statuses: the task is done; it failed and says why in its run's folder; a signal stopped it, it can go on."""


@dataclass(frozen=True)
class ArrayJob:
    """The function that submitit pickles: nothing but where to look. Ends the process with its exit status."""

    out: str
    submission: str

    def __call__(self) -> None:
        """Do the task. Never returns: submitit would leave a result file, which a kill can leave half-written."""
        with handling_signals() as interrupt:  # before anything slow: submitit's own handler stops at once
            sys.exit(self._do(interrupt))

    def checkpoint(self) -> DelayedSubmission:
        """For a signal in the moment before `__call__` has taken over: submitit requeues the same call."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _do(self, interrupt: Interrupt) -> int:
        out = Path(self.out)
        submission = read_submission(out, self.submission)
        index = int(os.environ["SLURM_ARRAY_TASK_ID"])
        if submission is None or index not in submission.tasks:
            print(f"bench: task {index} of {self.submission} is not in {out / 'slurm'}", flush=True)
            return FAILED
        task = submission.tasks[index]
        print(f"bench: {task.key}{f' ({task.stage})' if task.finishes and task.stage else ''}", flush=True)
        return carry_out(task, out, submission, interrupt)


class _Reporter:
    """Prints where training is, a line an epoch: what `bench logs` shows."""

    def __init__(self) -> None:
        self.told = ""

    def __call__(self, folder: RunFolder, status: dict[str, Any]) -> None:
        line = f"{status.get('stage', '')}: {status.get('doing', status['state'])}"
        if "epoch" in status:
            best = f", best dev F1 {status['best']:.2f}" if status["best"] is not None else ""
            line += f", epoch {status['epoch']}/{status['epochs']}{best}"
        if status["state"] == "running" and line != self.told:
            print(f"bench: {line}", flush=True)
            self.told = line


def carry_out(task: Task, out: Path, submission: Submission, interrupt: Interrupt) -> int:
    """Do a task in this process, at once if it is done; the exit status."""
    if run_is_done(out, task.run) if task.finishes else stage_is_done(out, task.stage or ""):
        return DONE

    import torch

    from bench.execute import Bench
    from bench.records import RunFolder
    from bench.training.interrupt import Interrupted

    torch.set_num_threads(int(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
    folder = RunFolder(out, task.run)
    plan = folder.plan()
    if plan is None:
        print(f"bench: {folder.path}: no readable plan", flush=True)
        return FAILED
    bench = Bench(out, interrupt, _Reporter(), submission.checkpoint_seconds)
    try:
        failed = bench.execute([plan], until=None if task.finishes else task.stage)
    except Interrupted as stop:
        print(f"bench: stopped by {stop}, to go on from here", flush=True)
        return STOPPED
    if failed:
        print(f"bench: failed: {folder.error()}", flush=True)
    return FAILED if failed else DONE
