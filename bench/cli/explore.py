"""`bench explore`: the documents of a split with what runs found, missed and invented in them, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import DEFAULT_OUT, OutOption, OwnModelsOption, TrustCodeOption, trust_of

if TYPE_CHECKING:
    from bench.launch.status import RunView

MOST = 6
"""Runs on a page that nobody chose by name: columns that fit beside each other."""


def explore(
    runs: RunsArgument = None,
    split: Annotated[Literal["dev", "test"], typer.Option(help="The documents to look at.")] = "test",
    to: Annotated[Path | None, typer.Option(help="The page to write. Default: OUT/report/explorer.html.")] = None,
    out: OutOption = DEFAULT_OUT,
    make_scores: Annotated[
        bool,
        typer.Option(
            "--make-scores/--no-make-scores", help="Give runs that kept no scores theirs, from their weights."
        ),
    ] = True,
    models: OwnModelsOption = None,
    trust_code: TrustCodeOption = False,
) -> None:
    """Look at errors: a page of documents with their mentions, and found, missed and wrong triples with their scores.

    Several runs stand side by side. Without RUNS: one of each model and setting in OUT. The page is one file, which
    opens without a server and loads nothing.
    """
    from bench.cli.chosen_runs import chosen
    from bench.cli.output_paths import check_file
    from bench.errors import plural
    from bench.explorer.page import write_page
    from bench.explorer.runs import explore as collect
    from bench.launch.status import run_views
    from bench.runs.run_folder import RunFolder

    path = to or out / "report" / "explorer.html"
    views = run_views(out)
    picked = list({view.run: view for view in chosen(views, runs, out)}.values()) if runs else _one_of_each(views, out)
    folders = [RunFolder(out, view.run) for view in picked]
    path = to or out / "report" / "explorer.html"
    check_file(path, "--to")
    for state, what in (("newer", "made by a newer version of docre-bench"), ("damaged", "damaged")):
        if not runs and (count := sum(view.state == state for view in views)):
            typer.echo(f"{what}, and not looked at: {plural(count, 'run')}", err=True)
    trust = trust_of(trust_code, models)
    exploration = collect(folders, split, make_scores, lambda note: typer.echo(note, err=True), trust)
    size = write_page(exploration, path)
    what = f"{plural(len(exploration.documents), 'document')}, {plural(len(exploration.runs), 'run')}"
    typer.echo(f"{what}, {size / 1e6:.1f} MB: {path}")


def _one_of_each(views: list[RunView], out: Path) -> list[RunView]:
    """The first finished seed of every cell. Raises UsageError where that is none, or more than a page holds."""
    from bench.errors import UsageError

    cells: dict[tuple[str, ...], RunView] = {}
    for view in sorted(views, key=lambda view: view.seed):
        if view.state == "done":
            cells.setdefault((view.dataset, view.setting, view.model, view.variant, view.encoder), view)
    if not cells:
        raise UsageError(f"no finished run in {out} (`bench status --out {out}` says where they stand)")
    if len(cells) > MOST or len({view.dataset for view in cells.values()}) > 1:
        listed = "\n".join(f"  {view.run}" for view in cells.values())
        raise UsageError(f"say which of the runs in {out}, by a part of the name that no other has:\n{listed}")
    return list(cells.values())
