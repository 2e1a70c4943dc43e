"""Tables as GitHub's Markdown."""

from __future__ import annotations

import re

from tabulate import tabulate

from bench.report.table import Table, TableCell, TableRow, by_section, labels_under, line_of


def to_markdown(table: Table, level: int = 2) -> str:
    """A table with its title, caption and notes. level: of the heading."""
    letters = table.footnotes
    lines: list[list[str]] = []
    for section, rows in by_section(table.rows):
        if section:
            lines.append([f"**{escape(section)}**", *[""] * (len(table.columns) - 1)])
        for row in rows:
            lines += _lines(row, letters)
    header = [escape(column.name) for column in table.columns]
    align = ["right" if column.numeric else "left" for column in table.columns]
    body = tabulate(lines, headers=header, tablefmt="pipe", disable_numparse=True, colalign=align if lines else None)
    notes = [f"<sup>{letter}</sup> {escape(note)}" for note, letter in letters.items()]
    notes += [escape(note) for note in (*table.notes, *table.legend)]
    parts = [f"{'#' * level} {escape(table.title)}", escape(table.caption), body, *notes]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Text that is shown as it is: Markdown and HTML in it are not read as such, a line break does not end a row.

    Only what would be read as Markdown is escaped, so that tables stay readable as plain text: `4 of 5*`, `kd_docre`.
    """
    text = re.sub(r"[\\`|]", r"\\\g<0>", text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    for mark in "*~":
        if text.count(mark) > 1:
            text = text.replace(mark, rf"\{mark}")
    if re.search(r"\]\s*[(\[:]", text):
        text = text.replace("[", r"\[")
    # At the start: a list, or a heading.
    text = re.sub(r"^(\d*)([*+#.)-])(?=\s)", r"\1\\\2", text.strip())
    return re.sub(r"\s*\n\s*", "<br>", text)


def _lines(row: TableRow, letters: dict[str, str]) -> list[list[str]]:
    """The row, and a row for each thing that stands under its numbers."""
    lines = [[_cell(cell, letters) for cell in row.cells]]
    for label in labels_under(row):
        name, *others = row.cells
        first = f"*{escape(label)}* {escape(line_of(name, label))}".strip()
        lines.append([first, *(escape(line_of(cell, label)) for cell in others)])
    return lines


def _cell(cell: TableCell, letters: dict[str, str]) -> str:
    text = escape(cell.text)
    text = f"**{text}**" if cell.bold else text
    above = cell.marks + (" " if cell.marks and cell.notes else "") + ",".join(letters[note] for note in cell.notes)
    return f"{text}<sup>{above}</sup>" if above else text
