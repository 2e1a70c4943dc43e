"""`bench table`: the tables again, from the records."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.commands.run import DEFAULT_OUT, OutOption


def table(
    out: OutOption = DEFAULT_OUT,
    as_json: Annotated[bool, typer.Option("--json", help="Print every number, with each seed's, as JSON.")] = False,
) -> None:
    """Mean ± std over seeds of everything in the output folder, with what is missing shown as missing."""
    import json

    from bench.aggregate import load_cells, rows_of
    from bench.commands.output import make_console
    from bench.errors import UsageError
    from bench.tables import print_tables, write_tables

    cells = load_cells(out)
    if not cells:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    if as_json:
        print(json.dumps({"rows": [row.as_json() for row in rows_of(cells)]}))
        return
    console = make_console()
    print_tables(console, cells)
    console.print(f"also in {write_tables(out, cells)}", soft_wrap=True)
