"""Tables as CSV: every number unrounded, with what belongs to it in columns of its own."""

from __future__ import annotations

import csv
import io

from bench.report.spreadsheet import as_text
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
