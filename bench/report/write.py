"""Where tables go: the files of a report, and the tables of runs on the terminal and in the output folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.analysis.aggregate import Cell
from bench.filesystem import read_json, write_atomically, write_json
from bench.report.material import Material
from bench.report.render.csv import to_csv
from bench.report.render.html import Page, anchor, to_html
from bench.report.render.latex import TALL, document, to_latex
from bench.report.render.markdown import to_markdown
from bench.report.render.terminal import SCORES, to_terminal
from bench.report.table import Table
from bench.report.tables.overview import overview_tables, shown_metrics
from bench.report.tables.runs import RUNS, runs_csv

TABLES_WRITTEN = ".tables.json"
"""In the folder of a report: the tables that it wrote, so that the next one can remove those that are no more."""
WIDE = 140
"""Columns of a terminal on which dev and test go side by side."""
WIDER = 30
"""How many more it takes for each score that only some runs have."""


def print_tables(console: Console, cells: Sequence[Cell]) -> None:
    """The tables of runs; dev and test below each other where the console is too narrow for both."""
    wide = WIDE + WIDER * sum(not metric.counted for metric in shown_metrics(cells))
    for splits in [("dev", "test")] if console.width >= wide else [("dev",), ("test",)]:
        for table in overview_tables(cells, splits):
            console.print(to_terminal(table, SCORES, f"{table.title}: percent, mean ± std over seeds"), "")


def write_tables(out: Path, cells: Sequence[Cell]) -> Path:
    """`tables/runs.md` of the output folder, written anew."""
    path = out / "tables" / "runs.md"
    text = "\n".join(map(to_markdown, overview_tables(cells)))
    write_atomically(path, f"# Runs\n\n{text}".encode())
    return path


def write_report(page: Page, material: Material, to: Path) -> list[Path]:
    """`report.html`, `runs.csv`; its tables in `tables.md` and `tables.tex` (it compiles), each one in `tables/`.

    Tables in `tables/` that an earlier report wrote there and this one has not are removed.
    """
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
    _forget_others(to, [name for name in files if "/" in name])
    return [to / name for name in files]


def _forget_others(to: Path, names: Sequence[str]) -> None:
    """Remove what `.tables.json` says an earlier report wrote, but for `names`, which it says from now on."""
    earlier = read_json(to / TABLES_WRITTEN)
    for name in earlier if isinstance(earlier, list) else ():
        if name not in names and isinstance(name, str) and re.fullmatch(r"tables/[^/\\]+\.(tex|csv)", name):
            (to / name).unlink(missing_ok=True)
    write_json(to / TABLES_WRITTEN, sorted(names), 1)


def _on_a_page(table: Table) -> str:
    if len(table.rows) <= TALL:
        return to_latex(table)
    where = f"tables/{anchor(table.name)}.csv"
    return f"% {table.name}: {len(table.rows)} rows are more than a page holds; they are in {where}\n"
