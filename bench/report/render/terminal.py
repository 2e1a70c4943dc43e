"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from bench.analysis.aggregate import (
    Cell,
)
from bench.report.tables.overview import Block, _has_evidence, blocks

WIDE = 140
"""Columns of a terminal on which dev and test go side by side."""

WIDER = 170
"""The same for tables with evidence."""


def for_terminal(block: Block) -> Table:
    """A rich table, for a console without markup: names and errors are shown as they are."""
    title = f"{block.title}: percent, mean ± std over seeds"
    table = Table(title=title, title_justify="left", caption_justify="left", box=None, padding=(0, 1, 0, 0))
    for i, name in enumerate(block.header):
        if i < 2:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for line in block.lines:
        table.add_row(*line)
    if block.notes:
        table.caption = "\n".join(block.notes)
    return table


def print_tables(console: Console, cells: Sequence[Cell]) -> None:
    """All blocks; dev and test below each other where the console is too narrow for both."""
    enough = WIDER if any(map(_has_evidence, cells)) else WIDE
    for splits in [("dev", "test")] if console.width >= enough else [("dev",), ("test",)]:
        for block in blocks(cells, splits):
            console.print(for_terminal(block), "")
