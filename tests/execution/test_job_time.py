"""How much of a job's time goes by before its first step."""

from __future__ import annotations

import json

import pytest
from filelock import FileLock
from small_experiments import execute, plans

from bench.execution import job_time
from bench.execution.job_time import JobTime
from bench.runs.executions import STARTED
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(job_time, "time", clock)
    monkeypatch.setattr(job_time, "age", lambda: 7.0)
    return clock


@pytest.fixture
def _in_a_job(monkeypatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")


@pytest.mark.usefixtures("_in_a_job")
def test_the_start_counts_from_that_of_the_process_and_leaves_out_what_is_set_aside(clock):
    time = JobTime({})
    clock.now += 3
    with time.aside():
        clock.now += 100
    assert time.told() == {}
    clock.now += 1
    time.training_has_begun()
    clock.now += 9
    time.training_has_begun()
    assert time.told() == {"job": {"id": "12_3", "start_up": 11.0, "seconds": 20.0}}


@pytest.mark.usefixtures("_in_a_job")
def test_a_batch_script_says_when_its_job_began(clock):
    time = JobTime({STARTED: "960"})
    time.training_has_begun()
    assert time.told()["job"]["start_up"] == 40.0


@pytest.mark.usefixtures("_in_a_job")
@pytest.mark.parametrize("said", ["soon", "", "5000"])
def test_what_cannot_be_the_begin_of_a_job_is_not_taken_for_it(said, clock):
    time = JobTime({STARTED: said})
    time.training_has_begun()
    assert time.told()["job"]["start_up"] == 7.0


@pytest.mark.usefixtures("_in_a_job")
def test_the_next_run_of_a_process_begins_where_the_one_before_has_ended(clock):
    time = JobTime({})
    time.training_has_begun()
    clock.now += 50
    time.next_run()
    clock.now += 2
    time.training_has_begun()
    assert time.told()["job"] == {"id": "12_3", "start_up": 2.0, "seconds": 2.0}


def test_outside_of_a_job_nothing_is_told(clock):
    time = JobTime({})
    time.training_has_begun()
    assert time.told() == {}


@pytest.mark.usefixtures("small", "_in_a_job")
def test_a_run_in_a_job_writes_it_down_and_its_stages_do_not(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    run = json.loads((RunFolder.of(tmp_path, planned[0]).path / "provenance.json").read_text())
    (told,) = run["executions"]
    assert told["job"]["id"] == "12_3"
    assert 0 < told["job"]["start_up"] <= told["job"]["seconds"]
    assert "job" not in json.loads((stage_folder(tmp_path, planned[0].stages[0]) / "provenance.json").read_text())


@pytest.mark.usefixtures("small", "_in_a_job")
def test_time_in_which_another_process_is_at_the_work_is_set_aside(clock, tmp_path, monkeypatch):
    planned = plans()
    announce(tmp_path, planned)
    stage = stage_folder(tmp_path, planned[0].stages[0])
    stage.mkdir(parents=True)
    lock = FileLock(stage / "lock")
    lock.acquire()

    def wait(seconds: float) -> None:
        clock.now += 100
        lock.release()

    monkeypatch.setattr("bench.execution.context.time.sleep", wait)
    execute(tmp_path, planned)
    run = json.loads((RunFolder.of(tmp_path, planned[0]).path / "provenance.json").read_text())
    assert clock.now > 1000
    assert run["executions"][0]["job"] == {"id": "12_3", "start_up": 7.0, "seconds": 7.0}
