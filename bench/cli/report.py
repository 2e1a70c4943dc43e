"""`bench report`: tables and figures of everything in an output folder, beside the published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DEFAULT_OUT, OutOption, OwnModelsOption, PublishedOption, TrustCodeOption, trust_of

if TYPE_CHECKING:
    from bench.cli.progress import Doing
    from bench.inference.trust import Trust
    from bench.report.material import Material
    from bench.report.render.html import Figure


def report(
    out: OutOption = DEFAULT_OUT,
    to: Annotated[Path | None, typer.Option(help="Where to write it. Default: OUT/report.")] = None,
    published: PublishedOption = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures. Without, those of an earlier report go.")] = True,
    memory: Annotated[
        bool, typer.Option(help="Draw the memory of trained models, too, where their weights are here.")
    ] = True,
    models: OwnModelsOption = None,
    trust_code: TrustCodeOption = False,
) -> None:
    """Build report.html, and its tables as Markdown, LaTeX and CSV, from the records of finished runs."""
    from bench.analysis.aggregate import existing_cells
    from bench.analysis.published import read_published
    from bench.cli.output_paths import check_folder
    from bench.cli.progress import showing_progress
    from bench.errors import plural
    from bench.report.build import make_page, make_results
    from bench.report.figures.files import write_figures
    from bench.report.material import gather
    from bench.report.write import write_report

    to = to or out / "report"
    check_folder(to, "--to")
    trust = trust_of(trust_code, models)
    drawn: list[tuple[str, Figure]] = []
    with showing_progress() as doing:
        doing("reading records")
        material = gather(out, existing_cells(out), read_published(published))
        explorer = [("Error explorer", "explorer.html")] if (to / "explorer.html").is_file() else []
        if figures:
            drawn = _figures(material, to, memory, trust, doing)
        else:
            write_figures({}, to / "figures")  # they may be of other runs than the tables
        doing("writing tables")
        results = make_results(material)
        write_report(make_page(material, results, drawn, explorer), material, to)
    typer.echo(f"{to / 'report.html'}: {plural(len(results.all), 'table')} of results")
    if drawn:
        typer.echo(f"{plural(len(drawn), 'figure')} in {to / 'figures'} (PDF, PNG and SVG)")
    typer.echo(f"also in {to}: tables.md, tables.tex, tables/ (LaTeX and CSV), runs.csv")


def _figures(material: Material, to: Path, memory: bool, trust: Trust, doing: Doing) -> list[tuple[str, Figure]]:
    """The figures, each with its section; what could not be drawn is told."""
    from bench.cores import usable_cores
    from bench.report.figures.collect import figures as draw_all
    from bench.report.figures.memory import memory_figures

    doing("collecting what is drawn")
    memories, problems = memory_figures(material.out, material.shown, trust) if memory else ([], [])
    drawn, undrawn = draw_all(
        material, to, memories, usable_cores(), lambda done, of: doing("drawing figures", done, of)
    )
    for problem in (*problems, *undrawn):
        typer.echo(problem, err=True)
    return drawn
