"""`bench remove`: take runs that nobody wants out of an output folder."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.chosen_runs import RunsArgument
from bench.cli.options import DEFAULT_OUT, OutOption


def remove(
    runs: RunsArgument = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Those of `bench status --stale`, among the runs named or among all.")
    ] = False,
    out: OutOption = DEFAULT_OUT,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go, and its size; remove nothing.")
    ] = False,
) -> None:
    """Remove runs, and of their stages what no other run of the folder needs.

    Asks first; where there is no terminal to ask on, it takes --yes.
    """
    import sys

    from bench.cli.chosen_runs import chosen
    from bench.cli.console import make_console
    from bench.cli.discarding import in_bytes, print_discarded
    from bench.errors import UsageError, plural
    from bench.launch.discard import alone, check_idle, discard, held, remove_empty
    from bench.launch.status import observe

    if not runs and not stale:
        raise UsageError("which runs? Name them (bench status shows them), or --stale")
    observed = observe(out)
    views = chosen(observed.runs, runs, out) if runs else observed.runs
    if stale:
        from bench.execution.stale import stale_runs

        why = stale_runs(out)
        views = [view for view in views if view.run in why]
        for view in views:
            typer.echo(f"{view.run}: {why[view.run]}")
        if not views:
            typer.echo("no run is stale")
            return
    check_idle(observed, views)
    discarded, kept = alone(out, [view.run for view in views])
    print_discarded(make_console(), discarded, out, kept)
    what = f"{plural(len(discarded), 'folder')}, {in_bytes(sum(one.size for one in discarded))}"
    if dry_run:
        typer.echo(f"would be removed: {what}")
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"nothing was removed: there is nobody to ask. --yes removes {what}")
        if not typer.confirm(f"Remove {what}?"):
            raise UsageError("nothing was removed")
    with held(one.folder for one in discarded):
        discard(discarded)
    remove_empty(one.path for one in discarded)
    typer.echo(f"removed: {what}. Tables and reports are as they were: `bench table --out {out}` makes them anew")
