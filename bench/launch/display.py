"""The live view of runs in progress: bars on a terminal, one line per event elsewhere (a log file, a SLURM job)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.errors import plural
from bench.points import points
from bench.runs.names import model_name
from bench.runs.status import RunStatus

if TYPE_CHECKING:
    from bench.launch.status import RunView
    from bench.runs.outline import RunOutline
    from bench.runs.plan import RunPlan
    from bench.runs.run_folder import RunFolder

REFRESH_SECONDS = 0.25
BAR, WIDE, NARROW = 24, 110, 76
"""Characters of a bar, of which there are half as many on a terminal that is not so wide, and none on a narrow one."""
LEFT = len("100:00 left")
BETWEEN_LINES = 60.0
"""Seconds between two lines that say how far a run is, where there is no terminal: its log may be read for days."""


class RunDisplay:
    """Shows the newest status of each run. Use it as a context manager; `update` and `show` feed it.

    done: how many of the runs were finished before.
    """

    def __init__(self, plans: Sequence[RunPlan | RunOutline], console: Console, done: int = 0) -> None:
        self.console = console
        self.done = done
        self.plans = {plan.folder: plan for plan in plans}
        self.statuses: dict[str, RunStatus] = {}
        self.clock = time.monotonic
        self.began = self.clock()
        self._said: dict[str, float] = {}
        self._live = Live(self._shown(), console=console, refresh_per_second=1 / REFRESH_SECONDS, transient=True)

    def __enter__(self) -> RunDisplay:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def update(self, folder: RunFolder, status: RunStatus) -> None:
        """Show what the process at a run says of it."""
        self._update(folder.name, status)

    def show(self, view: RunView) -> None:
        """Show a run that another machine may be at."""
        self._update(view.run, _status_of(view))

    def _update(self, run: str, status: RunStatus) -> None:
        before = self.statuses.get(run, RunStatus())
        self.statuses[run] = status
        if self.console.is_terminal:
            self._live.update(self._shown())
        elif _event(status) != _event(before):
            self._say_of(run, _event(status))
        elif status.epoch != before.epoch and self.clock() - self._said[run] >= BETWEEN_LINES:
            self._say_of(run, ", ".join(filter(None, (_doing(status), _left(status)))))

    def _say_of(self, run: str, text: str) -> None:
        self._said[run] = self.clock()
        self.say(f"{_label(self.plans[run])}: {text}")

    def say(self, text: str) -> None:
        """Print one line, above the live view if there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def wait(self) -> None:
        """Pause between two looks at the status of other processes."""
        time.sleep(REFRESH_SECONDS)

    def _shown(self) -> Group:
        """A line on all runs, and one for each that is at something."""
        finished = self.done + sum(status.state == "done" for status in self.statuses.values())
        said = f"{finished} of {plural(len(self.plans), 'run')} finished  {_clock(self.clock() - self.began)}"
        rows = [(self.plans[name], status) for name, status in self.statuses.items() if status.state == "running"]
        if rows:
            below: Table | Text = self._table(rows)
        else:
            below = Text("starting: loading libraries" if finished < len(self.plans) else "", "dim", no_wrap=True)
        return Group(Text(said, style="bold", no_wrap=True, overflow="ellipsis"), below)

    def _table(self, rows: Sequence[tuple[RunPlan | RunOutline, RunStatus]]) -> Table:
        table = Table.grid(padding=(0, 2))
        bar = BAR if self.console.width >= WIDE else BAR // 2 if self.console.width >= NARROW else 0
        # What is too long for the terminal is cut, never a second line.
        rest = max(self.console.width - bar - len(" 100%") - LEFT - 3 * 2, 24)
        # Half of the rest each, but what tells runs apart, setting and seed, goes before what a run is doing.
        label = min(max(rest - rest // 2, *(len(_end(plan)) + 5 for plan, _ in rows)), rest - 8)
        for width in (None, bar + len(" 100%"), LEFT, rest - label):
            table.add_column(
                no_wrap=True, overflow="ellipsis", width=width, max_width=label if width is None else width
            )
        for plan, status in rows:
            table.add_row(Text(_label(plan, label)), _bar(status, bar), Text(_left(status)), Text(_doing(status)))
        return table


def _label(plan: RunPlan | RunOutline, most: int = 1000) -> str:
    """A run in at most so many characters, of which what was changed of the model goes first."""
    name, end = model_name(plan.model, plan.variant), _end(plan)
    short = name if len(name) + len(end) <= most else name[: max(most - len(end) - 1, 4)] + "…"
    return short + end


def _end(plan: RunPlan | RunOutline) -> str:
    return f" {plan.setting} seed {plan.seed}"


def _status_of(view: RunView) -> RunStatus:
    """A view as the status that a process at the run would write; what it says in words is where that would be."""
    if view.state == "done":
        return RunStatus(state="done", result=view.detail)
    if view.state == "failed":
        return RunStatus(state="failed", error=view.detail)
    return RunStatus(
        state=view.state,
        stage=view.stage,
        doing=view.detail,
        step=view.step,
        steps=view.steps,
        epoch=view.epoch,
        epochs=view.epochs,
        best=view.best,
        eta=view.eta,
    )


def _bar(status: RunStatus, width: int) -> Text:
    if not status.steps:
        return Text()
    share = (status.step or 0) / status.steps
    filled = round(share * width)
    return Text("━" * filled, style="green") + Text("━" * (width - filled), style="dim") + Text(f" {share:4.0%}")


def _doing(status: RunStatus) -> str:
    if status.epoch is None:  # its steps are documents that are encoded, evaluated, or that a teacher speaks of
        return status.doing or ""
    best = f", best dev F1 {points(status.best)}" if status.best is not None else ""
    evaluating = f", {status.doing}" if status.doing not in (None, "training") else ""
    return f"{status.stage}, epoch {status.epoch}/{status.epochs}{evaluating}{best}"


def _left(status: RunStatus) -> str:
    """How long it takes to the end of what the run is at, where that can be told."""
    return "" if status.eta is None else f"{_clock(status.eta)} left"


def _event(status: RunStatus) -> str:
    """What is worth a line where there is no terminal: it changes when the state or the stage does."""
    if status.state == "done":
        took = f", {_clock(status.seconds)}" if status.seconds is not None else ""
        return f"finished, {status.result}{took}"
    if status.state in ("blocked", "cancelled", "interrupted", "suspended", "unknown"):
        return f"{status.state}: {status.doing or ''}".rstrip(": ")
    if status.state == "failed":
        return f"failed: {status.error}"
    return f"{status.state or ''} {status.stage or ''}".strip()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
