"""`bench status`: every run planned in an output folder, and where it is."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_OUT, OutOption

if TYPE_CHECKING:
    from rich.console import Group

    from bench.launch.status import Observation, RunView

WATCH_SECONDS = 2.0
IN_COUNTS = {"newer": "made by a newer version"}
"""How a state is called where it is counted, if not by its name."""


def status(
    out: OutOption = DEFAULT_OUT,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until nothing is under way.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
    stale: Annotated[
        bool,
        typer.Option(
            "--stale", help="Only runs that `bench run` would plan otherwise today, and why: versions, code or data."
        ),
    ] = False,
) -> None:
    """Every run: done, running (stage, epoch, time left, node, job), failed (why), blocked, interrupted or waiting.

    Damaged: its files are not what was written, or cannot be right. Newer: made by a newer version of the program, and
    left as it is.
    """
    import json
    import sys

    from bench.cli.console import make_console
    from bench.errors import UsageError
    from bench.launch.start_up import long_start_up
    from bench.launch.status import observe
    from bench.runs.archive import nothing_planned

    if stale and watch:
        raise UsageError("--stale looks once: leave out --watch")
    observed = observe(out)
    if not observed.runs:
        raise UsageError(nothing_planned(out))
    if stale:
        observed = replace(observed, runs=_stale(out, observed.runs))
    if as_json:
        print(json.dumps({"runs": [vars(view) for view in observed.runs], "trouble": observed.trouble}))
        return
    console = make_console()
    if watch:
        _watch(out)
        return
    console.print(_shown(observed) if observed.runs else "no run is stale")
    if note := long_start_up(out, [v.run for v in observed.runs], [v.run for v in observed.runs if _is_under_way(v)]):
        console.print(note, soft_wrap=True)
    if observed.trouble:
        print(
            f"bench: SLURM cannot be asked everything, the rest is from the output folder: {observed.trouble}",
            file=sys.stderr,
        )


def _stale(out: Path, views: list[RunView]) -> list[RunView]:
    """The stale ones, with the reason before what else there is to say."""
    from bench.execution.stale import stale_runs

    why = stale_runs(out)
    found = [view for view in views if view.run in why]
    return [replace(view, detail="; ".join(filter(None, (why[view.run], view.detail)))) for view in found]


def _watch(out: Path) -> None:
    """Show the table anew until nothing is under way, or until Ctrl-C."""
    from rich.live import Live

    from bench.cli.console import make_console
    from bench.launch.status import observe

    with Live(console=make_console(), auto_refresh=False, vertical_overflow="visible") as live:
        try:
            while True:
                observed = observe(out)
                live.update(_shown(observed), refresh=True)
                if not any(_is_under_way(view) for view in observed.runs):
                    return
                pause()
        except KeyboardInterrupt:
            return


def pause() -> None:
    """Pause between two looks at the folder."""
    time.sleep(WATCH_SECONDS)


def _is_under_way(view: RunView) -> bool:
    """Whether some process or job will carry the run further by itself."""
    from bench.runs.status import SETTLED

    return view.state not in SETTLED and (view.state != "waiting" or bool(view.job))


def _shown(observed: Observation) -> Group:
    """The table of runs, with the columns that have anything in them, and the count of each state."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    views = observed.runs
    columns: dict[str, list[str]] = {
        "Run": [view.row for view in views],
        "Setting": [view.setting for view in views],
        "Seed": [str(view.seed) for view in views],
        "State": [view.state for view in views],
        "Stage": [view.stage for view in views],
        "Epoch": [f"{view.epoch}/{view.epochs}" if view.epoch is not None else "" for view in views],
        "Done": [f"{view.progress:.0%}" if view.progress is not None else "" for view in views],
        "Left": [_clock(view.eta) if view.eta is not None else "" for view in views],
        "Node": [view.node for view in views],
        "Job": [view.job for view in views],
        " ": [_detail(view) for view in views],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    table = Table(*shown, box=None, pad_edge=False)
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    counts = {name: sum(view.state == name for view in views) for name in dict.fromkeys(view.state for view in views)}
    return Group(table, Text(", ".join(f"{count} {IN_COUNTS.get(name, name)}" for name, count in counts.items())))


def _detail(view: RunView) -> str:
    """Why it is in this state; of a run under way, or one that ended without saying why, the last line it printed."""
    if view.log and view.state in ("running", "unknown", "interrupted", "failed") and view.log not in view.detail:
        return f"{view.detail} | {view.log[:120]}" if view.detail else view.log[:120]
    return view.detail


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
