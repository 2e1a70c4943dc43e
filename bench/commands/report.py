"""`bench report`: tables and figures of everything in an output folder, beside the published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.commands.audit import PublishedOption
from bench.commands.run import DEFAULT_OUT, OutOption


def report(
    out: OutOption = DEFAULT_OUT,
    to: Annotated[Path | None, typer.Option(help="Where to write it. Default: OUT/report.")] = None,
    published: PublishedOption = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
) -> None:
    """Build report.html, and its tables as Markdown, LaTeX and CSV, from the records of finished runs."""
    from bench.aggregate import load_cells
    from bench.errors import UsageError
    from bench.published import read_published
    from bench.report.build import gather, make_page, result_tables, write_report

    cells = load_cells(out)
    if not cells:
        raise UsageError(f"nothing has been planned in {out} (`bench run` does; --out says where)")
    material = gather(out, cells, read_published(published))
    to = to or out / "report"
    explorer = [("Error explorer", "explorer.html")] if (to / "explorer.html").is_file() else []
    page = make_page(material, [], explorer)
    tables = result_tables(material)
    write_report(page, tables, material, to)
    typer.echo(f"{to / 'report.html'}: {len(tables)} tables of results")
    typer.echo(f"also in {to}: tables.md, tables.tex, tables/ (LaTeX and CSV), runs.csv")
