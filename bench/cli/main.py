"""`bench`: the commands. Each is imported, and its options declared, only where it is the one that was asked for.

Heavy imports are inside the commands, so that `bench --help` is instant.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.command import Command
from bench.cli.completion import asked_command
from bench.cores import let_threads_sleep
from bench.errors import BenchError
from bench.filesystem import explain_disk

COMMANDS = (
    "run", "status", "logs", "cancel", "retry", "remove", "archive", "table", "report", "compare", "audit", "explore",
    "evaluate", "predict", "card", "push", "import", "export", "import-checkpoint", "export-checkpoint", "doctor",
)  # fmt: skip
"""Each is a function of the module of its name in `bench.cli`, or of that in MODULES."""
MODULES = {
    "import": "import_predictions",
    "import-checkpoint": "import_checkpoint",
    "export-checkpoint": "export_checkpoint",
}
"""The modules of commands whose name can be none of Python's."""
GROUPS = ("models", "losses", "data")
"""Each is the `app` of the module of its name, with commands of its own."""


def command_line(asked_for: str | None = None) -> typer.Typer:
    """The whole command line, or of its commands only that which is asked for, where there is one of that name."""
    app = typer.Typer(
        help="Document-level relation extraction, compared: one encoder, one data layer, one trainer, one metric.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name in (asked_for,) if asked_for in (*COMMANDS, *GROUPS) else (*COMMANDS, *GROUPS):
        own = MODULES.get(name, name)
        module = import_module(f"bench.cli.{own}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name, cls=Command)(getattr(module, own))
    return app


def _root(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    """See `bench COMMAND --help`."""


def main() -> None:
    """The entry point: an error the user can do something about is a message, not a traceback."""
    if sys.argv[1:] == ["--version"]:
        from importlib.metadata import version

        libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
        print(f"docre-bench {version('docre-bench')} ({libraries})")
        return
    if sys.platform == "win32":
        # No SIGUSR2, no flock; and to ask whether a process lives, `os.kill(pid, 0)`, would interrupt it there.
        print("bench: Windows is not supported; the Windows Subsystem for Linux (WSL) is Linux", file=sys.stderr)
        sys.exit(2)
    let_threads_sleep()
    try:
        command_line(sys.argv[1] if len(sys.argv) > 1 else asked_command())(prog_name="bench")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
    except BrokenPipeError:
        sys.exit(0)  # `bench table | head`
    except OSError as error:
        where = f"{Path(error.filename)}: " if error.filename else ""
        print(f"bench: {explain_disk(error) or f'{where}{error.strerror or error}'}", file=sys.stderr)
        sys.exit(1)
