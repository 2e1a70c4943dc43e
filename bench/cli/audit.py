"""`bench audit`: what is wrong with tables of results, others' or our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import PublishedOption


def audit(
    out: Annotated[Path | None, typer.Option(help="Audit the records of this folder instead: --out results.")] = None,
    published: PublishedOption = None,
    kind: Annotated[str | None, typer.Option(help="Only findings of this kind.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the findings and their number by kind as JSON.")
    ] = False,
) -> None:
    """Find what is wrong with tables by arithmetic: the published ones, or our own with --out.

    Findings are no failure: the exit status is 0 whatever is found.
    """
    import json

    from bench.analysis.audit import KINDS, audit_published, counted
    from bench.analysis.published import read_published
    from bench.cli.console import make_console
    from bench.errors import UsageError, plural, unknown
    from bench.report.render.terminal import LISTS, to_terminal
    from bench.report.tables.findings import short_counts_table, tables_by_kind

    if kind is not None and kind not in KINDS:
        raise unknown("kind of finding", kind, KINDS)
    if out is not None and published is not None:
        raise UsageError("--out audits records and --published published numbers: one of them at a time")
    if out is None:
        numbers = read_published(published)
        findings, what = audit_published(numbers), f"{plural(len(numbers.rows), 'published row')} in {numbers.folder}"
    else:
        from bench.analysis.audit.records import audit_records
        from bench.runs.archive import all_runs, nothing_planned

        runs = len(all_runs(out))
        if not runs:
            raise UsageError(nothing_planned(out))
        findings, what = audit_records(out), f"{plural(runs, 'run')} in {out}"
    shown = [finding for finding in findings if kind in (None, finding.kind)]
    if as_json:
        counts = {name: sum(of_kind.values()) for name, of_kind in counted(shown).items()}
        print(json.dumps({"audited": what, "findings": [f.as_json() for f in shown], "counts": counts}))
        return
    console = make_console()
    for table in tables_by_kind(shown):
        console.print(to_terminal(table, LISTS), "")
    if shown:
        console.print(to_terminal(short_counts_table(shown), LISTS), "")
    total = plural(len(shown), "finding") if shown else "nothing found"
    console.print(f"{what}: {total}", soft_wrap=True)
