"""Trackers of other people, as they are: what they have kept of a run that was interrupted and went on.

`make test-trackers` installs them; where one is not, its test is skipped.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from small_experiments import execute, plans, stopped

from bench.runs.plan import RunPlan
from bench.runs.record import RunRecord
from bench.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("small")
STEPS = list(range(6))
INTERRUPTED = 6
"""So often somebody asks whether to stop, before the end is."""


def needs(package: str) -> None:
    try:
        version(package)
    except PackageNotFoundError:
        pytest.skip(f"needs {package} (make test-trackers)")


@pytest.fixture
def tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[RunPlan, RunRecord]]:
    """A run that was killed after it had told of more than its checkpoint has, and then went on to its end."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # where a key would be
    monkeypatch.setattr("bench.training.log.FLUSH_EVERY", 1)

    def run(tracker: str) -> tuple[RunPlan, RunRecord]:
        needs(tracker)
        (plan,) = plans()
        assert stopped(tmp_path, [plan], INTERRUPTED, kill=True, track=[tracker])
        assert not execute(tmp_path, [plan], track=[tracker])
        record = RunFolder.of(tmp_path, plan).record()
        assert record is not None
        return plan, record

    return run


def test_tensorboard_has_every_step_once(tracked, tmp_path, capsys):
    plan, record = tracked("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = EventAccumulator(str(tmp_path / "tracking" / "tensorboard" / plan.folder))
    kept.Reload()
    assert [event.step for event in kept.Scalars("human/loss")] == STEPS
    assert [event.step for event in kept.Scalars("human/dev_f1")] == [1, 2]
    (f1,) = kept.Scalars("test/f1")
    assert f1.value == pytest.approx(record.splits["test"].scores.f1)
    assert "not installed" not in capsys.readouterr().err


def test_wandb_offline_has_every_step_once_under_one_id(tracked, tmp_path, capsys):
    plan, record = tracked("wandb")
    from bench.tracking.wandb_files import records, rows

    files = sorted((tmp_path / "tracking" / "wandb" / "wandb").glob("offline-run-*/*.wandb"))
    assert files
    found = [list(records(file)) for file in files]
    runs = [record.run for of_file in found for record in of_file if record.WhichOneof("record_type") == "run"]
    assert {run.run_id for run in runs} == {plan.key}
    assert {run.display_name for run in runs} == {plan.folder}
    kept = [row for file in files for row in rows(file)]
    assert [row["human/step"] for row in kept if "human/loss" in row] == STEPS
    assert [row["human/epoch"] for row in kept if "human/dev_f1" in row] == [1, 2]
    (f1,) = (row["test/f1"] for row in kept if "test/f1" in row)
    assert f1 == pytest.approx(record.splits["test"].scores.f1)
    metrics = [r.metric for of_file in found for r in of_file if r.WhichOneof("record_type") == "metric"]
    assert {m.step_metric for m in metrics if m.name == "human/loss"} == {"human/step"}
    assert {m.step_metric for m in metrics if m.name == "human/dev_f1"} == {"human/epoch"}
    assert "wandb" not in capsys.readouterr().err


def test_what_wandb_has_lost_of_a_killed_process_is_told_again(tracked, tmp_path, monkeypatch):
    """Of what it was given offline it has written what it pleased: here the first half."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    plan, record = tracked("wandb")
    from bench.tracking.wandb_files import kept, rows

    folder = tmp_path / "tracking" / "wandb"
    *_, last = sorted((folder / "wandb").glob("offline-run-*/*.wandb"))
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    before = kept(folder, plan.key)
    assert before.get("human/step", -1) < STEPS[-1] or "/run" not in before
    (RunFolder.of(tmp_path, plan).path / "record.json").unlink()
    assert not execute(tmp_path, [plan], track=["wandb"])
    found = [row for file in sorted((folder / "wandb").glob("offline-run-*/*.wandb")) for row in rows(file)]
    assert [row["human/step"] for row in found if "human/loss" in row] == STEPS
    assert [row["human/epoch"] for row in found if "human/dev_f1" in row] == [1, 2]
    assert [row["test/f1"] for row in found if "test/f1" in row] == [pytest.approx(record.splits["test"].scores.f1)]


def test_mlflow_has_every_step_once_in_one_run(tracked, tmp_path):
    plan, record = tracked("mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'tracking' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("docre-bench")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == (plan.folder, "FINISHED")
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "human/loss")] == STEPS
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "human/dev_f1")] == [1, 2]
    assert run.data.metrics["test/f1"] == pytest.approx(record.splits["test"].scores.f1)
    assert run.data.params["human.batch_size"] == "2"
    assert run.data.params["key"] == plan.key
    assert not (Path.cwd() / "mlflow.db").exists()


def test_trackio_has_every_step_once_in_one_run(tmp_path_factory, tracked, monkeypatch):
    needs("trackio")
    folder = tmp_path_factory.mktemp("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(folder))  # which it reads when it is imported, and then no more
    plan, record = tracked("trackio")
    with sqlite3.connect(folder / "docre-bench.db") as database:
        found = database.execute("SELECT run_id, run_name, metrics FROM metrics ORDER BY id").fetchall()
    assert len({run for run, _, _ in found}) == 1
    assert {name for _, name, _ in found} == {plan.folder}
    import orjson

    kept = [orjson.loads(metrics) for _, _, metrics in found]
    assert [row["human/step"] for row in kept if "human/loss" in row] == STEPS
    assert [row["human/epoch"] for row in kept if "human/dev_f1" in row] == [1, 2]
    (f1,) = (row["test/f1"] for row in kept if "test/f1" in row)
    assert f1 == pytest.approx(record.splits["test"].scores.f1)
