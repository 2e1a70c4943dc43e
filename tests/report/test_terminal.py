"""Tables on the terminal: everything a table says is there, as it is."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from bench.report.render.terminal import LISTS, PARAGRAPHS, SCORES, Layout, to_terminal
from bench.report.table import Column, Line, Table, TableCell, TableRow


def table_of(*cells: TableCell, notes=(), title="A title") -> Table:
    columns = (Column("Model", numeric=False), Column("F1", "dev"), Column("Seeds"))
    return Table("name", title, "for pages", columns, (TableRow(cells),), notes)


def shown(table: Table, layout: Layout, width: int = 80, title: str | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    console.print(to_terminal(table, layout, title))
    return console.file.getvalue().splitlines()


PLAIN = (TableCell("m"), TableCell("50.00"), TableCell("1 of 1"))


def test_headings_stand_over_their_columns_and_the_shared_one_above():
    title, above, headings, row = shown(table_of(*PLAIN), LISTS)
    assert title.rstrip() == "A title"
    assert above.split() == ["dev"]
    assert headings.split() == ["Model", "F1", "Seeds"]
    assert row.split() == ["m", "50.00", "1", "of", "1"]


def test_another_title_takes_the_place_of_its_own():
    assert shown(table_of(*PLAIN), SCORES, title="Another")[0].rstrip() == "Another"


def test_marks_notes_and_lines_under_a_cell_are_all_there():
    cell = TableCell("50.00", marks="†", notes=("of one seed",), under=(Line("published", "51.00"), Line("", "more")))
    lines = shown(table_of(TableCell("m"), cell, TableCell("1 of 1"), notes=("* of all",)), LISTS)
    text = "\n".join(line.rstrip() for line in lines)
    assert "50.00†a" in text
    assert "published 51.00" in text
    assert [line.strip() for line in lines[-3:]] == ["more", "a of one seed", "* of all"]


def test_brackets_are_brackets():
    assert any("m [bold]x[/bold]" in line for line in shown(table_of(TableCell("m [bold]x[/bold]"), *PLAIN[1:]), LISTS))


def test_scores_are_never_cut_and_long_names_go_on_below():
    name = "a-model-with-a-long-name"
    lines = shown(table_of(TableCell(name), *PLAIN[1:]), SCORES, width=24)
    assert any("50.00" in line and "1 of 1" in line for line in lines)
    assert "".join(line[:11].strip() for line in lines[3:]) == name


def test_paragraphs_are_apart():
    table = table_of(*PLAIN)
    *_, first, between, second = shown(replace(table, rows=table.rows * 2), PARAGRAPHS)
    assert (first, between.strip()) == (second, "")
