"""What a process writes of its run, and what is read of it by whoever looks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.filesystem import write_json
from bench.runs.run_folder import RunFolder
from bench.runs.status import RunStatus


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder(tmp_path, "a")


def written(folder: RunFolder) -> dict:
    return json.loads((folder.path / "status.json").read_text())


def test_a_status_comes_back_as_it_was_written(folder):
    status = RunStatus(
        state="running", time=1.5, pid=7, host="h", job="1_2", node="", stage="human", doing="training",
        step=3, steps=9, epoch=1, epochs=2, best=12.5, eta=90.0,
    )  # fmt: skip
    folder.write_status(status)
    assert folder.status() == status


def test_what_is_not_known_is_absent_from_the_file(folder):
    folder.write_status(RunStatus(state="running", stage="human", doing="reading documents"))
    assert written(folder) == {"state": "running", "stage": "human", "doing": "reading documents"}


def test_a_run_that_is_done_is_finished_in_the_file(folder):
    folder.write_status(RunStatus(state="done", result="test F1 48.21", seconds=3.0))
    assert written(folder) == {"state": "finished", "result": "test F1 48.21", "seconds": 3.0}
    assert folder.status().state == "done"


def test_keys_of_another_version_are_ignored_and_the_others_read(folder):
    write_json(folder.path / "status.json", {"state": "running", "pid": 7, "best": None, "memory": [1, 2]})
    assert folder.status() == RunStatus(state="running", pid=7)


@pytest.mark.parametrize("content", ["", "[]", "7", "{", "[" * 100_000, '{"state": [1]}', '{"state": "x", "pid": 7}'])
def test_a_damaged_file_says_nothing(content, folder):
    folder.path.mkdir(parents=True)
    (folder.path / "status.json").write_text(content)
    assert folder.status() == RunStatus()


def test_no_file_says_nothing(folder):
    assert folder.status() == RunStatus()


def test_a_status_without_a_time_is_no_news():
    assert not RunStatus(state="failed").is_since(1.0)
    assert RunStatus(state="failed", time=1.0).is_since(1.0)


def test_a_field_that_does_not_exist_is_an_error_of_whoever_writes_it():
    with pytest.raises(ValueError, match="dioing"):
        RunStatus(state="running", dioing="training")


def test_folders_of_runs_and_stages_are_read_without_torch_and_numpy():
    code = "import sys, bench.runs.run_folder, bench.runs.stage_folder, bench.runs.status, bench.runs.outline\n"
    code += "print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
