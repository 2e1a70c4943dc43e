"""Every `bench` command that a page shows is one that the command line takes; the first ten minutes' are run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.cli.main import command_line
from bench.data.catalog.dataset import dataset_names
from bench.experiment.config import make_experiments
from bench.registry import LOSS, registered

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "results", "slurm")),
]
BLOCK = re.compile(r"(?:^ {4}[^\n]*\n)+", re.MULTILINE)
DESCRIBED = {"redocred-small", "chemdisgene-small"}
"""Data sets that a page describes, and does not add, before it uses them."""


def commands(page: Path) -> list[str]:
    """The `bench` commands of a page's indented blocks: continued lines as one, without comments."""
    lines = [line for block in BLOCK.findall(page.read_text(encoding="utf-8")) for line in joined(block)]
    return [line for line in lines if line.startswith("bench ")]


def joined(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        # Without a comment, and without variables that are set for it.
        yield re.sub(r"\s+#\s.*|^\s*(?:[A-Z_]+=\S+ )+", "", line).strip()


def mentions(page: Path) -> list[str]:
    """What a page says in a line, between backquotes, of `bench`: often a part of a command."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return sorted({" ".join(code.split()) for code in re.findall(r"(?<!`)`(bench [^`]+)`(?!`)", text)})


def named(page: Path, text: str) -> Any:
    return pytest.param(text, id=f"{page.relative_to(ROOT)}: {text}")


ADDED = DESCRIBED | {line.split()[3] for page in PAGES for line in commands(page) if line.startswith("bench data add ")}
SHOWN = [named(page, command) for page in PAGES for command in commands(page)]
MENTIONED = [named(page, said) for page in PAGES for said in mentions(page)]


@pytest.fixture
def as_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the files that commands name, and a `bench run` that plans and does nothing else.

    The packages of trackers need not be here: which there are is checked, and that is all.
    """
    monkeypatch.setattr("bench.tracking.choice.check_installed", lambda names: None)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "results").mkdir()
    committed = Path("results", "redocred-small-minilm")
    (tmp_path / committed).symlink_to(ROOT / committed)
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    (tmp_path / "experiment.toml").write_text(page.split("```toml\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.cli.run_experiments.run_experiments", lambda typed, *_: check_plan(typed))


def check_plan(typed: Any) -> None:
    """Models, settings, values and files of a `bench run` are checked by what would plan it."""
    for experiment in make_experiments(typed):
        assert experiment.cells, "nothing would be run"
        assert experiment.dataset in {*dataset_names(), *ADDED}


def taken(words: list[str]) -> dict[str, Any]:
    """What the command line makes of a command: the values of its options. Raises for what it would refuse."""
    command, context = typer.main.get_command(command_line(words[0])), None
    while words and hasattr(command, "resolve_command"):
        context = command.make_context("bench", words, parent=context)
        _, command, words = command.resolve_command(context, words)
        assert command is not None
    return dict(command.make_context(command.name, words, parent=context).params)


@pytest.mark.parametrize("shown", SHOWN)
def test_a_command_of_a_page_is_one_that_the_command_line_takes(shown, as_on_the_page):
    # "...": the rest as in the command above.
    words = [word for word in shlex.split(shown)[1:] if word != "..."]
    if words[0] == "run" and "--again" not in words:
        done = CliRunner().invoke(command_line("run"), words)
        assert done.exit_code == 0, f"{shown}: {done.output} {done.exception}"
        return
    values = taken(words)
    if dataset := values.get("dataset"):
        assert dataset in {*dataset_names(), *ADDED}
    if words[:2] == ["losses", "show"]:
        assert words[2] in registered(LOSS)


@pytest.mark.parametrize("said", MENTIONED)
def test_what_a_line_says_of_a_command_is_there(said):
    words = shlex.split(said)[1:]
    if words[0].startswith("--"):
        command = typer.main.get_command(command_line())
    else:
        command = typer.main.get_command(command_line(words[0]))
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands") or not words, f"{said}: no command {words[0]!r}"
    options = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options


def test_commands_that_are_none_are_refused(as_on_the_page):
    with pytest.raises(Exception, match="nonesuch"):
        taken(["table", "--nonesuch"])
    assert CliRunner().invoke(command_line("run"), ["--models", "nonesuch"]).exit_code != 0


def test_the_commands_of_the_first_ten_minutes_do_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    said = {}
    for shown in commands(ROOT / "docs" / "first-ten-minutes.md"):
        words = shlex.split(shown)[1:]
        # In this process: another one would take longer to import torch than to train.
        inline = ["--launcher", "inline"] if words[0] == "run" else []
        done = CliRunner().invoke(command_line(words[0]), [*words, *inline])
        assert done.exit_code == 0, f"{shown}: {done.output} {done.exception}"
        said[" ".join(words[:2])] = done.output
    assert "2 of 2" in said["table"]
    assert "may be claimed" in said["compare ssrpu"]
    assert {"report.html", "explorer.html"} <= {path.name for path in (tmp_path / "results" / "report").iterdir()}
