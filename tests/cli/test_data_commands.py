from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.cli.data import app
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import write_documents
from bench.errors import UsageError


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    entities = ((Mention(0, 0, 1, "a", "PER"),), (Mention(0, 1, 2, "b", "LOC"),))
    paths = {}
    for split in ("train", "dev", "test"):
        paths[split] = tmp_path / f"[red] {split} é.json"
        labels = (Label(0, 1, "[P1]"), Label(1, 0, "[P1]"))
        write_documents(paths[split], [Document(f"[bold]{split}", (("a", "b"),), entities, labels)])
    return paths


def options(files: dict[str, Path]) -> list[str]:
    return [part for split, path in files.items() for part in (f"--{split}", str(path))]


def test_a_data_set_is_added_listed_and_counted(files: dict[str, Path]) -> None:
    added = run("add", "mine", *options(files))
    assert added.exit_code == 0
    assert "registered 'mine': 1 relation\n  train: 1 document\n" in added.output
    assert "ext: derived, seed 0" in added.output
    assert "train 1, dev 1, test 1" in run("list").output
    rows = json.loads(run("list", "--json").output)
    assert {"name": "mine", "state": "registered", "splits": {"train": 1, "dev": 1, "test": 1}} in rows
    shown = run("stats", "mine", "--relations-table").output
    assert "avg. # labelled triples" in shown
    assert "[P1]" in shown


def test_stats_as_json_hold_tables_and_relation_counts(files: dict[str, Path]) -> None:
    run("add", "mine", *options(files))
    counted = json.loads(run("stats", "mine", "--json").output)
    assert counted["splits"]["train"]["triples"] == 2
    assert counted["splits"]["ext"]["derived"]
    assert counted["labels"]["ext"] == {"[P1]": 1}


def test_labels_per_document_that_differ_several_fold_are_said_when_added_and_when_counted(
    files: dict[str, Path], tmp_path: Path
) -> None:
    entities = ((Mention(0, 0, 1, "a", "PER"),), (Mention(0, 1, 2, "b", "LOC"),))
    labels = tuple(Label(0, 1, f"P{i}") for i in range(10))
    write_documents(files["test"], [Document("test", (("a", "b"),), entities, labels)])
    said = "note: labels per document differ 5.0-fold (train 2.0, dev 2.0, test 10.0)"
    assert said in run("add", "mine", *options(files)).output
    assert said in run("stats", "mine").output
    (note,) = json.loads(run("stats", "mine", "--json").output)["notes"]
    assert said.removeprefix("note: ") in note


def test_validate_prints_every_problem_of_every_file_and_exits_1(files: dict[str, Path], tmp_path: Path) -> None:
    relations = tmp_path / "rel_info.json"
    relations.write_text('{"P7": "seven"}')
    empty = tmp_path / "empty.json"
    empty.write_text("")
    result = run("validate", files["train"], empty, "--relations", relations)
    assert result.exit_code == 1
    assert f"bench data validate: {files['train']}: 2 problems in 1 of 1 document" in result.output
    assert "document 0 '[bold]train': labels[1].r = '[P1]': not a relation of this data set (1 known)" in result.output
    assert f"{empty}: 1 problem\n  empty file" in result.output


def test_validate_says_what_a_sound_file_holds(files: dict[str, Path]) -> None:
    result = run("validate", files["dev"])
    assert result.exit_code == 0
    assert f"{files['dev']}: 1 document, 2 labels: no problems" in result.output


def test_misuse_is_a_usage_error(files: dict[str, Path]) -> None:
    for arguments in (["stats", "nope"], ["fetch", "nope"], ["add", "sample", *options(files)]):
        result = run(*arguments)
        assert isinstance(result.exception, UsageError), arguments
