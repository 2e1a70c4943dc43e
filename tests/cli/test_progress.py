"""The line on a terminal that says what a command is at."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.progress import Progress

from bench.cli.progress import _Bar, showing_progress


def test_it_tells_the_thing_that_is_done_and_of_one_that_can_be_counted_how_much():
    bar = Progress(console=Console(file=StringIO()))
    doing = _Bar(bar)
    told = []
    for words in [("reading [a]",), ("drawing", 1, 4), ("drawing", 2, 4), ("writing",)]:
        doing(*words)
        told += [(task.description, task.completed, task.total) for task in bar.tasks]
    assert told == [("reading [a]", 0, None), ("drawing", 1, 4), ("drawing", 2, 4), ("writing", 0, None)]


def test_where_nobody_watches_nothing_is_printed(capsys):
    for shown in (True, False):
        with showing_progress(shown) as doing:
            doing("reading", 1, 2)
    assert capsys.readouterr() == ("", "")
