"""What a command is at, for somebody who waits at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Doing(Protocol):
    """Told what is being done, and of a thing that can be counted, how much of it."""

    def __call__(self, what: str, done: float = 0, of: float | None = None) -> None:
        """Now `what` is done; of it `done`, where `of` says how much there is in all."""


@contextmanager
def showing_progress(shown: bool = True) -> Iterator[Doing]:
    """A line on a terminal that moves, says what is done and for how long, and is gone at the end.

    Nothing where standard error is no terminal, or where it is not to be `shown`.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if not (shown and console.is_terminal):
        yield _Silent()
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), words, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)


class _Silent:
    def __call__(self, what: str, done: float = 0, of: float | None = None) -> None:
        pass


class _Bar:
    def __init__(self, bar: Progress) -> None:
        self._bar, self._what = bar, ""
        self._task: TaskID | None = None

    def __call__(self, what: str, done: float = 0, of: float | None = None) -> None:
        if self._task is None or what != self._what:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task, self._what = self._bar.add_task(what, total=of), what
        self._bar.update(self._task, completed=done, total=of)
