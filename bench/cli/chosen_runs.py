"""Which runs of an output folder `logs`, `cancel` and `retry` are about."""

from __future__ import annotations

from collections.abc import Sequence
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
        matching = exact or [view for view in views if name in view.run]
        if len(matching) != 1:
            listed = "\n".join(f"  {view.run}" for view in (matching or views)[:20])
            what = f"{len(matching)} runs have {name!r} in their names" if matching else f"no run {name!r} in {out}"
            raise UsageError(f"{what}:\n{listed}")
        wanted += matching
    return wanted
