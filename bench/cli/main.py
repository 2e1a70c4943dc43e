"""`bench`: the commands. Heavy imports are inside them, so that `bench --help` is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import data, models
from bench.cli.audit import audit
from bench.cli.cancel import cancel
from bench.cli.command import Command
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.evaluate import evaluate
from bench.cli.explore import explore
from bench.cli.logs import logs
from bench.cli.predict import predict
from bench.cli.report import report
from bench.cli.retry import retry
from bench.cli.run import run
from bench.cli.status import status
from bench.cli.table import table
from bench.errors import BenchError

app = typer.Typer(
    help="Document-level relation extraction, compared: one encoder, one data layer, one trainer, one metric.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, status, logs, cancel, retry, table, report, compare, audit, explore, evaluate, predict, doctor):
    app.command(cls=Command)(command)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")


@app.callback()
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """See `bench COMMAND --help`."""


def main() -> None:
    """The entry point: an error the user can do something about is a message, not a traceback."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        print(f"docre-bench {version('docre-bench')}")
        return
    try:
        app(standalone_mode=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.exit(0)  # `bench table | head`
    except OSError as error:
        where = f"{Path(error.filename)}: " if error.filename else ""
        print(f"bench: {where}{error.strerror or error}", file=sys.stderr)
        sys.exit(1)
