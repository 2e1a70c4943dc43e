"""Several runs on one GPU: a job with a pack of tasks, each in a process of its own, which that of the job looks after.

`python -m bench.slurm.pack OUT SUBMISSION INDEX MEMBER` is such a process. It prints to a file of its own, is stopped,
fails and is cancelled alone; if it is killed it is started again beside the others, which go on. A signal to the job
stops all, and with its next attempt those go on that are not done, have not failed and are not cancelled.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.execution.mps import sharing_gpus
from bench.filesystem import read_checked, write_checked
from bench.runs.executions import STARTED
from bench.runs.interrupt import Interrupt
from bench.runs.outline import outline_of
from bench.runs.run_folder import RunFolder
from bench.slurm.attempts import Attempt, is_superseded
from bench.slurm.exit_status import DONE, FAILED, STOPPED
from bench.slurm.outcomes import (
    fail,
    goes_on,
    has_left,
    how_it_ended,
    is_done,
    lacks,
    leave,
    oom_kills,
    why_not_again,
)
from bench.slurm.submissions import Job, Submission, cancelled_jobs, member_log

LOOK_SECONDS = 0.5
"""Between two looks at the processes."""
CANCELLED_SECONDS = 2.0
"""Between two looks at what was cancelled."""
KILL_SECONDS = 60.0
"""After so long a member that was cancelled, and has not come to a step at which it could stop, is killed."""


def carry_out_pack(jobs: Sequence[Job], out: Path, submission: Submission, interrupt: Interrupt) -> int:
    """Do the tasks of one job side by side; the exit status of the job, which is also left in the output folder."""
    print(f"bench: {len(jobs)} tasks share this job", flush=True)
    attempt = Attempt.of_job(submission.name)
    with sharing_gpus(lambda line: print(f"bench: {line}", flush=True)) as environment:
        pack = Pack(jobs, out, submission, attempt, interrupt, environment)
        pack.carry_out()
    status = STOPPED if pack.is_to_go_on else status_of(out, jobs)
    try:
        _leave_status(out, jobs[0], attempt, status)
    except OSError as error:
        print(f"bench: {error}", flush=True)  # whoever looks for it finds srun's
    return status


def status_of(out: Path, jobs: Sequence[Job]) -> int:
    """What the job of a pack ends with when nothing of it is to go on.

    FAILED where a task is not done that nobody has cancelled. But DONE as long as one is that others build on: those
    would leave the queue, and what cannot begin leaves by itself.
    """
    cancelled = cancelled_jobs(out)
    done = {job.task.key for job in jobs if is_done(out, job.task)}
    if any(job.task.key in done and not job.task.finishes for job in jobs):
        return DONE
    return DONE if all(job.task.key in done or job.own_id in cancelled for job in jobs) else FAILED


def _leave_status(out: Path, job: Job, attempt: Attempt, status: int) -> None:
    write_checked(_status_path(out, job), {**vars(attempt), "status": status})


def status_left(out: Path, job: Job, attempt: Attempt, otherwise: int) -> int:
    """The exit status that the process of a packed job has left in this attempt; `otherwise` where it was killed."""
    left = read_checked(_status_path(out, job)) or {}
    status = left.get("status")
    is_of_this = all(left.get(name) == value for name, value in vars(attempt).items())
    return status if isinstance(status, int) and is_of_this else otherwise


def _status_path(out: Path, job: Job) -> Path:
    return out / "slurm" / "packs" / f"{job.id}.json"


class Member:
    """A task of a pack. process: that is at it, while there is one.   stopped: it is to go on in the next attempt.

    begun: whether there has been a process of it in this attempt.
    cancelled: when its process was asked to end since somebody has cancelled it.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False
        self.begun = False
        self.cancelled: float | None = None


