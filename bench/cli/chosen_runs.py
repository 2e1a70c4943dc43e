"""Which runs of an output folder a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.launch.status import RunView

RunsArgument = Annotated[
    list[str] | None, typer.Argument(help="Runs, each by a part of its folder's name that no other has, or its job.")
]


def chosen(views: Sequence[RunView], names: Sequence[str], out: Path) -> list[RunView]:
    """Those of all `views` of `out` that `names` mean. Raises UsageError for a name that means none, or several."""
    from bench.errors import UsageError

    if not views:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    wanted: list[RunView] = []
    for name in names:
        exact = [view for view in views if name in (view.run, view.job)]
        containing = [view for view in views if name in view.run]
        matching = exact or containing or [view for view in views if name in _short_names(view)]
        if len(matching) != 1:
            listed = "\n".join(f"  {view.run}" for view in (matching or views)[:20])
            what = f"{len(matching)} runs have {name!r} in their names" if matching else f"no run {name!r} in {out}"
            raise UsageError(f"{what}:\n{listed}")
        wanted += matching
    return wanted


def _short_names(view: RunView) -> set[str]:
    """What a run is called for short: what it is of, in the order of its folder's name, with parts left out."""
    parts = [view.model, view.variant, view.dataset, view.setting, view.encoder, f"s{view.seed}"]
    present = [part for part in parts if part]
    return {"-".join(some) for length in range(1, len(present) + 1) for some in combinations(present, length)}


def folder_of(run: str, out: Path) -> Path:
    """The folder of one run, which is named by its path or by its name in `out`. Raises UsageError."""
    from bench.errors import unknown
    from bench.runs.run_folder import is_run

    for path in (Path(run), out / "runs" / run):
        if is_run(path):
            return path
    raise unknown("run", run, (path.parent.name for path in (out / "runs").glob("*/record.json")))
