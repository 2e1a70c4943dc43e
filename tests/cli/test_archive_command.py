"""`bench archive`: which runs go into the file, and what reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import plan, write

from bench.runs.archive import ARCHIVE, archived_runs


@pytest.fixture
def out(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    for model in ("one", "two"):
        for seed in range(2):
            write(tmp_path / "out", plan(model, seed), [[60 + seed, 100, 100, 5], [10, 20, 30, 0]])
    return tmp_path / "out"


def test_what_reads_records_reads_an_archive_of_all_runs_alike(bench, out: Path, tmp_path: Path):
    (tmp_path / "kept").mkdir()
    status, printed, _ = bench("archive", "--out", out, "--to", tmp_path / "kept")
    assert status == 0
    assert f"{tmp_path / 'kept' / ARCHIVE}: 4 runs, 4 finished" in printed
    for command in (["table", "--json"], ["compare", "one", "two"], ["audit", "--json"]):
        own, archived = (bench(*command, "--out", folder) for folder in (out, tmp_path / "kept"))
        assert archived[0] == 0
        assert archived[1].replace(str(tmp_path / "kept"), str(out)) == own[1]
    for command in ("status", "explore"):
        status, _, told = bench(command, "--out", tmp_path / "kept")
        assert status == 2
        assert "has an archive of records and no runs of its own" in told


def test_named_runs_alone_go_into_a_file_of_that_name(bench, out: Path, tmp_path: Path):
    status, printed, _ = bench("archive", "one", "--out", out, "--to", tmp_path / "paper.tar.xz")
    assert status == 0
    assert f"{tmp_path / 'paper.tar.xz'}: 2 runs" in printed
    _, _, told = bench("archive", "--out", tmp_path / "nothing")
    assert "nothing has been planned" in told


def test_archives_of_two_machines_become_one(bench, out: Path, tmp_path: Path):
    for name in ("one", "two"):
        assert bench("archive", name, "--out", out, "--to", tmp_path / name / ARCHIVE)[0] == 0
    write(tmp_path / "two", plan("three", 0), [[60, 100, 100, 5], [10, 20, 30, 0]])
    for name in ("one", "two"):
        assert bench("archive", "--out", tmp_path / name, "--to", tmp_path / "both")[0] == 0
    names = {plan(model, seed).folder for model, seed in [("one", 0), ("one", 1), ("two", 0), ("two", 1), ("three", 0)]}
    assert {folder.name for folder in archived_runs(tmp_path / "both")} == names
