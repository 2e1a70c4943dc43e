"""What SLURM says of the jobs of an output folder. Each of its two commands is asked once, and only if it has to be."""

from __future__ import annotations

from collections.abc import Sequence

from bench.slurm.queue import ArrayIndex, Ended, Queued, SchedulerError, ended_jobs, queued_jobs
from bench.slurm.submissions import Job, Submission, newest_jobs


class Scheduler:
    """SLURM, asked for its queue when this is made, and for its accounting when a job needs it.

    submitted: all that was ever submitted, oldest first; where that is nothing, nobody is asked.
    jobs: the newest job of every task, by the task's key.   trouble: what could not be asked, and why.
    answered: whether the queue is known.
    """

    def __init__(self, submitted: Sequence[Submission]) -> None:
        self.trouble = ""
        self.answered = True
        self._queue: dict[ArrayIndex, Queued] = {}
        try:
            self._queue = queued_jobs() if submitted else {}
        except SchedulerError as error:
            self.trouble, self.answered = str(error), False
        self.jobs: dict[str, Job] = newest_jobs(submitted, self._queue)
        self._ended: dict[ArrayIndex, Ended] | None = None

    def queued(self, job: Job) -> Queued | None:
        """The job as it stands in the queue; None where it is not in it."""
        return self._queue.get(job.array_index) if job.array_index else None

    def ended(self, job: Job) -> Ended | None:
        """How a job ended that is not in the queue any more; None where accounting does not know."""
        if job.array_index is None:
            return None
        if self._ended is None:
            self._ended = self._ask_accounting()
        return self._ended.get(job.array_index)

    def _ask_accounting(self) -> dict[ArrayIndex, Ended]:
        known = {job.array_index for job in self.jobs.values() if job.array_index}
        try:
            return ended_jobs(known - self._queue.keys())
        except SchedulerError as error:
            self.trouble = self.trouble or str(error)
            return {}
