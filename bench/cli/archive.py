"""`bench archive`: the records of runs in one small file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import DEFAULT_OUT, OutOption


def archive(
    runs: RunsArgument = None,
    to: Annotated[
        Path | None, typer.Option(help="The file, or a folder for `records.tar.xz`. Default: OUT/records.tar.xz.")
    ] = None,
    out: OutOption = DEFAULT_OUT,
) -> None:
    """Put plans and records of runs, or of all, into one compressed file, beside those that it has.

    `bench table`, `compare`, `report` and `audit` read it where it is the `records.tar.xz` of their --out. Finished,
    failed and unfinished runs are in it, so that a row still says 4 of 5; weights, predictions and scores are not.
    All runs are those of the folder and those of its archive: so the archives of two machines become one.
    """
    from bench.cli.chosen_runs import chosen
    from bench.errors import UsageError, plural
    from bench.launch.status import run_views
    from bench.runs.archive import ARCHIVE, archived_runs, nothing_planned, write_archive
    from bench.runs.run_folder import RunFolder

    views = run_views(out)
    archived = [] if runs else archived_runs(out)
    if not views and not archived:
        raise UsageError(nothing_planned(out))
    picked = chosen(views, runs, out) if runs else views
    folders = [*archived, *(RunFolder(out, view.run) for view in picked)]
    readable = [folder for folder in folders if not ((found := folder.verdict()).damage or found.newer)]
    for name in dict.fromkeys(folder.name for folder in folders if folder not in readable):
        typer.echo(f"{name}: damaged, or made by a newer version; not archived", err=True)
    path = out / ARCHIVE if to is None else to / ARCHIVE if to.is_dir() or not to.suffix else to
    count, finished = write_archive(path, readable)
    typer.echo(f"{path}: {plural(count, 'run')}, {finished} finished, {path.stat().st_size / 1e6:.2f} MB")
