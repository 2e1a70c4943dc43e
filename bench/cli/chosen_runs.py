"""Which runs of an output folder a command is about, by whatever `bench status` and `bench table` call them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.completion import complete_run, complete_run_or_row

if TYPE_CHECKING:
    from bench.launch.status import RunView
    from bench.runs.run_folder import RunFolder

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        help="Runs, each by a part of its folder's name that no other has, or its path; or by a job, or the name of a "
        "row of `bench table` or `bench status`, which means all that share it.",
        autocompletion=complete_run_or_row,
    ),
]
RunArgument = Annotated[
    str,
    typer.Argument(
        help="A run, by a part of its folder's name that no other has, its path, its job, or the name of a row that is "
        "one run.",
        autocompletion=complete_run,
    ),
]


def chosen(views: Sequence[RunView], names: Sequence[str], out: Path) -> list[RunView]:
    """Those of all `views` of `out` that `names` mean, each once; the name of a row, or a job, means all its runs.

    Raises UsageError for a name that means no run, or could mean several without being the name of a row or a job.
    """
    from bench.errors import UsageError
    from bench.runs.archive import nothing_planned

    if not views:
        raise UsageError(nothing_planned(out))
    wanted: dict[str, RunView] = {}
    for name in names:
        matching, is_row = _matching(views, name, out)
        if not matching or (len(matching) > 1 and not is_row):
            listed = "\n".join(f"  {view.run}" for view in (matching or views)[:20])
            what = f"{len(matching)} runs have {name!r} in their names" if matching else f"no run {name!r} in {out}"
            raise UsageError(f"{what}:\n{listed}")
        wanted |= {view.run: view for view in matching}
    return list(wanted.values())


def the_one(views: Sequence[RunView], name: str, out: Path) -> RunView:
    """The one run that `name` means. Raises UsageError where that is none, or several."""
    from bench.errors import UsageError

    found = chosen(views, [name], out)
    if len(found) > 1:
        listed = "\n".join(f"  {view.run}" for view in found[:20])
        raise UsageError(f"{name!r} is {len(found)} runs; say which:\n{listed}")
    return found[0]


def _matching(views: Sequence[RunView], name: str, out: Path) -> tuple[list[RunView], bool]:
    """The runs that a name may mean, and whether it means all of them: it is a row's name, or a job's."""
    path = Path(name)
    if path.parent.name == "runs" and path.resolve().parent == (out / "runs").resolve():
        name = path.name
    exact = [view for view in views if name in (view.run, view.job)]
    if exact:
        return exact, exact[0].job == name  # a job may be at several runs
    row = [view for view in views if name in (view.row, view.system)]
    if row:
        return row, True
    containing = [view for view in views if name in view.run]
    return containing or [view for view in views if name in _short_names(view)], False


def _short_names(view: RunView) -> set[str]:
    """What a run is called for short: what it is of, in the order of its folder's name, with parts left out."""
    parts = [view.model, view.variant, view.dataset, view.setting, view.encoder, f"s{view.seed}"]
    present = [part for part in parts if part]
    return {"-".join(some) for length in range(1, len(present) + 1) for some in combinations(present, length)}


def folders_of(runs: Sequence[str], out: Path) -> list[RunFolder]:
    """The folders of runs, wherever they lie, or of those of `out` that names mean: of a row all its seeds. Each once.

    Raises UsageError.
    """
    from bench.launch.status import run_views
    from bench.runs.run_folder import RunFolder, is_run

    paths = [Path(run).resolve() for run in runs if is_run(Path(run))]
    named = [run for run in runs if not is_run(Path(run))]
    views = chosen(run_views(out), named, out) if named else []
    paths += [(out / "runs" / view.run).resolve() for view in views]
    return [RunFolder(path.parent.parent, path.name) for path in dict.fromkeys(paths)]


def folder_of(run: str, out: Path) -> Path:
    """The folder of one run, wherever it lies, or of one of `out` by its name. Raises UsageError."""
    from bench.launch.status import run_views
    from bench.runs.run_folder import is_run

    return Path(run) if is_run(Path(run)) else out / "runs" / the_one(run_views(out), run, out).run
