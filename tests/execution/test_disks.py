"""What runs do where a disk takes nothing: BENCH_HOME mounted read-only, no room for a file."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from disks import fill_disk, make_read_only
from small_experiments import execute, plans, results

from bench.launch.status import run_views
from bench.runs.run_folder import RunFolder

FROZEN = "freeze_encoder=true"


@pytest.fixture(autouse=True)
def home(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, with the data set and nothing made of it."""
    shutil.copytree(small, tmp_path / "home")
    for made in ("features", "encodings"):
        shutil.rmtree(tmp_path / "home" / made, ignore_errors=True)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def error_of(out: Path, planned) -> str:
    return RunFolder.of(out, planned[0]).error() or ""


@pytest.mark.parametrize("changes", [(), (FROZEN,)])
def test_a_home_that_holds_all_that_is_needed_may_be_read_only(changes, home, tmp_path, monkeypatch):
    planned = plans("atlop", *changes)
    assert execute(tmp_path / "first", planned) == []
    make_read_only(monkeypatch, home)
    assert execute(tmp_path / "second", plans("atlop", *changes)) == [], error_of(tmp_path / "second", planned)
    assert results(tmp_path / "second", planned) == results(tmp_path / "first", planned)


@pytest.mark.parametrize(("lacking", "changes"), [("features", ()), ("encodings", (FROZEN,))])
def test_what_a_read_only_home_lacks_is_named_with_what_to_do(lacking, changes, home, tmp_path, monkeypatch):
    planned = plans("atlop", *changes)
    execute(tmp_path / "first", planned)
    shutil.rmtree(home / lacking)
    make_read_only(monkeypatch, home)
    assert execute(tmp_path / "second", planned) == planned
    assert error_of(tmp_path / "second", planned).startswith(f"{home / lacking}")
    assert "set BENCH_HOME to a folder of your own" in error_of(tmp_path / "second", planned)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("/features/parts/", ()),
        ("/features/", ()),
        ("/encodings/", (FROZEN,)),
        ("/selected.safetensors", ()),
        ("/encoder/", ()),
        ("/predictions-dev.json", ()),
        ("/scores-dev", ()),
        ("/record.json", ()),
        ("/result.json", ()),
    ],
)
def test_a_full_disk_fails_the_run_with_the_path_and_leaves_nothing_half_written(
    name, changes, home, tmp_path, monkeypatch
):
    planned = plans("atlop", *changes)
    execute(tmp_path / "first", planned)
    for made in ("features", "encodings"):
        shutil.rmtree(home / made, ignore_errors=True)
    out = tmp_path / "out"
    with monkeypatch.context() as disk:
        fill_disk(disk, name.replace("/", "/.", 1) if name.count("/") == 1 else name)
        assert execute(out, planned) == planned
    assert "the disk is full (no space left on " in error_of(out, planned)
    assert name in error_of(out, planned)
    assert [*out.rglob("*.tmp"), *home.rglob("*.tmp")] == []
    assert execute(out, planned) == []
    assert results(out, planned) == results(tmp_path / "first", planned)


def test_a_checkpoint_without_room_names_its_path_and_the_one_before_is_gone_on_from(tmp_path, monkeypatch):
    planned = plans("atlop", "epochs=3")
    execute(tmp_path / "first", planned)
    out = tmp_path / "out"
    with monkeypatch.context() as disk:
        disk.setattr("bench.training.trainer.CHECKPOINT_SHARE", 1e9)  # one after every update
        fill_disk(disk, "step-00000004")
        assert execute(out, planned, checkpoint_seconds=0) == planned
    assert "checkpoints/step-00000004.safetensors" in error_of(out, planned)
    assert execute(out, planned) == []
    assert results(out, planned) == results(tmp_path / "first", planned)


def test_a_status_that_cannot_be_written_fails_no_run_and_is_told_once(tmp_path, monkeypatch, capsys):
    planned = plans()
    fill_disk(monkeypatch, "/.status.json")
    assert execute(tmp_path, planned) == []
    said = capsys.readouterr().err.splitlines()
    path = RunFolder.of(tmp_path, planned[0]).path / "status.json"
    assert said == [f"bench: {path}: {os.strerror(errno.ENOSPC)}; the run goes on without"]
    assert [view.state for view in run_views(tmp_path)] == ["done"]


def test_a_command_that_meets_a_read_only_home_says_what_to_do(bench, home, tmp_path, monkeypatch):
    make_read_only(monkeypatch, home)
    status, _, error = bench("run", "--dataset", "sample", "--models", "atlop", "--seeds", "1", "--out", tmp_path)
    assert status == 1
    assert error.startswith(f"bench: {home / 'sample'}")
    assert "set BENCH_HOME to a folder of your own" in error


def test_runs_that_failed_are_told_though_there_is_no_room_for_the_tables_either(bench, tmp_path, monkeypatch):
    fill_disk(monkeypatch, "/stages/", "/tables/")
    options = ("--dataset", "small", "--models", "atlop", "--encoder", "tiny", "--seeds", "1", "--launcher", "inline")
    status, printed, error = bench("run", *options, "--out", tmp_path / "out")
    assert status == 1
    assert error.startswith("bench: 1 of 1 run failed:\n")
    assert "tables not written: the disk is full (no space left on " in printed
