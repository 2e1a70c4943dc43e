"""`bench explore`: the documents of a split with what runs found, missed and invented in them, as one HTML page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.completion import complete_dataset
from bench.cli.options import DEFAULT_OUT, OutOption, OwnModelsOption, TrustCodeOption, trust_of

if TYPE_CHECKING:
    from bench.launch.status import RunView

MOST = 6
"""Runs on a page that nobody chose by name: columns that fit beside each other."""


def explore(
    runs: RunsArgument = None,
    split: Annotated[Literal["dev", "test"], typer.Option(help="The documents to look at.")] = "test",
    to: Annotated[Path | None, typer.Option(help="The page to write. Default: OUT/report/explorer.html.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="The data set whose runs to look at. Default: that of the runs named; else the one with most systems.",
            autocompletion=complete_dataset,
        ),
    ] = None,
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

    Several runs stand side by side. Without RUNS: one of each model and setting in OUT; of a row that is named, one
    seed. The page is one file, which opens without a server and loads nothing.
    """
    from bench.cli.output_paths import check_file
    from bench.cli.progress import showing_progress
    from bench.errors import plural
    from bench.explorer.page import write_page
    from bench.explorer.runs import explore as collect
    from bench.launch.status import run_views
    from bench.runs.run_folder import RunFolder

    views = run_views(out)
    picked = _picked(views, runs or [], dataset, out, split)
    folders = [RunFolder(out, view.run) for view in picked]
    path = to or out / "report" / "explorer.html"
    check_file(path, "--to")
    for state, what in (("newer", "made by a newer version of docre-bench"), ("damaged", "damaged")):
        if not runs and (count := sum(view.state == state for view in views)):
            typer.echo(f"{what}, and not looked at: {plural(count, 'run')}", err=True)
    trust = trust_of(trust_code, models)
    with showing_progress() as doing:
        exploration = collect(folders, split, make_scores, lambda note: typer.echo(note, err=True), trust, doing)
        doing("writing the page")
        size = write_page(exploration, path)
    what = f"{plural(len(exploration.documents), 'document')}, {plural(len(exploration.runs), 'run')}"
    typer.echo(f"{what}, {size / 1e6:.1f} MB: {path}")


def _picked(views: list[RunView], names: list[str], dataset: str | None, out: Path, split: str) -> list[RunView]:
    """The runs that are named, those of a data set, or one of each cell. Raises UsageError where there is none."""
    from bench.cli.chosen_runs import chosen
    from bench.errors import unknown

    if dataset is not None:
        if all(view.dataset != dataset for view in views):
            raise unknown("data set of these runs", dataset, {view.dataset for view in views})
        views = [view for view in views if view.dataset == dataset]
    if not names:
        return _one_of_each(views, out, split)
    named: dict[str, RunView] = {}
    for name in names:
        of_name = chosen(views, [name], out)
        several = _first_finished(of_name, out, split) if len(of_name) > 1 else []
        named |= {view.run: view for view in several or of_name}
    return list(named.values())


def _first_finished(views: list[RunView], out: Path, split: str) -> list[RunView]:
    """The first finished seed of every cell; where one has predictions on the split, the first that does."""
    from bench.runs.run_folder import RunFolder, predictions_path

    cells: dict[tuple[str, ...], RunView] = {}
    done = [view for view in views if view.state == "done"]
    lacking = {view.run for view in done if not predictions_path(RunFolder(out, view.run).path, split).is_file()}
    for view in sorted(done, key=lambda view: (view.run in lacking, view.seed)):
        cells.setdefault((view.dataset, view.setting, view.model, view.variant, view.encoder), view)
    return list(cells.values())


def _one_of_each(views: list[RunView], out: Path, split: str) -> list[RunView]:
    """The first finished seed of every cell of the data set that has most of them.

    Raises UsageError where there is none, or are more than a page holds.
    """
    from bench.errors import UsageError, plural
    from bench.runs.archive import nothing_planned

    if not views:
        raise UsageError(nothing_planned(out))
    cells = _first_finished(views, out, split)
    if not cells:
        raise UsageError(f"no finished run in {out} (`bench status --out {out}` says where they stand)")
    of = Counter(view.dataset for view in cells)
    dataset, count = of.most_common(1)[0]
    if len(of) > 1:
        others = ", ".join(sorted(of.keys() - {dataset}))
        typer.echo(f"on {dataset}, which has most systems ({count}); --dataset takes another: {others}", err=True)
    cells = [view for view in cells if view.dataset == dataset]
    if len(cells) > MOST:
        listed = "\n".join(f"  {view.run}" for view in cells)
        what = f"{plural(len(cells), 'system')} on {dataset}, and a page shows {MOST} unless they are named"
        raise UsageError(f"say which of the runs in {out}: {what}:\n{listed}")
    return cells
