"""How `bench doctor` shows what there is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.execution.requirements import Requirement


def print_requirements(rows: Iterable[Requirement], last: str) -> None:
    """A table of requirements; `last` heads its last column."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console

    table = Table("", "What", "Found", last, box=None, pad_edge=False)
    for row in rows:
        mark = Text("ok", "green") if row.here else Text("--", "yellow")
        table.add_row(mark, Text(row.what), Text(row.state), Text(row.to_do))
    make_console().print(table)
