"""The files of a report, and the table of runs in the output folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.aggregate import (
    Cell,
)
from bench.filesystem import write_atomically
from bench.report import table as model
from bench.report.material import Material
from bench.report.render.csv import to_csv
from bench.report.render.html import Page, anchor, to_html
from bench.report.render.latex import TALL, document, to_latex
from bench.report.render.markdown import to_markdown
from bench.report.table import Table
from bench.report.tables.overview import Block, blocks
from bench.report.tables.runs import RUNS, runs_csv


def for_markdown(block: Block) -> str:
    """A Markdown table with its title and notes."""
    columns = tuple(model.Column(title, numeric=i > 1) for i, title in enumerate(block.header))
    rows = tuple(model.Row(tuple(map(model.Cell, line))) for line in block.lines)
    caption = "Percent, mean ± sample standard deviation over seeds."
    return to_markdown(model.Table(block.title, block.title, caption, columns, rows, block.notes))


def write_tables(out: Path, cells: Sequence[Cell]) -> Path:
    """`tables/runs.md` of the output folder, made anew."""
    path = out / "tables" / "runs.md"
    text = "\n".join(for_markdown(block) for block in blocks(cells))
    write_atomically(path, f"# Runs\n\n{text}".encode())
    return path


def write_report(page: Page, material: Material, to: Path) -> list[Path]:
    """`report.html`, `runs.csv`; its tables in `tables.md` and `tables.tex` (it compiles), each one in `tables/`."""
    every = [table for section in page.sections for table in (*section.tables, *section.folded)]
    tables = [table for table in every if table.name != RUNS]
    files = {
        "report.html": to_html(page),
        "tables.md": "# Tables\n\n" + "\n".join(map(to_markdown, tables)),
        "tables.tex": document([_on_a_page(table) for table in tables]),
        "runs.csv": runs_csv(material.systems),
    }
    for table in tables:
        files[f"tables/{anchor(table.name)}.tex"] = to_latex(table)
        files[f"tables/{anchor(table.name)}.csv"] = to_csv(table)
    for name, text in files.items():
        write_atomically(to / name, text.encode())
    return [to / name for name in files]


def _on_a_page(table: Table) -> str:
    if len(table.rows) <= TALL:
        return to_latex(table)
    where = f"tables/{anchor(table.name)}.csv"
    return f"% {table.name}: {len(table.rows)} rows are more than a page holds; they are in {where}\n"
