"""The console that commands print on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 240
"""Into a file or a pipe there is no width to fit: a table is as wide as it needs to be."""


def make_console() -> Console:
    """Standard output for tables and lines, which are shown as they are: a bracket in a name or error is a bracket."""
    from rich.console import Console

    console = Console()
    width = None if console.is_terminal else PIPE_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)
