"""Which runs of an output folder `logs`, `cancel` and `retry` are about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.launch.status import RunState

RunsArgument = Annotated[
    list[str] | None, typer.Argument(help="Runs, each by a part of its folder's name that no other has, or its job.")
]


def chosen(states: Sequence[RunState], names: Sequence[str], out: Path) -> list[RunState]:
    """The states of the runs that `names` mean. Raises UsageError for one that means none, or several."""
    from bench.errors import UsageError

    if not states:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    found = []
    for name in names:
        exact = [state for state in states if name in (state.run, state.job)]
        matching = exact or [state for state in states if name in state.run]
        if len(matching) != 1:
            listed = "\n".join(f"  {state.run}" for state in (matching or states)[:20])
            what = f"{len(matching)} runs have {name!r} in their names" if matching else f"no run {name!r} in {out}"
            raise UsageError(f"{what}:\n{listed}")
        found += matching
    return found
