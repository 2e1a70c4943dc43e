"""What state each run is in, read from the output folder and, where there are jobs, from SLURM.

Nothing here needs the process that started the runs, or its machine. It is read without torch: `bench status` is to
answer at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from bench.filesystem import last_text, read_json, read_sealed
from bench.runs.outline import RunOutline, outlines, stage_is_done
from bench.slurm.exit_status import STOPPED
from bench.slurm.queue import OUT_OF_MEMORY, Ended, Place, Queued, SchedulerError, ended_jobs, queued_jobs
from bench.slurm.submissions import Job, log_path, newest_jobs, submissions
from bench.slurm.tasks import finishing_stages, run_key, stage_key

State = Literal["done", "running", "pending", "waiting", "interrupted", "cancelled", "failed", "blocked", "damaged"]
SETTLED: tuple[State, ...] = ("done", "interrupted", "cancelled", "failed", "blocked", "damaged")
"""States that do not change unless someone does something."""

ADVICE = "`bench run` or `bench retry` goes on from the last checkpoint"


@dataclass(frozen=True)
class RunState:
    """One run. detail: what a person wants to know of this state.

    step, steps: of the stage.   eta: seconds to the end of the stage.   best: dev F1, percent.
    job: as SLURM writes it, 123_4.   log: the last line the job printed.
    """

    run: str
    model: str
    variant: str
    dataset: str
    setting: str
    encoder: str
    seed: int
    state: State
    detail: str
    stage: str = ""
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    eta: float | None = None
    best: float | None = None
    node: str = ""
    job: str = ""
    log: str = ""

    @property
    def progress(self) -> float | None:
        """The share of the stage's steps that is done."""
        return (self.step or 0) / self.steps if self.steps else None


@dataclass(frozen=True)
class Observation:
    """The states of all runs. trouble: what SLURM could not be asked, and why.   answered: it told its queue."""

    states: list[RunState]
    trouble: str = ""
    answered: bool = True


def run_states(out: Path) -> list[RunState]:
    """The state of every run planned in `out`."""
    return observe(out).states


def observe(out: Path) -> Observation:
    """The state of every run planned in `out`, with what may be wrong about it."""
    return _Observer(out).observe()


def job_of(out: Path, run: RunOutline) -> Job | None:
    """The job that is at a run, or was last."""
    return _Observer(out).job(run)


