"""`bench table`: the tables again, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.cli.options import DEFAULT_OUT, OutOption, PublishedOption

if TYPE_CHECKING:
    from bench.analysis.aggregate import Cell

Form = Literal["terminal", "markdown", "latex", "csv", "json"]


def table(
    out: OutOption = DEFAULT_OUT,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    form: Annotated[
        Form,
        typer.Option(
            "--format",
            help="markdown, latex: the report's tables. csv: a row per run and split. json: all, each seed's too.",
        ),
    ] = "terminal",
    only: Annotated[str | None, typer.Option(help="Of markdown and latex, the table of this name alone.")] = None,
    caption: Annotated[str | None, typer.Option(help="Of a LaTeX table, instead of its own.")] = None,
    label: Annotated[str | None, typer.Option(help="Of a LaTeX table, instead of its own.")] = None,
    published: PublishedOption = None,
) -> None:
    """Mean ± std over seeds of everything in the output folder, with what is missing shown as missing."""
    import json

    from bench.analysis.aggregate import existing_cells, scores_of
    from bench.errors import UsageError

    form = "json" if as_json else form
    if form not in ("markdown", "latex") and (only or caption or label or published):
        raise UsageError("--only, --caption, --label and --published are for --format latex or markdown")
    cells = existing_cells(out)
    if form == "json":
        print(json.dumps({"rows": [score.as_json() for score in scores_of(cells)]}))
    elif form == "csv":
        from bench.analysis.systems import systems_of
        from bench.report.tables.runs import runs_csv

        print(runs_csv(systems_of(cells)), end="")
    elif form == "terminal":
        from bench.cli.console import make_console
        from bench.report.write import print_tables, write_tables

        console = make_console()
        print_tables(console, cells)
        try:
            console.print(f"also in {write_tables(out, cells)}", soft_wrap=True)
        except OSError as error:  # somebody else's results, say: to look at them is enough
            typer.echo(f"not written to {out / 'tables'}: {error.strerror}", err=True)
    else:
        print(_export(out, cells, form, only, caption, label, published), end="")


def _export(
    out: Path,
    cells: Sequence[Cell],
    form: str,
    only: str | None,
    caption: str | None,
    label: str | None,
    published: Path | None,
) -> str:
    """The report's tables, or one of them. Raises UsageError for a name that none has."""
    from bench.analysis.published import read_published
    from bench.errors import UsageError, unknown
    from bench.report.build import make_results
    from bench.report.material import gather
    from bench.report.render.html import anchor
    from bench.report.render.latex import to_latex
    from bench.report.render.markdown import to_markdown

    results = make_results(gather(out, cells, read_published(published)))
    tables = {anchor(table.name): table for table in results.all}
    if only is not None and only not in tables:
        raise unknown("table", only, tables)
    chosen = [tables[only]] if only is not None else list(tables.values())
    if (caption or label) and len(chosen) > 1:
        raise UsageError(f"--caption and --label are for one table: say which with --only, of {', '.join(tables)}")
    if form == "latex":
        return "\n".join(to_latex(table, caption, label) for table in chosen)
    if caption or label:
        raise UsageError("--caption and --label are for --format latex")
    return "\n".join(to_markdown(table) for table in chosen)
