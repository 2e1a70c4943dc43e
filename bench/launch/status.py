"""Where each run is, in words for a person: what the output folder knows, and where there are jobs, what SLURM says.

Nothing here needs the process that started the runs, or its machine. It is read without torch and numpy:
`bench status` is to answer at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.filesystem import last_text
from bench.launch.output_folder import OutputFolder
from bench.runs.names import made_anew, model_name
from bench.runs.outline import RunOutline
from bench.runs.run_folder import PLAN_IS_LOST
from bench.runs.status import RunStatus, State
from bench.slurm.exit_status import was_killed
from bench.slurm.queue import OUT_OF_MEMORY, Accounted, Queued
from bench.slurm.scheduler import Scheduler
from bench.slurm.states import meaning
from bench.slurm.submissions import Job, log_path
from bench.slurm.tasks import task_of_run, task_of_stage

ADVICE = "`bench run` or `bench retry` goes on from the last checkpoint"
RETRY = "`bench retry` submits it again"
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
    def system(self) -> str:
        """What its row is called in tables: the model with what was changed of it."""
        return model_name(self.model, self.variant)

    @property
    def row(self) -> str:
        """What its rows are called by `bench status`, the same for all seeds and settings."""
        return f"{self.system} · {self.dataset} · {self.encoder}"

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
    scheduler = Scheduler(out)
    folder = OutputFolder(out)
    viewer = _Viewer(folder, scheduler)
    runs = [viewer.unreadable(run) if isinstance(run, str) else viewer.view(run) for run in folder.runs]
    return Observation(runs, scheduler.trouble, scheduler.answered)


def job_of(out: Path, run: RunOutline) -> Job | None:
    """The job that is at a run, or was last."""
    scheduler = Scheduler(out)
    return _Viewer(OutputFolder(out), scheduler).job(run)


class _Viewer:
    """Puts together what the folder and the scheduler say of a run, and words it."""

    def __init__(self, folder: OutputFolder, scheduler: Scheduler) -> None:
        self.folder, self.scheduler = folder, scheduler

    def unreadable(self, name: str) -> RunView:
        """The view of a run whose plan cannot be read."""
        found = self.folder.run(name).verdict()
        state: State = "newer" if found.newer else "damaged"
        detail = found.newer or f"{found.damage}; {PLAN_IS_LOST}"
        return RunView(name, "?", "", "?", "?", "?", -1, state, f"{name}: {detail}")

    def view(self, run: RunOutline) -> RunView:
        """The view of a run. Its record comes first, then the queue, then what its process has left."""
        files = self.folder.run(run.folder)
        found = files.verdict()
        if found.record is not None:
            return _view(run, "done", found.record.headline)
        if newer := found.newer or self.folder.newer_stage(run):
            return _view(run, "newer", newer)
        job = self.job(run)
        if job and (queued := self.scheduler.in_queue(job)):
            return self._in_queue(run, job, queued)
        status = files.status()
        if self.folder.is_locked(run.folder):
            return _view(run, "running", _doing(status), status)
        # The queue may have nothing to say of a job that is on its way: accounting is asked before the run's own error.
        if job and (live := self.scheduler.live(job)):
            return self._in_queue(run, job, live)
        if error := files.error():
            return _view(run, "failed", error, status)
        if job:
            return self._out_of_queue(run, job)
        if found.damage:
            return _view(run, "damaged", f"{found.damage}; {made_anew(self.folder.out, run.folder, run.origin)}")
        if run.origin != "trained":
            return _view(run, "interrupted", f"not finished; {made_anew(self.folder.out, run.folder, run.origin)}")
        if files.is_cancelled():
            return _view(run, "cancelled", ADVICE, status)
        if status.state in ("running", "interrupted"):
            return _view(run, "interrupted", ADVICE)
        return _view(run, "waiting", "")

    def job(self, run: RunOutline) -> Job | None:
        """The job of the first thing that a run still lacks: of a stage, or the one that finishes it."""
        stage = self.folder.missing_shared_stage(run)
        job = self.scheduler.jobs.get(task_of_stage(stage)) if stage else None
        return job or self.scheduler.jobs.get(task_of_run(run.folder))

    def _in_queue(self, run: RunOutline, job: Job, queued: Queued) -> RunView:
        """The view of a run whose job SLURM has."""
        stage = next((s.data for s in run.stages if s.folder == job.task.stage), "evaluation")
        here = RunStatus(stage=stage, job=job.id, node=queued.node)
        match meaning(queued.state):
            case "pending":
                if queued.reason.startswith("Dependency"):
                    return _view(run, "waiting", "for the stage before", RunStatus(stage=stage, job=job.id))
                detail = queued.reason
                if "held" in queued.reason.lower():  # JobHeldUser, or (launch failed requeued held)
                    detail = f"held ({queued.reason}): `scontrol release {job.id}` lets it go on"
                return _view(run, "pending", detail, RunStatus(stage=stage, job=job.id))
            case "held":
                detail = f"held ({queued.state}): `scontrol release {job.id}` lets it go on"
                return _view(run, "pending", detail, RunStatus(stage=stage, job=job.id))
            case "completing":
                return _view(run, "completing", "its job is ending", here, self._last_line(job))
            case "suspended":
                return _view(run, "suspended", "SLURM has stopped its job for a while", here, self._last_line(job))
            case "running":
                return self._running(run, job, here)
            case _:
                return _view(run, "unknown", f"SLURM says {queued.state}", here, self._last_line(job))

    def _running(self, run: RunOutline, job: Job, here: RunStatus) -> RunView:
        """The view of a run whose job is at work. here: its stage, job and node."""
        status = self.folder.run(job.task.run).status()
        if status.job != job.id or status.state != "running":
            status = RunStatus(stage=here.stage)  # of an earlier attempt: this one has not said anything yet
        detail = f"by {job.task.run}" if job.task.run != run.folder else _doing(status)
        status = status.model_copy(update={"job": here.job, "node": here.node})
        return _view(run, "running", detail, status, self._last_line(job))

    def _out_of_queue(self, run: RunOutline, job: Job) -> RunView:
        """The view of a run whose job SLURM has no more and its task not done, while the run itself has no error."""
        state: State = "failed"
        why = self.folder.run(job.task.run).error()
        account = self.scheduler.account(job)
        if not why:
            state, why = self._what_became_of(job, account)
        if job.task.run != run.folder and state not in ("interrupted", "unknown"):
            state, why = "blocked", f"blocked by {job.task.run}: {why}"
        status = RunStatus(job=job.id, node=account.node if account else None)
        return _view(run, state, why, status, self._last_line(job))

    def _what_became_of(self, job: Job, account: Accounted | None) -> tuple[State, str]:
        if doubt := self.scheduler.doubt(job):
            return "unknown", f"{doubt}; nothing is submitted for it"
        if self.scheduler.was_cancelled(job):
            return "cancelled", RETRY
        state, why = _how_it_ended(account)
        if state == "cancelled" and self._left_with_its_predecessor(job):
            state, why = "interrupted", f"its job left the queue with the one before it; {ADVICE}"
        if state == "interrupted" and not self.scheduler.answered:
            # What SLURM or the batch script puts back into the queue is an end in the accounts for a moment.
            return "unknown", "SLURM does not answer, and the job may go on by itself; nothing is submitted for it"
        return state, why

    def _left_with_its_predecessor(self, job: Job) -> bool:
        """Whether SLURM has cancelled a job because the one before it was killed, if after its work was done."""
        before = self.scheduler.jobs.get(job.task.needs or "")
        account = self.scheduler.account(before) if before else None
        return account is not None and meaning(account.state) in ("failed", "out of memory", "lost")

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


def _how_it_ended(account: Accounted | None) -> tuple[State, str]:
    match meaning(account.state) if account else "completed":
        case "out of memory":
            return "failed", OUT_OF_MEMORY
        case "cancelled":
            return "cancelled", RETRY
        case "lost" if account:
            return "interrupted", f"its job ended ({account.state}); {ADVICE}"
        case "failed" if account:
            if was_killed(account.exit_code):
                return "interrupted", f"its job was killed (exit status {account.exit_code}); {ADVICE}"
            return "failed", f"its job ended: {account.state}, exit status {account.exit_code}"
    return "interrupted", f"its job ended without a result; {ADVICE}"


def _last_line_of(path: Path) -> str:
    """The last line of a file that has anything on it."""
    lines = [line for line in last_text(path).splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
