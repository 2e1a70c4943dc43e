"""Tables on the terminal."""

from __future__ import annotations

from dataclasses import dataclass

from rich import table as rich_table
from rich.text import Text

from bench.report.table import Column, Table, TableCell


@dataclass(frozen=True)
class Layout:
    """How a table stands on the terminal.

    gap: blanks between columns.   leading: empty lines between rows.   margin: whether the gap is also after the last
    column.   whole_numbers: numbers are never cut or broken, and texts go on in the next line wherever the column ends;
    else both are broken between words.
    """

    gap: int
    leading: int = 0
    margin: bool = False
    whole_numbers: bool = False


SCORES = Layout(gap=1, margin=True, whole_numbers=True)
LISTS = Layout(gap=2)
PARAGRAPHS = Layout(gap=3, leading=1)


def to_terminal(table: Table, layout: Layout, title: str | None = None) -> rich_table.Table:
    """For a console without markup: title, headings, cells with what stands under them, notes of cells and table.

    title: instead of the table's own; its caption is for pages.
    """
    letters = table.footnotes
    shown = rich_table.Table(
        title=title or table.title or None,
        title_justify="left",
        caption="\n".join([*(f"{letter} {note}" for note, letter in letters.items()), *table.notes]) or None,
        caption_justify="left",
        box=None,
        padding=(0, layout.gap, layout.leading, 0),
        pad_edge=layout.margin,
    )
    for column in table.columns:
        _add(shown, column, layout)
    for row in table.rows:
        shown.add_row(*(_text(cell, letters) for cell in row.cells))
    return shown


def _add(shown: rich_table.Table, column: Column, layout: Layout) -> None:
    heading = f"{column.group}\n{column.title}" if column.group else column.title
    shown.add_column(
        heading,
        justify="right" if column.numeric else "left",
        no_wrap=layout.whole_numbers and column.numeric,
        overflow="fold" if layout.whole_numbers and not column.numeric else "ellipsis",
    )


def _text(cell: TableCell, letters: dict[str, str]) -> Text:
    """As it is: a bracket in a name or an error is a bracket."""
    above = cell.marks + ",".join(letters[note] for note in cell.notes)
    under = [f"{line.label} {line.text}".strip() for line in cell.under]
    return Text("\n".join([cell.text + above, *under]), style="bold" if cell.bold else "")
