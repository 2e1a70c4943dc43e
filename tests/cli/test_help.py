"""Help is for whoever types the command: what a docstring says to the reader of its code has no place in it."""

from __future__ import annotations

import re

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from bench.cli.main import command_line

JARGON = re.compile(r"Raises|Error\b|\[[A-Z](, [A-Z])*\]|Shapes|\bint \||None\b|`bench\.")


def commands() -> dict[str, object]:
    """Every command by what is typed."""
    found: dict[str, object] = {}

    def walk(group: TyperGroup, before: str) -> None:
        for name, command in group.commands.items():
            if isinstance(command, TyperGroup):
                walk(command, f"{before}{name} ")
            else:
                found[before + name] = command

    walk(get_command(command_line()), "")
    return found


@pytest.mark.parametrize(("name", "command"), commands().items(), ids=list(commands()))
def test_help_is_written_for_readers(name, command):
    texts = [command.help or "", *(getattr(param, "help", None) or "" for param in command.params)]
    assert all(texts), f"{name}: an option without help"
    assert [text for text in texts if JARGON.search(text)] == []


@pytest.mark.parametrize("command", [("models", "list"), ("losses", "list")])
def test_lists_say_what_things_are_in_words(command, bench):
    _, printed, _ = bench(*command)
    assert "Shapes" not in printed
    assert not re.search(r"\[[A-Z], ", printed)


@pytest.mark.parametrize("command", [("models", "show", "pubmedbert"), ("losses", "show", "atgl")])
def test_shapes_are_for_readers_of_the_code(command, bench):
    status, printed, _ = bench(*command)
    assert status == 0
    assert "Shapes:" not in printed


def test_what_is_said_beside_the_shapes_stays(bench):
    assert "without a surviving mention is a vector of zeros" in bench("models", "show", "pubmedbert")[1]
