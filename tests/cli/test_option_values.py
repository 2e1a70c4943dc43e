"""Every option and argument of every command, with values that nobody can have meant: one message, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from bench.cli.command import Command
from bench.cli.main import command_line

MANY = "9" * 5000


def _commands(group: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


COMMANDS = dict(_commands(typer.main.get_command(command_line())))
VALUED = [
    (words, param.opts[0])
    for words, command in COMMANDS.items()
    for param in command.params
    if param.param_type_name == "option" and not param.is_flag
]
REQUIRED = {
    ("logs",): ["x"],
    ("predict",): ["x", "y"],
    ("evaluate",): ["--gold", "x", "--pred", "y"],
    ("data", "add"): ["n", "--train", "x", "--dev", "y", "--test", "z"],
    ("data", "fetch"): ["x"],
    ("data", "validate"): ["x"],
    ("data", "stats"): ["x"],
    ("models", "show"): ["x"],
    ("models", "check"): ["x"],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def test_every_command_looks_at_its_values():
    assert [words for words, command in COMMANDS.items() if not isinstance(command, Command)] == []


@pytest.mark.parametrize(
    ("words", "option"), VALUED, ids=lambda part: part if isinstance(part, str) else " ".join(part)
)
@pytest.mark.parametrize("value", ["", " ", MANY], ids=["empty", "blank", "digits"])
def test_an_empty_value_or_thousands_of_digits_is_refused_with_the_option_and_what_it_takes(
    words, option, value, bench
):
    status, _, error = bench(*words, *REQUIRED.get(words, ()), f"{option}={value}")
    assert status == 2
    assert error.startswith(f"bench: {option} ")
    assert ("a number of 5,000 digits" if value == MANY else "that is empty") in error
    assert f"\n{option}: " in error  # what it takes
    assert len(error) < 600


@pytest.mark.parametrize(
    "arguments",
    [("logs", ""), ("cancel", " "), ("retry", ""), ("explore", "a", ""), ("compare", "", "b"), ("predict", "", "x"),
     ("predict", "x", ""), ("models", "show", ""), ("models", "check", " "), ("data", "add", ""), ("data", "fetch", ""),
     ("data", "validate", ""), ("data", "stats", "")],
    ids=" ".join,
)  # fmt: skip
def test_an_argument_that_is_empty_is_refused(arguments, bench):
    required = ("--train", "x", "--dev", "y", "--test", "z") if arguments[:2] == ("data", "add") else ()
    status, _, error = bench(*arguments, *required)
    assert status == 2
    assert "that is empty" in error


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
def test_a_number_that_is_not_finite_is_refused_with_its_option(value, bench):
    status, _, error = bench("run", "--models", "atlop", f"--checkpoint-seconds={value}")
    assert status == 2
    assert "--checkpoint-seconds" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("value", ["-1", "nan", "true", "9" * 30])
@pytest.mark.parametrize("option", ["--jobs", "--gpus-per-run", "--max-length"])
def test_a_whole_number_has_limits(option, value, bench):
    status, _, error = bench("run", "--models", "atlop", f"{option}={value}")
    assert status == 2
    assert option in error
    assert "Traceback" not in error


@pytest.mark.parametrize("option", ["--config", "--profile"])
@pytest.mark.parametrize("value", ["a folder", "a missing folder/x.toml"])
def test_a_folder_in_the_place_of_a_file_or_a_missing_one_is_a_message(option, value, bench, tmp_path):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "a folder.toml").mkdir()
    given = tmp_path / (value if "missing" in value else f"{value}{'.toml' * (option == '--profile')}")
    status, _, error = bench("run", "--models", "atlop", "--launcher", "slurm", option, given)
    assert status in (1, 2)
    assert error.startswith("bench: ")
    assert str(given) in error or "--launcher slurm needs" in error
