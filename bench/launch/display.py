"""The live view of runs in progress: bars on a terminal, one line per event elsewhere (a log file, a SLURM job)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bench.runs.names import model_name
from bench.runs.outline import RunOutline

if TYPE_CHECKING:
    from bench.launch.status import RunState
    from bench.runs.plan import RunPlan
    from bench.runs.run_folder import RunFolder

REFRESH_SECONDS = 0.25
BAR = 24


class RunDisplay:
    """Shows the newest status of each run. Use as a context manager; feed it with `update`.

    done: how many of the runs were finished before.
    """

    def __init__(self, plans: Sequence[RunPlan | RunOutline], console: Console, done: int = 0) -> None:
        self.console = console
        self.done = done
        self.plans = {plan.folder: plan for plan in plans}
        self.status: dict[str, dict[str, Any]] = {}
        self.began = time.monotonic()
        self._live = Live(self._table(), console=console, refresh_per_second=1 / REFRESH_SECONDS, transient=True)

    def __enter__(self) -> RunDisplay:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.console.is_terminal:
            self._live.stop()

    def update(self, folder: RunFolder, status: dict[str, Any]) -> None:
        """A run's newest status."""
        self._update(folder.name, status)

    def show(self, state: RunState) -> None:
        """The newest state of a run that another machine may be at."""
        if state.state == "done":
            self._update(state.run, {"state": "finished", "result": state.detail})
        elif state.state == "failed":
            self._update(state.run, {"state": "failed", "error": state.detail})
        else:
            self._update(state.run, vars(state) | {"doing": state.detail})

    def _update(self, run: str, status: dict[str, Any]) -> None:
        before = self.status.get(run, {})
        self.status[run] = status
        if self.console.is_terminal:
            self._live.update(self._table())
        elif _event(status) != _event(before):
            self.say(f"{_label(self.plans[run])}: {_event(status)}")

    def say(self, text: str) -> None:
        """One line, above the live view if there is one."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def wait(self) -> None:
        """Between two looks at the status of other processes."""
        time.sleep(REFRESH_SECONDS)

    def _table(self) -> Table:
        finished = self.done + sum(s.get("state") == "finished" for s in self.status.values())
        seconds = time.monotonic() - self.began
        table = Table.grid(padding=(0, 2))
        table.add_row(Text(f"{finished} of {len(self.plans)} runs finished", style="bold"), _clock(seconds))
        for name, status in self.status.items():
            if status.get("state") == "running":
                table.add_row(Text(_label(self.plans[name])), _bar(status), Text(_doing(status)))
        return table


def _label(plan: RunPlan | RunOutline) -> str:
    return f"{model_name(plan.model, plan.variant)} {plan.setting} seed {plan.seed}"


def _bar(status: dict[str, Any]) -> Text:
    if not status.get("steps"):
        return Text()
    share = status["step"] / status["steps"]
    filled = round(share * BAR)
    return Text("━" * filled, style="green") + Text("━" * (BAR - filled), style="dim") + Text(f" {share:4.0%}")


def _doing(status: dict[str, Any]) -> str:
    if not status.get("steps"):
        return str(status.get("doing", ""))
    best = f", best dev F1 {status['best']:.1f}" if status.get("best") is not None else ""
    return f"{status['stage']}, epoch {status['epoch']}/{status['epochs']}{best}"


def _event(status: dict[str, Any]) -> str:
    """What is worth a line where there is no terminal: it changes when the state or the stage does."""
    state = status.get("state", "")
    if state == "finished":
        took = f", {_clock(status['seconds'])}" if "seconds" in status else ""
        return f"finished, {status.get('result')}{took}"
    if state in ("blocked", "cancelled", "interrupted"):
        return f"{state}: {status.get('detail', '')}".rstrip(": ")
    if state == "failed":
        return f"failed: {status.get('error')}"
    return f"{state} {status.get('stage') or ''}".strip()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