class Pack:
    """The processes of a job's tasks.

    environment: what they find in theirs besides.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        out: Path,
        submission: Submission,
        attempt: Attempt,
        interrupt: Interrupt,
        environment: Mapping[str, str],
    ) -> None:
        self.members = [Member(job) for job in jobs]
        self.out, self.submission, self.attempt, self.interrupt = out, submission, attempt, interrupt
        # Of the job's processors, each has so many as a run that is a job.
        task = jobs[0].task
        run = outline_of(out, task.run)
        cpus = submission.profile.resources(task.section, run.model if run else None).cpus
        own = {"SLURM_CPUS_PER_TASK": str(cpus)}
        self.environment = {**os.environ, **environment, **own}
        self._stopping = False
        self._oom_kills = oom_kills()
        self._looked = time.monotonic()

    @property
    def is_to_go_on(self) -> bool:
        """Whether a member was stopped before it was done."""
        return any(member.stopped for member in self.members)

    def carry_out(self) -> None:
        """Start all that is to be done, and look after it until every process has ended."""
        for member in self.members:
            try:
                self._begin(member)
            except OSError as error:  # no room for its log, say: the others go on
                _say(member.job, f"not begun: {error}")
        while at_work := [member for member in self.members if member.process]:
            if self.interrupt.requested and not self._stopping:
                self._stopping = True
                for member in at_work:
                    _signal(member, self.interrupt.requested)
            self._heed_cancellations(at_work)
            for member in at_work:
                self._look_after(member)
            time.sleep(LOOK_SECONDS)

    def _begin(self, member: Member) -> None:
        job = member.job
        if is_done(self.out, job.task):
            _say(job, "done before")
        elif has_left(self.out, job, cancelled_jobs(self.out)):
            _say(job, "cancelled, or failed in an attempt before: `bench retry` tries it again")
        elif stage := lacks(self.out, job.task):
            _say(job, f"left out: it builds on stages/{stage}, which is not there")
        else:
            self._start(member)

    def _start(self, member: Member) -> None:
        job = member.job
        assert job.array_index is not None
        if self.interrupt.requested:  # while MPS was looked for, say
            member.stopped = True
            return
        # Of what a process takes to start, the job's own start is a part the first time alone.
        again = {STARTED: str(time.time())} if member.begun else {}
        member.begun = True
        log = member_log(self.out, job)
        named = [str(self.out), self.submission.name, str(job.array_index.index), str(job.member)]
        with log.open("ab") as file:
            # Nothing is written to the pipe: it ends when this process does, whatever ends it.
            member.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "bench.slurm.pack", *named],
                env={**self.environment, **again},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
            )
        _say(job, f"process {member.process.pid}, prints to {log.name}")

    def _heed_cancellations(self, at_work: Sequence[Member]) -> None:
        now = time.monotonic()
        if now - self._looked < CANCELLED_SECONDS:
            return
        self._looked = now
        cancelled = cancelled_jobs(self.out)
        for member in at_work:
            if member.cancelled is not None:
                if now - member.cancelled > KILL_SECONDS:
                    _signal(member, signal.SIGKILL)
            elif member.job.own_id in cancelled:
                member.cancelled = now
                _signal(member, signal.SIGTERM)

    def _look_after(self, member: Member) -> None:
        code = member.process.poll() if member.process else None
        if code is None:
            return
        member.process = None
        status = 128 - code if code < 0 else code
        try:
            self._end(member, status)
        except OSError as error:  # a full disk: it is not written down, and the others go on
            _say(member.job, f"its process has ended ({how_it_ended(status)}), and {error}")

    def _end(self, member: Member, status: int) -> None:
        """Conclude what becomes of a member from how its process has ended."""
        job = member.job
        if status == DONE:
            _say(job, "done")
        elif is_superseded(self.out, job.task, self.attempt):
            _say(job, "a newer attempt of it has started")
        elif status == FAILED:
            if RunFolder(self.out, job.task.run).error() is None:
                self._fail(job, f"its process ended with exit status {FAILED}; see {member_log(self.out, job)}")
            else:
                _say(job, "failed")
                leave(self.out, job)
        elif not goes_on(self.out, job, self.attempt):
            _say(job, "cancelled" if member.cancelled else "no more to be done here")
        elif status == STOPPED or self.interrupt.requested:
            member.stopped = True
            _say(job, "stopped, to go on from there")
        elif reason := why_not_again(self.out, job, status, self._ran_out_of_memory(status)):
            self._fail(job, reason)
        else:
            _say(job, f"the process was killed ({how_it_ended(status)}); it goes on from the last checkpoint")
            self._start(member)

    def _ran_out_of_memory(self, status: int) -> bool:
        """Whether a process ended as the kernel ends one for its memory, and the kernel has ended one more."""
        out_of_memory = status == 128 + signal.SIGKILL and oom_kills() > self._oom_kills
        self._oom_kills += out_of_memory
        return out_of_memory

    def _fail(self, job: Job, reason: str) -> None:
        _say(job, f"failed: {reason}")
        fail(self.out, job, reason)


def _signal(member: Member, number: signal.Signals) -> None:
    if member.process and member.process.poll() is None:
        member.process.send_signal(number)


def _say(job: Job, what: str) -> None:
    print(f"bench: member {job.member}, {job.task.key}: {what}", flush=True)


def main(arguments: list[str]) -> int:
    """Do one task of a pack; the exit status of its process."""
    from bench.slurm.job import attempt_task

    out, submission, index, member = Path(arguments[0]), arguments[1], int(arguments[2]), int(arguments[3])
    return attempt_task(out, submission, index, member)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
