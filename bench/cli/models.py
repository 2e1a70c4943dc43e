"""`bench models`: list, show, check, new."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.command import Command
from bench.cli.completion import complete_model
from bench.cli.new_model import Kind

if TYPE_CHECKING:
    from bench.cli.model_cards import ModelCard

app = typer.Typer(help="Models: what there is, what each can be told, whether your own holds.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models, show what one can be told, check whether one holds, begin one. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list", cls=Command)
def list_models() -> None:
    """The registered models, one line each."""
    from rich.table import Table

    from bench.cli.console import make_console
    from bench.cli.model_cards import registered_cards
    from bench.registry import registered

    table = Table("Model", "What it is", "Settings", "From", box=None, pad_edge=False)
    entries = [entry for _, entry in sorted(registered().items())]
    for entry, card in zip(entries, registered_cards(entries), strict=True):
        table.add_row(entry.name, card.description.partition("\n")[0], ", ".join(card.stages), entry.value)
    make_console().print(table)


@app.command(cls=Command)
def show(
    model: Annotated[str, typer.Argument(help="A registered name, or ./file.py:Class.", autocompletion=complete_model)],
) -> None:
    """A model's hyperparameters and the stages of each setting, with their defaults."""
    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console

    card = _card(model)
    console = make_console()
    console.print(Text(card.name, "bold") + Text(f": {card.description}\n"))
    for title, fields in (("Hyperparameters", card.hyperparameters), ("Training of every stage", card.training)):
        table = Table("--set", "Default", "What it is", title=title, title_justify="left", box=None, pad_edge=False)
        for field in fields:
            table.add_row(*field)
        console.print(table, "")
    table = Table("Setting", "Stages", title="Recipe", title_justify="left", box=None, pad_edge=False)
    for setting, stages in card.stages.items():
        for i, stage in enumerate(stages):
            table.add_row("" if i else setting, f"{i + 1}. {stage}")
    console.print(table)
    if card.losses:
        console.print(
            Text(f"\nAnother loss in place of its own: --models {model}:loss=NAME (`bench losses` lists them)")
        )


def _card(model: str) -> ModelCard:
    from bench.cli.model_cards import card_of, registered_cards
    from bench.registry import find, registered

    entries = registered()
    return registered_cards([entries[model]])[0] if model in entries else card_of(find(model))


@app.command(cls=Command)
def check(
    model: Annotated[
        str,
        typer.Argument(
            help="A registered name, or ./file.py:Class; with another loss: atlop:loss=sat.",
            autocompletion=complete_model,
        ),
    ],
) -> None:
    """Try a model on generated documents, in a few steps if it is trained; say what holds and what does not."""
    from bench.cli.findings import report_findings
    from bench.execution.checks import check as checked
    from bench.experiment.losses import model_and_loss

    entry, loss = model_and_loss(model)
    report_findings(model, checked(entry.cls, loss))


@app.command(cls=Command)
def new(
    name: Annotated[str, typer.Argument(help="What the model is called: my-model makes my_model.py with MyModel.")],
    kind: Annotated[
        Kind, typer.Option(help="What it reads: pooled pairs, token states, or documents to count in.")
    ] = "pairs",
    to: Annotated[Path, typer.Option(help="The folder for its file and its tests.")] = Path("."),
) -> None:
    """Write a model that runs, and its tests, to be changed into your own."""
    from bench.cli.new_model import write_model

    model, tests, class_name = write_model(name, kind, to)
    reference = shlex.quote(f"{model}:{class_name}")
    print(f"{model} and {tests} are written. Now:")
    print(f"  bench models check {reference}")
    print(f"  pytest {shlex.quote(str(tests))}")
    print(f"  bench run --models {reference}")
