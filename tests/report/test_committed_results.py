"""What is committed of our own experiments is whole, and everything else is made from it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from bench.analysis.aggregate import load_cells
from bench.experiment.config import CommandLine, make_experiments
from bench.runs.archive import ARCHIVE, archived_runs

FOLDER = Path(__file__).resolve().parents[2] / "results" / "redocred-small-minilm"


@pytest.fixture
def committed(tmp_path, monkeypatch) -> Path:
    """The archive of records alone, in an empty folder."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "results").mkdir()
    shutil.copy(FOLDER / ARCHIVE, tmp_path / "results")
    return tmp_path / "results"


def test_every_run_is_as_it_was_written_and_is_one_that_the_files_plan(committed: Path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    planned = {
        (variant.entry.name, setting, seed)
        for file in FOLDER.glob("*.toml")
        if file.name != "base.toml"
        for experiment in make_experiments(CommandLine(config=file))
        for setting, variant in experiment.cells
        for seed in experiment.seeds
    }
    for folder in archived_runs(committed):
        found = folder.verdict()
        assert not found.why, folder.name
        assert (found.plan.model, found.plan.setting, found.plan.seed) in planned


def test_tables_are_those_that_the_records_make(committed: Path, bench):
    status, _, error = bench("table", "--out", committed)
    assert (status, error) == (0, "")
    assert (committed / "tables" / "runs.md").read_text() == (FOLDER / "tables" / "runs.md").read_text()


def test_a_report_is_made_of_the_records_alone(committed: Path, bench):
    status, printed, _ = bench("report", "--out", committed)
    assert status == 0
    assert "tables of results" in printed
    page = (committed / "report" / "report.html").read_text()
    finished = sum(len(cell.records) for cell in load_cells(committed))
    assert f"{finished} of {sum(cell.expected for cell in load_cells(committed))}" in page


def test_every_row_of_the_main_table_says_of_how_many_seeds_it_is(committed: Path):
    seeds = tomllib.loads((FOLDER / "base.toml").read_text())["seeds"]
    cells = load_cells(committed)
    assert {cell.expected for cell in cells} == {len(seeds)}
    assert {cell.plans[0].setting for cell in cells} == {"human", "ext", "human+distant"}
