"""What SLURM says of the jobs of an output folder. Each of its two commands is asked once, and only if it has to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.slurm.outcomes import has_left
from bench.slurm.queue import (
    Accounted,
    ArrayIndex,
    NoAccountingError,
    Queued,
    SchedulerError,
    accounted_jobs,
    queued_jobs,
)
from bench.slurm.states import LIVE, meaning
from bench.slurm.submissions import Job, cancelled_jobs, newest_jobs, submission_of, submissions, unreadable_submissions


class Scheduler:
    """SLURM, asked for its queue when this is made, and for its accounting when a job needs it.

    Where nothing was ever submitted from `out`, nobody is asked.

    jobs: the newest job of every task, by the task's key.   trouble: what could not be asked, and why.
    answered: whether the queue is known.
    """

    def __init__(self, out: Path) -> None:
        submitted = submissions(out)
        unreadable = unreadable_submissions(out, submitted)
        self.trouble = ""
        self.answered = True
        self._out = out
        self._queue: dict[ArrayIndex, Queued] = {}
        try:
            self._queue = queued_jobs() if submitted or unreadable else {}
        except SchedulerError as error:
            self.trouble, self.answered = str(error), False
        self._note_unreadable(unreadable)
        self.jobs: dict[str, Job] = newest_jobs(submitted, self._queue)
        # After the queue: a job that has been cancelled in between was written down before.
        self._cancelled = cancelled_jobs(out) if submitted else set()
        self._accounts: dict[ArrayIndex, Accounted] | None = None
        self._accounting_fails = ""

    def _note_unreadable(self, paths: Sequence[Path]) -> None:
        """Say of which submissions nobody knows what their jobs are. While they are in the queue it is not known."""
        in_queue = {submission_of(job.name) for job in self._queue.values()}
        for path in sorted(paths, key=lambda path: path.stem not in in_queue)[:1]:
            under_way = path.stem in in_queue
            self.answered = self.answered and not under_way
            what = "its jobs are in the queue: when they are done" if under_way else "none of its jobs is in the queue:"
            self.trouble = self.trouble or (
                f"{path} cannot be read (not what was written), so what was submitted with it is not known; {what} "
                "remove it"
            )

    def in_queue(self, job: Job) -> Queued | None:
        """The job as it stands in the queue; None where the queue does not have it, or is not known.

        Nor does the queue have a member of a pack that has left it, though it has the others.
        """
        queued = self._queue.get(job.array_index) if job.array_index else None
        return None if queued and has_left(self._out, job, self._cancelled) else queued

    def was_cancelled(self, job: Job) -> bool:
        """Whether somebody asked to cancel a job and the queue has it no more, or a member of a pack."""
        if job.member is not None and job.own_id in self._cancelled:
            return True
        return self.answered and job.id in self._cancelled and self.in_queue(job) is None

    def beside(self, job: Job) -> list[Job]:
        """The tasks that share a job with this one, itself among them, without those that another job has since."""
        return [other for other in self.jobs.values() if other.array_index == job.array_index]

    def live(self, job: Job) -> Queued | None:
        """The job where SLURM has it: in its queue, or if that does not say so, by its accounting."""
        if queued := self.in_queue(job):
            return queued
        if self.was_cancelled(job) or has_left(self._out, job, self._cancelled):
            return None
        account = self.account(job)
        if account is None or meaning(account.state) not in LIVE:
            return None
        return Queued("", account.state, account.node, "")

    def account(self, job: Job) -> Accounted | None:
        """What accounting says of a job that is not in the queue; None where it does not know it."""
        if job.array_index is None:
            return None
        if self._accounts is None:
            self._accounts = self._ask_accounting()
        return self._accounts.get(job.array_index)

    def doubt(self, job: Job) -> str:
        """Why it cannot be known whether SLURM still has a job that is not in the queue; empty where it is known."""
        if self.was_cancelled(job) or has_left(self._out, job, self._cancelled):
            return ""
        account = self.account(job)
        if account is not None and meaning(account.state) == "unknown":
            return f"SLURM's accounting says {account.state}"
        if account is None and not self.answered:
            return "SLURM does not answer"
        if account is None and self._accounting_fails and job.array_index is not None:
            return f"not in SLURM's queue, and its accounting does not answer ({self._accounting_fails})"
        return ""

    def _ask_accounting(self) -> dict[ArrayIndex, Accounted]:
        known = {job.array_index for job in self.jobs.values() if job.array_index}
        try:
            return accounted_jobs(known - self._queue.keys())
        except NoAccountingError as error:
            self.trouble = self.trouble or str(error)
        except SchedulerError as error:
            self.trouble = self.trouble or str(error)
            self._accounting_fails = str(error)
        return {}
