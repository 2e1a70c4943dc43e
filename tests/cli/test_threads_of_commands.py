"""With how many threads commands compute that carry out no run."""

from __future__ import annotations

import pytest
import torch
from made_records import plan

from bench.cli import dry_run_costs
from bench.cores import Cores
from bench.execution.probe import Pace
from bench.inference import finished_run


@pytest.fixture
def threads(monkeypatch):
    """The threads there were whenever something was computed. The machine has 3 free cores of 8, and no GPU."""
    computed_with: list[int] = []
    before = torch.get_num_threads()
    monkeypatch.setattr("bench.cores.find_cores", lambda: Cores(8, 3))
    monkeypatch.setattr(dry_run_costs, "find_cores", lambda: Cores(8, 3))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    yield computed_with
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 3),
        (["--seeds", "2"], 1),
        (["--seeds", "2", "--jobs", "1"], 3),
        (["--seeds", "2", "--launcher", "inline"], 3),
    ],
    ids=["a run", "two at once", "two, one at a time", "two in one process"],
)
def test_an_estimate_is_made_with_the_threads_that_the_run_would_have(
    bench, small, threads, monkeypatch, tmp_path, options, expected
):
    def pace(*arguments) -> Pace:
        threads.append(torch.get_num_threads())
        return Pace(1.0, 1.0)

    monkeypatch.setattr(dry_run_costs, "pace", pace)
    arguments = ["--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", "1", *options]
    status, _, error = bench("run", *arguments, "--out", tmp_path, "--dry-run", "--estimate")
    assert status == 0, error
    assert threads == [expected]


def test_predicting_takes_the_cores_that_are_free(bench, threads, monkeypatch, tmp_path):
    def predict_file(*arguments) -> finished_run.Predicted:
        threads.append(torch.get_num_threads())
        return finished_run.Predicted(0, 0, 0, plan())

    monkeypatch.setattr(finished_run, "predict_file", predict_file)
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("bench.runs.run_folder.is_run", lambda path: True)
    status, _, error = bench("predict", tmp_path / "run", tmp_path / "x.json", "--to", tmp_path / "y.json")
    assert status == 0, error
    assert threads == [3]
