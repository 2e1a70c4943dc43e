"""`bench losses`: list, show, check."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.command import Command
from bench.cli.completion import complete_loss

app = typer.Typer(help="Losses: what models can be trained with in place of their own.")


@app.callback(invoke_without_command=True)
def losses(context: typer.Context) -> None:
    """List the losses, show what one can be told, check whether one holds. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_losses()


@app.command("list", cls=Command)
def list_losses() -> None:
    """The registered losses, one line each."""
    import inspect

    from rich.table import Table

    from bench.cli.console import make_console
    from bench.registry import LOSS, find_loss, registered

    table = Table("Loss", "What it is", "Decides against", "From", box=None, pad_edge=False)
    for name, entry in sorted(registered(LOSS).items()):
        cls = find_loss(name).cls
        table.add_row(name, (inspect.getdoc(cls) or "").partition("\n")[0], cls.against, entry.value)
    make_console().print(table)


@app.command(cls=Command)
def show(
    loss: Annotated[str, typer.Argument(help="A registered name, or ./file.py:Class.", autocompletion=complete_loss)],
) -> None:
    """A loss's hyperparameters, with their defaults, and which models can be trained with it."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console
    from bench.cli.model_cards import in_words
    from bench.experiment.losses import loss_settings
    from bench.registry import find, find_loss, registered

    entry = find_loss(loss)
    console = make_console()
    console.print(Text(entry.name, "bold") + Text(f": {in_words(entry.cls)}\n"))
    table = Table(
        "--set", "Default", "What it is", title="Hyperparameters", title_justify="left", box=None, pad_edge=False
    )
    for name, field in entry.cls.Hyperparameters.model_fields.items():
        default = "none: to be given" if field.is_required() else str(field.default)
        table.add_row(f"{entry.name}.{name}", default, field.description or "")
    console.print(table, "")
    models = [name for name in sorted(registered()) if loss_settings(find(name)) is not None]
    console.print(Text(f"Models that can be trained with it (--models MODEL:loss={loss}): {', '.join(models)}"))


@app.command(cls=Command)
def check(
    loss: Annotated[
        str,
        typer.Argument(
            help="A registered name, or ./file.py:Class; with settings: atgl:alpha=16.5.", autocompletion=complete_loss
        ),
    ],
) -> None:
    """Try a loss on drawn logits; say what holds and what does not."""
    from bench.cli.findings import report_findings
    from bench.execution.loss_checks import check_loss
    from bench.experiment.losses import named_loss

    entry, hyperparameters = named_loss(loss)
    report_findings(loss, check_loss(entry.cls, hyperparameters))
