"""`bench logs`: what a run's job printed, or where there is no job, how its losses went; and where it failed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.chosen_runs import RunArgument
from bench.cli.options import DEFAULT_OUT, OutOption

if TYPE_CHECKING:
    from bench.launch.status import RunView

FOLLOW_SECONDS = 0.5


def logs(
    run: RunArgument,
    out: OutOption = DEFAULT_OUT,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run comes to an end.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="So many from the end; 0 for all.")] = 100,
) -> None:
    """The output of a run's job on SLURM; of other launchers, the training log of the stage it is in.

    Of a run that failed, the traceback after that.
    """
    from bench.cli.chosen_runs import the_one
    from bench.errors import UsageError
    from bench.launch.status import run_views
    from bench.runs.status import SETTLED

    view = the_one(run_views(out), run, out)
    path = _newest_log(out, view.run)
    if path is None and not follow and view.state != "failed":
        raise UsageError(f"{view.run} {_why_none(out, view)}")
    shown = 0
    while True:
        newest = _newest_log(out, view.run)
        if newest != path:
            path, shown, lines = newest, 0, 0  # another stage
        if path is not None:
            shown = _print_from(path, shown, lines)
            lines = 0
        if not follow:
            _print_failure(out, view)
            return
        view = the_one(run_views(out), view.run, out)
        if view.state in SETTLED:
            if path is not None:
                _print_from(path, shown, 0)
            _print_failure(out, view)
            return
        pause()


def _why_none(out: Path, view: RunView) -> str:
    """Why there is nothing to show of a run."""
    from bench.runs.run_folder import RunFolder

    plan = RunFolder(out, view.run).plan()
    if plan is None or view.state != "done":
        return f"has printed nothing yet ({view.state})"
    if plan.origin != "trained":
        return "has no log: it was imported"
    return "has no log" if plan.learnt else "has no log: its model is fitted without updates that could be logged"


def _print_failure(out: Path, view: RunView) -> None:
    from bench.runs.run_folder import RunFolder

    if view.state == "failed":
        # A job that was killed has left no error: what SLURM says of it is all there is.
        print(RunFolder(out, view.run).error_text() or f"{view.run} failed: {view.detail}\n", end="", flush=True)


def pause() -> None:
    """Pause between two looks at the file."""
    time.sleep(FOLLOW_SECONDS)


def _newest_log(out: Path, run: str) -> Path | None:
    """What the run's job printed, or the steps of the last stage that has any."""
    from bench.launch.status import job_of
    from bench.runs.outline import outline_of
    from bench.runs.stage_folder import LOG, stage_folder
    from bench.slurm.submissions import log_path

    outline = outline_of(out, run)
    if outline is None:
        return None
    job = job_of(out, outline)
    if job is not None:
        path = log_path(out, job)
        return path if path.exists() else None
    paths = [stage_folder(out, stage) / LOG for stage in outline.stages]
    return next((path for path in reversed(paths) if path.exists()), None)


def _print_from(path: Path, offset: int, lines: int) -> int:
    """Print what comes after `offset` bytes (the last `lines` of it, unless 0); where it ended."""
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read()
    text = content.decode("utf-8", "replace")
    if lines:
        text = "".join(text.splitlines(keepends=True)[-lines:])
    print(text, end="", flush=True)
    return offset + len(content)
