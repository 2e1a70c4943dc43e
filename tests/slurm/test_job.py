from __future__ import annotations

import os
import signal
import sys

import pytest
from small_experiments import Processes, StopAfter, execute, plans, results

from bench.errors import UsageError
from bench.runs.interrupt import Interrupt
from bench.runs.outline import outline_of, outlines
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder, stage_is_done
from bench.slurm import pack
from bench.slurm.attempts import Attempt, start_attempt
from bench.slurm.exit_status import DONE, FAILED, STOPPED
from bench.slurm.job import ArrayJob, carry_out
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import Submission
from bench.slurm.tasks import finishing_stages, tasks_of

pytestmark = pytest.mark.usefixtures("small")


def tasks(out, planned):
    announce(out, planned)
    runs = list(outlines(out))
    return tasks_of(runs, finishing_stages(runs), lambda run: False, lambda stage: False)


def do(out, task, interrupt=None) -> int:
    submission = Submission("x", "1", make_profile("p", {}, "here"), 1e9, {0: [task]})
    return carry_out(task, out, submission, interrupt or Interrupt())


def test_an_outline_has_the_names_of_the_plan(tmp_path):
    (plan,) = plans(settings="human+distant")
    announce(tmp_path, [plan])
    outline = outline_of(tmp_path, plan.folder)
    assert [stage.folder for stage in outline.stages] == [stage.folder for stage in plan.stages]
    assert (outline.folder, outline.model, outline.seed) == (plan.folder, plan.model, plan.seed)


def test_a_job_a_stage_gives_the_bytes_of_one_process_for_all(tmp_path):
    planned = plans(settings="distant,human+distant")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "jobs"
    for task in tasks(out, planned):
        assert do(out, task) == DONE
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_the_job_of_a_shared_stage_does_no_more(tmp_path):
    planned = plans(settings="distant,human+distant")
    first = tasks(tmp_path, planned)[0]
    do(tmp_path, first)
    assert stage_is_done(stage_folder(tmp_path, first.stage))
    assert not any(RunFolder.of(tmp_path, plan).record() for plan in planned)


def test_a_job_that_finds_its_work_done_does_none(tmp_path, monkeypatch):
    planned = plans(settings="human+distant")
    execute(tmp_path, planned)
    monkeypatch.setattr("bench.execution.executor.Executor.execute", None)
    assert [do(tmp_path, task) for task in tasks(tmp_path, planned)] == [DONE, DONE]


def test_a_signal_stops_a_job_at_a_step_and_another_goes_on_to_the_same_end(tmp_path):
    planned = plans("atlop", "epochs=6")
    execute(tmp_path / "whole", planned)
    out = tmp_path / "parts"
    (task,) = tasks(out, planned)
    assert do(out, task, StopAfter(8, kill=False)) == STOPPED
    assert RunFolder(out, task.run).record() is None
    assert do(out, task) == DONE
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_a_job_that_fails_says_so_with_its_status_and_in_its_run(tmp_path, capsys, monkeypatch):
    def refuse(*arguments):
        raise UsageError("changed since this run was planned")

    monkeypatch.setattr("bench.execution.executor.check_unchanged", refuse)
    (task,) = tasks(tmp_path, plans())
    assert do(tmp_path, task) == FAILED
    assert RunFolder(tmp_path, task.run).error() == "changed since this run was planned"
    assert "failed: changed since this run was planned" in capsys.readouterr().out


def test_a_job_prints_a_line_an_epoch(tmp_path, capsys):
    (task,) = tasks(tmp_path, plans())
    do(tmp_path, task)
    lines = [line for line in capsys.readouterr().out.splitlines() if "epoch 2/2" in line]
    assert any("human: training" in line for line in lines)


def test_the_call_that_submitit_pickles_asks_the_folder_for_its_task(tmp_path, monkeypatch):
    planned = plans()
    execute(tmp_path, planned)
    (task,) = tasks(tmp_path, planned)
    Submission("x", "1", make_profile("p", {}, "here"), 1e9, {7: [task]}).write(tmp_path)
    for index, status in (("7", DONE), ("8", FAILED)):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", index)
        with pytest.raises(SystemExit) as leaving:
            ArrayJob(str(tmp_path), "x")()
        assert leaving.value.code == status


def test_a_call_whose_attempt_counts_no_more_ends_before_it_does_anything(tmp_path, monkeypatch, capsys):
    planned = plans()
    (task,) = tasks(tmp_path, planned)
    Submission("x", "1", make_profile("p", {}, "here"), 1e9, {7: [task]}).write(tmp_path)
    start_attempt(tmp_path, task, Attempt("x", 2))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with pytest.raises(SystemExit) as leaving:
        ArrayJob(str(tmp_path), "x")()
    assert leaving.value.code == STOPPED
    assert "a newer attempt of this job has started" in capsys.readouterr().out
    assert not list(tmp_path.glob("stages/*"))


def test_a_signal_before_the_call_has_taken_over_leaves_the_call_as_it_was():
    call = ArrayJob("out", "x")
    again = call.checkpoint()
    assert (again.function, again.args) == (call, ())


def test_the_signals_of_a_scheduler_are_those_that_ask_for_a_stop():
    from bench.runs.interrupt import SIGNALS

    assert {signal.SIGUSR2, signal.SIGTERM} <= set(SIGNALS)


def be_member(out: str, member: str, ends: bool) -> None:
    """A member's process, whose input ends at once or not before it does."""
    reading, writing = os.pipe()
    if ends:
        os.close(writing)
    os.dup2(reading, 0)
    sys.exit(pack.main([out, "x", "3", member]))


@pytest.fixture
def packed(tmp_path):
    """Two planned runs that share the job of index 3 of a submission x."""
    planned = plans(seeds="2")
    profile = make_profile("p", {"runs_per_gpu": 2}, "here")
    Submission("x", "1", profile, 1e9, {3: tasks(tmp_path / "out", planned)}, is_packed=True).write(tmp_path / "out")
    return tmp_path / "out", planned


@pytest.mark.waits
def test_each_process_of_a_shared_job_does_its_run_to_the_bytes_of_a_job_alone(packed, tmp_path):
    out, planned = packed
    execute(tmp_path / "whole", planned)
    with Processes() as processes:
        for member in "01":
            processes.start(be_member, str(out), member, False)
        assert processes.codes() == [DONE, DONE]
    assert results(out, planned) == results(tmp_path / "whole", planned)


@pytest.mark.waits
def test_a_process_of_a_shared_job_stops_when_the_one_that_looks_after_it_is_gone(packed):
    out, planned = packed
    with Processes() as processes:
        processes.start(be_member, str(out), "0", True)
        assert processes.codes() == [STOPPED]
    assert RunFolder.of(out, planned[0]).record() is None


def test_the_job_of_several_runs_has_each_done_by_a_process(packed, monkeypatch):
    out, planned = packed
    asked = []
    monkeypatch.setattr("bench.slurm.job.carry_out_pack", lambda jobs, *others: asked.extend(jobs) or DONE)
    for name, value in (("SLURM_ARRAY_JOB_ID", "100"), ("SLURM_ARRAY_TASK_ID", "3")):
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as leaving:
        ArrayJob(str(out), "x")()
    assert leaving.value.code == DONE
    assert [(job.id, job.member, job.task.run) for job in asked] == [
        ("100_3", member, plan.folder) for member, plan in enumerate(planned)
    ]
