"""The table model: what a table says, before anybody decides what it looks like.

What makes a table (`bench.report.tables`) fills it with `TableCell`s; what writes it (`bench.report.render`: for the
terminal, as Markdown, LaTeX, CSV and HTML) puts down what it says, and nothing else.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

Comparability = Literal["same", "other", "none"]
"""How published values stand to ours: measured on the same data and encoder, on others, or there are none."""

MISSING = "—"


@dataclass(frozen=True)
class Line:
    """What stands under the number of a cell. label: what it is, the same for all cells of a row (`published`)."""

    label: str
    text: str


@dataclass(frozen=True)
class TableCell:
    """One cell.

    text: what it shows.   value: what it sorts by, and what a CSV file gets instead of the text.   marks: set above the
    text.   notes: sentences that go to the foot of the table.   data: further numbers, for CSV files alone.
    """

    text: str
    value: float | str | None = None
    bold: bool = False
    marks: str = ""
    notes: tuple[str, ...] = ()
    under: tuple[Line, ...] = ()
    data: Mapping[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """A column: its heading, the heading that it shares with its neighbours (`Dev`), and whether it holds numbers."""

    title: str
    group: str = ""
    numeric: bool = True

    @property
    def name(self) -> str:
        """Both headings in one: `Dev F1`."""
        return f"{self.group} {self.title}".strip()


@dataclass(frozen=True)
class TableRow:
    """A row. section: a heading over this row and those after it with the same one."""

    cells: tuple[TableCell, ...]
    section: str = ""


@dataclass(frozen=True)
class Table:
    """A table. name: of its files and its place in the page.   notes: what holds for all of it.

    legend: what its marks mean, the same for all tables with such marks; the page says it once.
    The first column names the rows.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    legend: tuple[str, ...] = ()
    published: Comparability = "none"

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(f"{self.name}: a row of {len(row.cells)} cells under {len(self.columns)} columns")

    @property
    def footnotes(self) -> dict[str, str]:
        """Letter of each distinct note of a cell, in reading order: note -> `a`."""
        notes = dict.fromkeys(note for row in self.rows for cell in row.cells for note in cell.notes)
        return {note: _letter(index) for index, note in enumerate(notes)}

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The headings shared by neighbouring columns, each with how many they are."""
        return [(group, len(list(columns))) for group, columns in groupby(column.group for column in self.columns)]


def by_section(rows: Sequence[TableRow]) -> Iterable[tuple[str, list[TableRow]]]:
    """The rows under each heading, in their order; a heading that comes again later is set again."""
    return [(section, list(under)) for section, under in groupby(rows, key=lambda row: row.section)]


def labels_under(row: TableRow) -> list[str]:
    """What the lines under a row's cells are, each once: `published`, `difference`."""
    return list(dict.fromkeys(line.label for cell in row.cells for line in cell.under))


def line_of(cell: TableCell, label: str) -> str:
    """The text of a cell's line with that label, empty where it has none."""
    return next((line.text for line in cell.under if line.label == label), "")


def _letter(index: int) -> str:
    """The index-th letter of footnotes: a to z, then aa, ab ..."""
    letters = string.ascii_lowercase
    return letters[index] if index < 26 else _letter(index // 26 - 1) + letters[index % 26]


def plain_table(
    name: str,
    title: str,
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str | float | int | None]],
    notes: Sequence[str] = (),
    digits: int = 2,
) -> Table:
    """A table of texts and numbers without anything to say of single cells. None is shown as missing."""
    lines = [tuple(_plain_cell(value, digits) for value in row) for row in rows]
    numeric = [
        bool(lines) and all(not isinstance(line[i].value, str) for line in lines) and i > 0 for i in range(len(header))
    ]
    columns = tuple(Column(title, numeric=is_number) for title, is_number in zip(header, numeric, strict=True))
    return Table(name, title, caption, columns, tuple(TableRow(line) for line in lines), tuple(notes))


def _plain_cell(value: str | float | int | None, digits: int) -> TableCell:
    if value is None:
        return TableCell(MISSING)
    if isinstance(value, str):
        return TableCell(value, value)
    return TableCell(f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}", value)