@dataclass
class _Observer:
    """Looks at everything once: files of the folder, the queue, and for jobs that are over the accounting."""

    out: Path
    trouble: str = ""
    answered: bool = True

    def observe(self) -> Observation:
        self._queue  # noqa: B018 - before the records: a job that is not in the queue any more has written its own
        states = [self._unreadable(run) if isinstance(run, str) else self._state(run) for run in self._all]
        return Observation(states, self.trouble, self.answered)

    @cached_property
    def _all(self) -> list[RunOutline | str]:
        return list(outlines(self.out))

    @cached_property
    def _submissions(self) -> list[Any]:
        return submissions(self.out)

    @cached_property
    def _queue(self) -> dict[Place, Queued]:
        try:
            return queued_jobs() if self._submissions else {}
        except SchedulerError as error:
            self.trouble, self.answered = str(error), False
            return {}

    @cached_property
    def _jobs(self) -> dict[str, Job]:
        return newest_jobs(self._submissions, self._queue)

    @cached_property
    def _ended(self) -> dict[Place, Ended]:
        """Of the jobs that are not in the queue and have left something undone."""
        missing = {job.place for job in self._jobs.values() if job.place and job.place not in self._queue}
        try:
            return ended_jobs(missing)
        except SchedulerError as error:
            self.trouble = self.trouble or str(error)
            return {}

    @cached_property
    def _finishing(self) -> set[str]:
        return finishing_stages([run for run in self._all if isinstance(run, RunOutline)])

    @cached_property
    def _done_stages(self) -> dict[str, bool]:
        return {}

    def _is_done(self, stage: str) -> bool:
        if stage not in self._done_stages:
            self._done_stages[stage] = stage_is_done(self.out, stage)
        return self._done_stages[stage]

    def _unreadable(self, name: str) -> RunState:
        where = self.out / "runs" / name / "run.json"
        return RunState(name, "?", "", "?", "?", "?", -1, "damaged", f"{where} is unreadable")

    def _state(self, run: RunOutline) -> RunState:
        record = read_sealed(self.out / "runs" / run.folder / "record.json", "record")
        if record is not None:
            return self._of(run, "done", headline(record))
        job = self.job(run)
        queued = self._queue.get(job.place) if job and job.place else None
        if job and queued:
            return self._in_queue(run, job, queued)
        status = self._file(run.folder, "status.json")
        if self._is_locked(run.folder):
            return self._of(run, "running", "", status)
        if error := self._error(run.folder):
            return self._of(run, "failed", error, status)
        if job:
            return self._out_of_queue(run, job)
        if (self.out / "runs" / run.folder / "record.json").exists():
            return self._of(run, "damaged", "its record is not what was written; `bench run` evaluates again")
        if status.get("state") in ("running", "interrupted"):
            return self._of(run, "interrupted", ADVICE)
        return self._of(run, "waiting", "")

    def job(self, run: RunOutline) -> Job | None:
        """The job of the first thing that a run still lacks: of a stage, or the one that finishes it."""
        for stage in run.stages:
            if not self._is_done(stage.folder) and stage.folder not in self._finishing:
                if job := self._jobs.get(stage_key(stage.folder)):
                    return job
                break
        return self._jobs.get(run_key(run.folder))

    def _in_queue(self, run: RunOutline, job: Job, queued: Queued) -> RunState:
        stage = next((s.data for s in run.stages if s.folder == job.task.stage), "evaluation")
        if queued.state == "PENDING":
            if queued.reason.startswith("Dependency"):
                return self._of(run, "waiting", "for the stage before", {"stage": stage, "job": job.id})
            return self._of(run, "pending", queued.reason, {"stage": stage, "job": job.id})
        status = self._file(job.task.run, "status.json")
        if status.get("job") != job.id or status.get("state") != "running":
            status = {"stage": stage}  # of an earlier attempt: this one has not said anything yet
        shared = f"by {job.task.run}" if job.task.run != run.folder else ""
        detail = shared or ("" if "epoch" in status else status.get("doing", "starting"))
        return self._of(run, "running", detail, {**status, "job": job.id, "node": queued.node}, log_path(self.out, job))

    def _out_of_queue(self, run: RunOutline, job: Job) -> RunState:
        """A job is over, its task is not done, and no process has said why."""
        why, state = self._error(job.task.run), "failed"
        ended = self._ended.get(job.place) if job.place else None
        if not why:
            state, why = _how_it_ended(ended)
            if state == "cancelled" and self._left_with_its_predecessor(job):
                state, why = "interrupted", f"its job left the queue with the one before it; {ADVICE}"
        if job.task.run != run.folder and state != "interrupted":
            state, why = "blocked", f"blocked by {job.task.run}: {why}"
        facts = {"job": job.id, "node": ended.node if ended else ""}
        return self._of(run, state, why, facts, log_path(self.out, job))

    def _left_with_its_predecessor(self, job: Job) -> bool:
        """Whether SLURM has cancelled a job because the one before it was killed, if after its work was done."""
        before = self._jobs.get(job.task.needs or "")
        ended = self._ended.get(before.place) if before and before.place else None
        return ended is not None and ended.state not in ("COMPLETED", "CANCELLED")

    def _of(
        self, run: RunOutline, state: Any, detail: str, status: dict[str, Any] | None = None, log: Path | None = None
    ) -> RunState:
        status = status or {}
        running = state == "running"
        place = status if running else {}
        if running and not detail:
            detail = status.get("doing", "starting")
        return RunState(
            run=run.folder,
            model=run.model,
            variant=run.variant,
            dataset=run.dataset,
            setting=run.setting,
            encoder=run.encoder,
            seed=run.seed,
            state=state,
            detail=detail.partition("\n")[0],
            stage=status.get("stage", "") if state != "done" else "",
            epoch=place.get("epoch"),
            epochs=place.get("epochs"),
            step=place.get("step"),
            steps=place.get("steps"),
            eta=place.get("eta"),
            best=place.get("best"),
            node=status.get("node") or (status.get("host", "") if running else ""),
            job=status.get("job", ""),
            log=last_line(log) if log else "",
        )

    def _file(self, run: str, name: str) -> dict[str, Any]:
        stored = read_json(self.out / "runs" / run / name)
        return stored if isinstance(stored, dict) else {}

    def _error(self, run: str) -> str:
        return str(self._file(run, "error.json").get("message", ""))

    def _is_locked(self, run: str) -> bool:
        """Whether a process is at the run: its lock is held as long as it lives. Not to be seen in another's folder."""
        path = self.out / "runs" / run / "lock"
        if not os.access(path, os.W_OK):
            return False
        try:
            with FileLock(path, blocking=False):
                return False
        except Timeout:
            return True


def _how_it_ended(ended: Ended | None) -> tuple[State, str]:
    if ended is None or ended.state == "COMPLETED":
        return "interrupted", f"its job ended without a result; {ADVICE}"
    if ended.state == "OUT_OF_MEMORY":
        return "failed", OUT_OF_MEMORY
    if ended.state == "CANCELLED":
        return "cancelled", "`bench retry` submits it again"
    if ended.state in ("TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "REQUEUED"):
        return "interrupted", f"its job ended ({ended.state}); {ADVICE}"
    status, _, signal = ended.exit_code.partition(":")
    if signal.strip("0") or int(status) >= 128 or int(status) == STOPPED:
        return "interrupted", f"its job was killed (exit status {ended.exit_code}); {ADVICE}"
    return "failed", f"its job ended: {ended.state}, exit status {ended.exit_code}"


def headline(record: dict[str, Any]) -> str:
    """The number to show of a record where there is room for one: `test F1 48.21`."""
    split = "test" if "test" in record["splits"] else "dev"
    return f"{split} F1 {record['splits'][split]['scores']['f1']:.2f}"


def last_line(path: Path) -> str:
    """The last line of a file that has anything on it."""
    lines = [line for line in last_text(path).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
