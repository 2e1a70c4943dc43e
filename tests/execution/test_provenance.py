"""What `provenance.json` says of the time that runs and stages took."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from small_experiments import execute, plans, stopped

from bench.execution import provenance
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder
from bench.runs.status import RunStatus

pytestmark = pytest.mark.usefixtures("small")


class Clock:
    """A clock by which every look takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(provenance, "time", clock)
    return clock


def told(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "provenance.json").read_text())
    return content


def folders(out: Path, plan: RunPlan) -> list[Path]:
    return [RunFolder.of(out, plan).path, stage_folder(out, plan.stages[0])]


def test_the_seconds_of_interrupted_executions_and_of_the_last_add_up(clock, tmp_path):
    (plan,) = plans()
    assert stopped(tmp_path, [plan], after=3)
    before = [told(folder) for folder in folders(tmp_path, plan)]
    assert stopped(tmp_path, [plan], after=3)
    execute(tmp_path, [plan])
    for folder, first in zip(folders(tmp_path, plan), before, strict=True):
        after = told(folder)
        assert first["seconds"] > 0
        assert len(after["executions"]) == 3
        assert after["executions"][0] == first["executions"][0]
        assert after["seconds"] == sum(one["seconds"] for one in after["executions"])
        assert after["started"] == first["started"]


def test_time_is_written_down_as_it_goes_on_so_that_a_kill_loses_no_more_than_of_training(clock, tmp_path):
    (plan,) = plans()
    run, stage = folders(tmp_path, plan)
    seen: list[tuple[float, float]] = []

    def look(folder: RunFolder, status: RunStatus) -> None:
        if status.stage == "human" and status.doing != "opening data and encoder":  # which is before the execution
            seen.append((told(run)["seconds"], told(stage)["seconds"]))

    execute(tmp_path, [plan], listener=look, checkpoint_seconds=0.0)
    assert len(seen) > 2
    assert all(before < after for one in zip(*seen, strict=True) for before, after in pairwise(one))


def test_a_stage_that_was_there_costs_the_run_that_uses_it_nothing_more(tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    stage = told(stage_folder(tmp_path, plan.stages[0]))
    RunFolder.of(tmp_path, plan).path.joinpath("record.json").unlink()
    execute(tmp_path, [plan])
    assert told(stage_folder(tmp_path, plan.stages[0])) == stage
    assert len(told(RunFolder.of(tmp_path, plan).path)["executions"]) == 2


def test_waiting_for_another_process_is_no_execution(tmp_path):
    (plan,) = plans()
    announce(tmp_path, [plan])
    stage = stage_folder(tmp_path, plan.stages[0])
    stage.mkdir(parents=True)
    with FileLock(stage / "lock"):
        assert stopped(tmp_path, [plan], after=2)
    assert not any((folder / "provenance.json").exists() for folder in folders(tmp_path, plan))


@pytest.mark.parametrize(
    ("before", "seconds"),
    [
        ({"started": "2025-01-01T00:00:00+00:00", "seconds": 100.0, "host": "h"}, 100.0),
        ({"started": "2025-01-01T00:00:00+00:00", "seconds": "long"}, 0.0),
        ({"executions": [{"started": "2025-01-01T00:00:00+00:00", "seconds": float("nan")}]}, 0.0),
        ({"executions": 3}, 0.0),
        ([], 0.0),
        ("{", 0.0),
    ],
)
def test_what_the_first_versions_wrote_counts_and_what_nobody_wrote_does_not(before, seconds, clock, tmp_path):
    (plan,) = plans()
    for folder in folders(tmp_path, plan):
        folder.mkdir(parents=True)
        (folder / "provenance.json").write_text(before if isinstance(before, str) else json.dumps(before))
    execute(tmp_path, [plan])
    for folder in folders(tmp_path, plan):
        after = told(folder)
        assert after["seconds"] == seconds + after["executions"][-1]["seconds"]
        assert len(after["executions"]) == (2 if seconds else 1)
