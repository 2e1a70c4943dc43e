"""The table model: what a table says, before anybody decides what it looks like.

Whoever makes a table fills it with `Cell`s; `markdown.py`, `latex.py`, `csv_file.py` and `html.py` only write down what
is there.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
class Cell:
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
        """Both headings."""
        return f"{self.group} {self.title}".strip()


@dataclass(frozen=True)
class Row:
    """A row. section: a heading over this row and those after it with the same one."""

    cells: tuple[Cell, ...]
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
    rows: tuple[Row, ...]
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
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found


def by_section(rows: Sequence[Row]) -> Iterable[tuple[str, list[Row]]]:
    """The rows under each heading, in their order; a heading that comes again later is set again."""
    runs: list[tuple[str, list[Row]]] = []
    for row in rows:
        if not runs or runs[-1][0] != row.section:
            runs.append((row.section, []))
        runs[-1][1].append(row)
    return runs


def labels_under(row: Row) -> list[str]:
    """What the lines under a row's cells are, each once: `published`, `difference`."""
    return list(dict.fromkeys(line.label for cell in row.cells for line in cell.under))


def line_of(cell: Cell, label: str) -> str:
    """The text of a cell's line with that label, empty where it has none."""
    return next((line.text for line in cell.under if line.label == label), "")


def _letter(index: int) -> str:
    """a ... z, aa, ab ..."""
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
    return Table(name, title, caption, columns, tuple(Row(line) for line in lines), tuple(notes))


def _plain_cell(value: str | float | int | None, digits: int) -> Cell:
    if value is None:
        return Cell(MISSING)
    if isinstance(value, str):
        return Cell(value, value)
    return Cell(f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}", value)
