"""Where each run is, in words for a person: what the output folder knows, and where there are jobs, what SLURM says.

Nothing here needs the process that started the runs, or its machine. It is read without torch and numpy:
`bench status` is to answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.filesystem import last_text
from bench.launch.output_folder import OutputFolder
from bench.launch.scheduler import Scheduler
from bench.runs.outline import RunOutline
from bench.runs.status import RunStatus, State
from bench.slurm.exit_status import STOPPED
from bench.slurm.queue import OUT_OF_MEMORY, Ended, Queued
from bench.slurm.submissions import Job, log_path, submissions
from bench.slurm.tasks import task_of_run, task_of_stage

ADVICE = "`bench run` or `bench retry` goes on from the last checkpoint"
SAYS_NOTHING = RunStatus()


@dataclass(frozen=True)
class RunView:
    """One run as a person sees it. detail: what that person wants to know of this state.

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
    """All runs of an output folder, seen at once.

    trouble: what SLURM could not be asked, and why.   answered: it told its queue.
    """

    runs: list[RunView]
    trouble: str
    answered: bool


def run_views(out: Path) -> list[RunView]:
    """Every run planned in `out`, as it stands."""
    return observe(out).runs


def observe(out: Path) -> Observation:
    """Every run planned in `out`, as it stands, with what may be wrong about it."""
    # The queue before the records: a job that is not in the queue any more has written its own.
    scheduler = Scheduler(submissions(out))
    folder = OutputFolder(out)
    viewer = _Viewer(folder, scheduler)
    runs = [viewer.unreadable(run) if isinstance(run, str) else viewer.view(run) for run in folder.runs]
    return Observation(runs, scheduler.trouble, scheduler.answered)


def job_of(out: Path, run: RunOutline) -> Job | None:
    """The job that is at a run, or was last."""
    scheduler = Scheduler(submissions(out))
    return _Viewer(OutputFolder(out), scheduler).job(run)


class _Viewer:
    """Puts together what the folder and the scheduler say of a run, and words it."""

    def __init__(self, folder: OutputFolder, scheduler: Scheduler) -> None:
        self.folder, self.scheduler = folder, scheduler

    def unreadable(self, name: str) -> RunView:
        """The view of a run whose plan cannot be read."""
        path = self.folder.run(name).path / "run.json"
        return RunView(name, "?", "", "?", "?", "?", -1, "damaged", f"{path} is unreadable")

    def view(self, run: RunOutline) -> RunView:
        """The view of a run. Its record comes first, then the queue, then what its process has left."""
        headline = self.folder.headline(run.folder)
        if headline is not None:
            return _view(run, "done", headline)
        job = self.job(run)
        queued = self.scheduler.queued(job) if job else None
        if job and queued:
            return self._in_queue(run, job, queued)
        files = self.folder.run(run.folder)
        status = files.status()
        if self.folder.is_locked(run.folder):
            return _view(run, "running", _doing(status), status)
        if error := files.error():
            return _view(run, "failed", error, status)
        if job:
            return self._out_of_queue(run, job)
        if files.has_record_file():
            return _view(run, "damaged", "its record is not what was written; `bench run` evaluates again")
        if status.state in ("running", "interrupted"):
            return _view(run, "interrupted", ADVICE)
        return _view(run, "waiting", "")

    def job(self, run: RunOutline) -> Job | None:
        """The job of the first thing that a run still lacks: of a stage, or the one that finishes it."""
        stage = self.folder.missing_shared_stage(run)
        job = self.scheduler.jobs.get(task_of_stage(stage)) if stage else None
        return job or self.scheduler.jobs.get(task_of_run(run.folder))

    def _in_queue(self, run: RunOutline, job: Job, queued: Queued) -> RunView:
        stage = next((s.data for s in run.stages if s.folder == job.task.stage), "evaluation")
        if queued.state == "PENDING":
            status = RunStatus(stage=stage, job=job.id)
            if queued.reason.startswith("Dependency"):
                return _view(run, "waiting", "for the stage before", status)
            return _view(run, "pending", queued.reason, status)
        status = self.folder.run(job.task.run).status()
        if status.job != job.id or status.state != "running":
            status = RunStatus(stage=stage)  # of an earlier attempt: this one has not said anything yet
        detail = f"by {job.task.run}" if job.task.run != run.folder else _doing(status)
        status = status.model_copy(update={"job": job.id, "node": queued.node})
        return _view(run, "running", detail, status, self._last_line(job))

    def _out_of_queue(self, run: RunOutline, job: Job) -> RunView:
        """The view of a run whose job is over and its task not done, while the run itself has no error."""
        state: State = "failed"
        why = self.folder.run(job.task.run).error()
        ended = self.scheduler.ended(job)
        if not why:
            state, why = _how_it_ended(ended)
            if state == "cancelled" and self._left_with_its_predecessor(job):
                state, why = "interrupted", f"its job left the queue with the one before it; {ADVICE}"
        if job.task.run != run.folder and state != "interrupted":
            state, why = "blocked", f"blocked by {job.task.run}: {why}"
        status = RunStatus(job=job.id, node=ended.node if ended else None)
        return _view(run, state, why, status, self._last_line(job))

    def _left_with_its_predecessor(self, job: Job) -> bool:
        """Whether SLURM has cancelled a job because the one before it was killed, if after its work was done."""
        before = self.scheduler.jobs.get(job.task.needs or "")
        ended = self.scheduler.ended(before) if before else None
        return ended is not None and ended.state not in ("COMPLETED", "CANCELLED")

    def _last_line(self, job: Job) -> str:
        return _last_line_of(log_path(self.folder.out, job))


def _view(run: RunOutline, state: State, detail: str, status: RunStatus = SAYS_NOTHING, log: str = "") -> RunView:
    """The view of a run in a state. status: what is known of where it is, which only a run under way shows in full."""
    place = status if state == "running" else SAYS_NOTHING
    return RunView(
        run=run.folder,
        model=run.model,
        variant=run.variant,
        dataset=run.dataset,
        setting=run.setting,
        encoder=run.encoder,
        seed=run.seed,
        state=state,
        detail=detail.partition("\n")[0],
        stage=status.stage or "",
        epoch=place.epoch,
        epochs=place.epochs,
        step=place.step,
        steps=place.steps,
        eta=place.eta,
        best=place.best,
        node=status.node or place.host or "",
        job=status.job or "",
        log=log,
    )


def _doing(status: RunStatus) -> str:
    return status.doing or "starting"


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


def _last_line_of(path: Path) -> str:
    """The last line of a file that has anything on it."""
    lines = [line for line in last_text(path).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
