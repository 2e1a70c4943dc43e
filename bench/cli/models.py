"""`bench models`: list, show, check."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.command import Command

app = typer.Typer(help="Models: what there is, what each can be told, whether your own holds.")


@app.callback(invoke_without_command=True)
def models(context: typer.Context) -> None:
    """List the models, show what one can be told, check whether one holds. Without a command: the list."""
    if context.invoked_subcommand is None:
        list_models()


@app.command("list", cls=Command)
def list_models() -> None:
    """The registered models, one line each."""
    from rich.table import Table

    from bench.cli.console import make_console
    from bench.registry import find, registered

    table = Table("Model", "What it is", "Settings", "From", box=None, pad_edge=False)
    for name, entry in sorted(registered().items()):
        cls = find(name).cls
        summary = (cls.__doc__ or "").strip().splitlines()[:1]
        table.add_row(name, "".join(summary), ", ".join(cls.recipe.stages), entry.value)
    make_console().print(table)


@app.command(cls=Command)
def show(model: Annotated[str, typer.Argument(help="A registered name, or ./file.py:Class.")]) -> None:
    """A model's hyperparameters and the stages of each setting, with their defaults."""
    import inspect

    from rich.table import Table
    from rich.text import Text

    from bench.cli.console import make_console
    from bench.interface import Training
    from bench.registry import find

    entry = find(model)
    console = make_console()
    console.print(Text(entry.name, "bold") + Text(f": {inspect.getdoc(entry.cls) or ''}\n"))
    for title, schema in (("Hyperparameters", entry.cls.Hyperparameters), ("Training of every stage", Training)):
        table = Table("--set", "Default", "What it is", title=title, title_justify="left", box=None, pad_edge=False)
        for name, field in schema.model_fields.items():
            table.add_row(name, str(field.default), field.description or "")
        console.print(table, "")
    table = Table("Setting", "Stages", title="Recipe", title_justify="left", box=None, pad_edge=False)
    for setting, stages in entry.cls.recipe.stages.items():
        for i, stage in enumerate(stages):
            changed = {**stage.training, **stage.hyperparameters}
            changes = "".join(f", {key}={value}" for key, value in changed.items())
            frozen = f", frozen: {', '.join(stage.freeze)}" if stage.freeze else ""
            table.add_row("" if i else setting, f"{i + 1}. on {stage.data}{changes}{frozen}")
    console.print(table)


@app.command(cls=Command)
def check(model: Annotated[str, typer.Argument(help="A registered name, or ./file.py:Class.")]) -> None:
    """Train a model a few steps on a handful of generated documents and say what holds and what does not."""
    from rich.text import Text

    from bench.cli.console import make_console
    from bench.errors import BenchError
    from bench.execution.model_checks import check_model
    from bench.registry import find

    console = make_console()
    failed = 0
    for finding in check_model(find(model).cls):
        failed += not finding.holds
        mark = Text("ok   ", "green") if finding.holds else Text("FAIL ", "red")
        console.print(mark + Text(finding.claim + (f": {finding.detail}" if finding.detail else "")))
    if failed:
        raise BenchError(f"{model}: {failed} of the checks failed")
