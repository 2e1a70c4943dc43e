"""`bench status`: every run planned in an output folder, and where it is."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.commands.run import DEFAULT_OUT, OutOption


def status(
    out: OutOption = DEFAULT_OUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Every run: done, running (stage, epoch), failed (why), interrupted or waiting."""
    import json

    from rich.table import Table

    from bench.commands.output import make_console
    from bench.errors import UsageError
    from bench.progress import run_states

    states = run_states(out)
    if not states:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    if as_json:
        print(json.dumps({"runs": [vars(state) for state in states]}))
        return
    table = Table("Run", "Setting", "Seed", "State", "", box=None, pad_edge=False)
    for state in states:
        name = state.model + (f" ({state.variant})" if state.variant else "")
        table.add_row(
            f"{name} · {state.dataset} · {state.encoder}", state.setting, str(state.seed), state.state, state.detail
        )
    console = make_console()
    console.print(table)
    counts = {name: sum(s.state == name for s in states) for name in dict.fromkeys(s.state for s in states)}
    console.print(", ".join(f"{count} {name}" for name, count in counts.items()))
