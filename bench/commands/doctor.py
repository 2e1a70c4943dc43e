"""`bench doctor`: what of encoders, data, GPU and SLURM is here, and what to do about what is not."""

from __future__ import annotations

import typer


def doctor() -> None:
    """What this machine has for running experiments, and how to get what it lacks."""
    from rich.table import Table
    from rich.text import Text

    from bench.commands.output import make_console
    from bench.doctor import findings

    table = Table("", "What", "Found", "To do", box=None, pad_edge=False)
    for finding in findings():
        mark = Text("ok", "green") if finding.here else Text("--", "yellow")
        table.add_row(mark, finding.what, finding.found, finding.to_do)
    make_console().print(table)
    typer.echo("Everything marked ok can be used now; the rest is optional.")
