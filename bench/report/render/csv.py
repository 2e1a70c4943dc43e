"""Tables as CSV: every number unrounded, with what belongs to it in columns of its own."""

from __future__ import annotations

import csv
import io
import re

from bench.report.table import Table


def to_csv(table: Table) -> str:
    """A header and one line per row, RFC 4180 with plain line feeds.

    A cell's further numbers are columns named after its column: `test F1`, `test F1 std`, `test F1 published`. Notes
    are in a last column; sections in a first one, where there are some. Texts are `as_text`.
    """
    keys = [
        list(dict.fromkeys(key for row in table.rows for key in row.cells[i].data)) for i in range(len(table.columns))
    ]
    sections = any(row.section for row in table.rows)
    header = ["section"] * sections
    for column, further in zip(table.columns, keys, strict=True):
        header += [column.name, *(f"{column.name} {key}" for key in further)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(as_text, [*header, "notes"]))
    for row in table.rows:
        line: list[object] = [row.section] * sections
        for cell, further in zip(row.cells, keys, strict=True):
            line += [cell.text if cell.value is None else cell.value, *(cell.data.get(key) for key in further)]
        notes = dict.fromkeys(note for cell in row.cells for note in cell.notes)
        writer.writerow(["" if value is None else as_text(value) for value in [*line, " | ".join(notes)]])
    return file.getvalue()


def as_text(value: object) -> object:
    """A value of a CSV file that no spreadsheet takes for a formula: names may begin with `=`, `+`, `-` or `@`.

    Such a text gets an apostrophe before it, which spreadsheets do not show. Numbers, also written as texts, stay.
    """
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text) is not None
