"""Whether it is told that jobs take long to start."""

from __future__ import annotations

import pytest
from fake_slurm import finish_run, write_plan

from bench.filesystem import write_json
from bench.launch.start_up import long_start_up


def provenance(out, run: str, *jobs: dict | None) -> None:
    started = "2026-01-01T00:00:00+00:00"
    told = [{"started": started, "seconds": 1.0, **({"job": job} if job else {})} for job in jobs]
    write_json(out / "runs" / run / "provenance.json", {"executions": told})


def job(start_up: object, seconds: object, job_id: str = "1_0") -> dict:
    return {"id": job_id, "start_up": start_up, "seconds": seconds}


def test_jobs_that_take_much_of_their_time_to_start_are_told_with_what_to_do(tmp_path):
    provenance(tmp_path, "a", job(30, 100), job(60, 100))
    provenance(tmp_path, "b", job(40, 800, "1_1"))
    said = long_start_up(tmp_path, ["a", "b", "c"])
    assert said.startswith("13% of the time of 2 jobs went by before the first step of training")
    assert "(40 s each, in the middle)" in said
    assert "runs_per_gpu" in said
    assert "scratch" in said


@pytest.mark.parametrize(
    "jobs",
    [
        [job(10, 100)],
        [],
        [None],
        [job("long", 10)],
        [job(5, float("nan"))],
        [{"id": "1_0"}],
    ],
)
def test_a_tenth_and_what_says_nothing_is_not_told(jobs, tmp_path):
    provenance(tmp_path, "a", *jobs)
    assert long_start_up(tmp_path, ["a"]) == ""


def test_a_job_at_work_is_not_judged_yet(tmp_path):
    provenance(tmp_path, "a", job(1, 100), job(50, 60))
    assert long_start_up(tmp_path, ["a"], ["a"]) == ""
    assert long_start_up(tmp_path, ["a"]) != ""


def test_status_says_it_under_its_table(bench, out):
    run = write_plan(out, "m", "human", 0, "human")
    finish_run(out, run)
    provenance(out, run, job(50, 100))
    status, printed, _ = bench("status", "--out", out)
    assert status == 0
    assert printed.splitlines()[-1].startswith("50% of the time of 1 job went by before the first step")
