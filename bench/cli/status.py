"""`bench status`: every run planned in an output folder, and where it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_OUT, OutOption
from bench.runs.names import model_name

if TYPE_CHECKING:
    from rich.console import Group

    from bench.launch.status import Observation, RunState

WATCH_SECONDS = 2.0


def status(
    out: OutOption = DEFAULT_OUT,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until nothing is under way.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Every run: done, running (stage, epoch, time left, node, job), failed (why), blocked, interrupted or waiting."""
    import json
    import sys

    from bench.cli.console import make_console
    from bench.errors import UsageError
    from bench.launch.status import observe

    observed = observe(out)
    if not observed.states:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    if as_json:
        print(json.dumps({"runs": [vars(state) for state in observed.states], "trouble": observed.trouble}))
        return
    console = make_console()
    if watch:
        _watch(out)
        return
    console.print(_shown(observed))
    if observed.trouble:
        print(
            f"bench: SLURM cannot be asked, this is from the output folder alone: {observed.trouble}", file=sys.stderr
        )


def _watch(out: Path) -> None:
    """Until nothing is under way, or Ctrl-C."""
    from rich.live import Live

    from bench.cli.console import make_console
    from bench.launch.status import observe

    with Live(console=make_console(), auto_refresh=False, vertical_overflow="visible") as live:
        try:
            while True:
                observed = observe(out)
                live.update(_shown(observed), refresh=True)
                if not any(_is_under_way(state) for state in observed.states):
                    return
                pause()
        except KeyboardInterrupt:
            return


def pause() -> None:
    """Between two looks."""
    time.sleep(WATCH_SECONDS)


def _is_under_way(state: RunState) -> bool:
    """Whether some process or job will carry it further by itself."""
    return state.state in ("running", "pending") or (state.state == "waiting" and bool(state.job))


def _shown(observed: Observation) -> Group:
    """The table of runs, with the columns that have anything in them, and the count of each state."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    states = observed.states
    columns: dict[str, list[str]] = {
        "Run": [_name(state) for state in states],
        "Setting": [state.setting for state in states],
        "Seed": [str(state.seed) for state in states],
        "State": [state.state for state in states],
        "Stage": [state.stage for state in states],
        "Epoch": [f"{state.epoch}/{state.epochs}" if state.epoch is not None else "" for state in states],
        "Done": [f"{state.progress:.0%}" if state.progress is not None else "" for state in states],
        "Left": [_clock(state.eta) if state.eta is not None else "" for state in states],
        "Node": [state.node for state in states],
        "Job": [state.job for state in states],
        " ": [_detail(state) for state in states],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(*shown, box=None, pad_edge=False)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    counts = {name: sum(s.state == name for s in states) for name in dict.fromkeys(s.state for s in states)}
    return Group(table, Text(", ".join(f"{count} {name}" for name, count in counts.items())))


def _name(state: RunState) -> str:
    return f"{model_name(state.model, state.variant)} · {state.dataset} · {state.encoder}"


def _detail(state: RunState) -> str:
    """Why it is in this state; of a run under way, or one that ended without saying why, the last line it printed."""
    if state.log and state.state in ("running", "interrupted", "failed") and state.log not in state.detail:
        return f"{state.detail} | {state.log[:120]}" if state.detail else state.log[:120]
    return state.detail


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
