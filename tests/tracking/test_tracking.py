"""What trackers are told of runs: all of it, once, and never at the cost of a run."""

from __future__ import annotations

import json
import tomllib
from io import StringIO
from pathlib import Path

import pytest
from recorder import Recorder
from rich.console import Console
from small_experiments import execute, plans, results, stopped

from bench.cli.launching import LaunchOptions, launching
from bench.cli.options import Launch
from bench.errors import UsageError
from bench.execution.executor import Executor
from bench.experiment.config import trackers_in
from bench.launch import local
from bench.launch.display import RunDisplay
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder
from bench.slurm.profiles import make_profile
from bench.slurm.submissions import Submission, read_submission
from bench.tracking.choice import TRACKERS, VARIABLE, Choice, check_installed

pytestmark = pytest.mark.usefixtures("small")
STEPS = 6  # 5 documents, 2 at a time, 2 epochs
TRACK = ("recorder",)


@pytest.fixture(autouse=True)
def recorder(monkeypatch):
    monkeypatch.setitem(TRACKERS, "recorder", Choice("recorder", "Recorder", "pytest"))
    for kept in (Recorder.told, Recorder.begun, Recorder.ended):
        kept.clear()
    monkeypatch.setattr(Recorder, "fails_at", "")
    # Every update is told at once, and so before the checkpoint that a killed run goes back to.
    monkeypatch.setattr("bench.training.log.FLUSH_EVERY", 1)


def places(stage: str, axis: str) -> list[int]:
    return [at for _, of, along, at, _ in Recorder.told if (of, along) == (stage, axis)]


def numbers(stage: str, axis: str, at: int) -> dict[str, float]:
    return next(values for _, *where, values in Recorder.told if where == [stage, axis, at])


def test_updates_epochs_and_scores_of_a_run_are_told(tmp_path):
    (plan,) = plans()
    assert not execute(tmp_path, [plan], track=TRACK)
    record = RunFolder.of(tmp_path, plan).record()
    assert places("human", "step") == list(range(STEPS))
    assert {"human/loss", "human/encoder_lr", "human/head_lr", "human/gradient_norm"} < set(numbers("human", "step", 3))
    for epoch, f1 in enumerate(record.stages[0].dev_f1, 1):
        told = numbers("human", "epoch", epoch)
        assert told["human/dev_f1"] == f1
        assert set(told) == {f"human/dev_{name}" for name in ("f1", "ign_f1", "precision", "recall")}
    scores = record.splits["test"].scores
    told = numbers("", "run", 0)
    assert (told["test/f1"], told["test/ign_f1"]) == (scores.f1, scores.ign_f1)
    assert Recorder.ended == ["finished"]
    (run,) = Recorder.begun
    assert (run.name, run.key, run.config["human.batch_size"]) == (plan.folder, plan.key, 2)
    assert run.config["harness"] == plan.stages[0].harness


def test_the_dev_scores_of_the_selected_epoch_are_those_of_the_record(tmp_path):
    (plan,) = plans()
    assert not execute(tmp_path, [plan], track=TRACK)
    record = RunFolder.of(tmp_path, plan).record()
    selected = numbers("human", "epoch", record.stages[0].selected_epoch)
    dev = record.splits["dev"].scores
    assert selected["human/dev_ign_f1"] == pytest.approx(dev.ign_f1)
    assert selected["human/dev_precision"] == pytest.approx(dev.precision)


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("after", [2, 5, 9])
def test_a_run_that_is_taken_up_again_is_the_same_run_and_tells_no_step_twice(after, kill, tmp_path):
    (plan,) = plans()
    assert stopped(tmp_path, [plan], after, kill, track=TRACK)
    assert not execute(tmp_path, [plan], track=TRACK)
    assert places("human", "step") == list(range(STEPS))
    assert places("human", "epoch") == [1, 2]
    assert places("", "run") == [0]
    assert {run.key for run in Recorder.begun} == {plan.key}
    assert Recorder.ended[-1] == "finished"


def test_what_was_done_before_tracking_is_told_from_the_log(tmp_path):
    (plan,) = plans()
    assert stopped(tmp_path, [plan], 5)
    assert not execute(tmp_path, [plan], track=TRACK)
    assert places("human", "step") == list(range(STEPS))


def test_a_stage_that_another_run_trained_is_told_of_each_run(tmp_path):
    planned = plans(settings="distant,human+distant")
    assert not execute(tmp_path, planned, track=TRACK)
    for plan in planned:
        steps = [at for run, *where, at, _ in Recorder.told if (run, where) == (plan.folder, ["distant", "step"])]
        assert steps == list(range(4))  # 4 documents, 2 at a time, 2 epochs


def test_stages_on_the_same_data_have_names_of_their_own(tmp_path):
    (plan,) = plans("kd_docre", settings="human+distant")
    assert not execute(tmp_path, [plan], track=TRACK)
    assert [len(places(stage, "step")) for stage in ("human-1", "distant", "human-2")] == [6, 4, 6]


def test_no_byte_of_a_run_depends_on_being_tracked(tmp_path):
    planned = plans()
    execute(tmp_path / "without", planned)
    execute(tmp_path / "with", planned, track=TRACK)
    assert results(tmp_path / "without", planned) == results(tmp_path / "with", planned)


@pytest.mark.parametrize("moment", ["begin", "step", "epoch", "run", "end"])
def test_a_tracker_that_fails_is_told_once_and_fails_no_run(moment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Recorder, "fails_at", moment)
    planned = plans(seeds="2")
    assert not execute(tmp_path, planned, track=TRACK)
    assert all(RunFolder.of(tmp_path, plan).record() for plan in planned)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "recorder" in line]
    assert line == f"bench: recorder: [Errno 28] no space left for {moment}; runs go on without it"


def test_where_it_cannot_be_marked_nothing_is_told(tmp_path, capsys):
    (plan,) = plans()
    (tmp_path / "tracking").write_text("a file in the place of the folder")
    assert not execute(tmp_path, [plan], track=TRACK)
    assert not Recorder.told
    assert "runs go on without it" in capsys.readouterr().err


def test_what_a_tracker_says_that_it_has_not_kept_is_told_again(tmp_path, monkeypatch):
    (plan,) = plans()
    assert stopped(tmp_path, [plan], 8, track=TRACK)
    Recorder.told.clear()
    monkeypatch.setattr(Recorder, "has", {"human/step": 1})
    assert not execute(tmp_path, [plan], track=TRACK)
    assert places("human", "step") == list(range(2, STEPS))
    assert places("human", "epoch") == [1, 2]


def test_a_run_that_fails_and_one_that_is_interrupted_are_told_as_such(tmp_path, monkeypatch):
    (plan,) = plans()
    assert stopped(tmp_path, [plan], 4, track=TRACK)
    monkeypatch.setattr("bench.execution.executor.evaluate_run", lambda *_: 1 / 0)
    assert execute(tmp_path, [plan], track=TRACK)
    assert Recorder.ended == ["interrupted", "failed"]


def test_a_model_without_gradients_is_told_by_its_scores(tmp_path, monkeypatch):
    monkeypatch.setattr("small_experiments.SMALL", ())
    (plan,) = plans("prior")
    assert not execute(tmp_path, [plan], track=TRACK)
    assert [axis for _, _, axis, _, _ in Recorder.told] == ["run"]
    (begun,) = Recorder.begun
    assert not [name for name in begun.config if name.endswith(("epochs", "head_lr", "max_length"))]


def test_damaged_lines_of_a_log_and_damaged_marks_are_passed_over(tmp_path):
    (plan,) = plans()
    assert not execute(tmp_path, [plan])
    log = stage_folder(tmp_path, plan.stages[0]) / "log.jsonl"
    log.write_text(log.read_text() + '{"step": \n[3]\n')
    marks = tmp_path / "tracking" / "told" / f"{plan.folder}.json"
    marks.parent.mkdir(parents=True)
    marks.write_text('{"recorder": 3}')
    RunFolder.of(tmp_path, plan).path.joinpath("record.json").unlink()
    assert not execute(tmp_path, [plan], track=TRACK)
    assert places("human", "step") == list(range(STEPS))
    assert json.loads(marks.read_text()) == {"recorder": {"human/step": 5, "human/epoch": 2, "/run": 0}}


def options(track: str | None = None) -> LaunchOptions:
    return LaunchOptions(Launch.LOCAL, None, None, 1, False, track=track)


def test_the_command_line_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv(VARIABLE, "recorder")
    assert launching(options()).track == ("recorder",)
    assert launching(options("none")).track == ()
    monkeypatch.delenv(VARIABLE)
    assert launching(options()).track == ()
    assert launching(options("recorder, recorder")).track == ("recorder",)
    monkeypatch.setenv(VARIABLE, "recordr")
    assert launching(options("none")).track == ()
    with pytest.raises(UsageError, match="BENCH_TRACK: unknown tracker 'recordr'"):
        launching(options())


def test_a_file_names_trackers_for_all_its_experiments(tmp_path):
    (tmp_path / "base.toml").write_text('models = ["atlop"]\ntrack = ["mlflow"]\n')
    (tmp_path / "own.toml").write_text('extends = "base.toml"\nseeds = 2\n')
    (tmp_path / "none.toml").write_text('extends = "base.toml"\ntrack = []\n')
    assert trackers_in(tmp_path / "own.toml") == ["mlflow"]
    assert trackers_in(tmp_path / "none.toml") == []
    assert trackers_in("table3") is None


def test_the_trackers_of_a_file_are_those_of_its_run(bench, tmp_path, monkeypatch):
    (tmp_path / "a.toml").write_text('models = ["atlop"]\ntrack = ["tensorbord"]\n')
    status, _, error = bench("run", "--config", tmp_path / "a.toml", "--dry-run")
    assert status == 2
    assert f"{tmp_path / 'a.toml'}: track: unknown tracker 'tensorbord'. Did you mean 'tensorboard'?" in error


@pytest.mark.parametrize(
    ("requirement", "why"),
    [
        ("nowhere-to-be-found>=3", "recorder is not installed. This brings it: pip install 'nowhere-to-be-found>=3'"),
        ("pytest>=1000", "expected >=1000. This brings it: pip install 'pytest>=1000'"),
    ],
)
def test_a_package_that_is_not_here_or_too_old_is_told_before_anything_runs(requirement, why, monkeypatch):
    monkeypatch.setitem(TRACKERS, "recorder", Choice("recorder", "Recorder", requirement))
    with pytest.raises(UsageError) as told:
        check_installed(["recorder"])
    assert why in str(told.value)


def test_the_requirements_are_those_of_the_extras():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    for name, choice in TRACKERS.items():
        if name != "recorder":
            assert extras[name] == [choice.requirement]


def test_workers_are_told_the_trackers_in_their_environment(tmp_path, monkeypatch):
    started = []

    def start(command, env, **_):
        started.append(env)
        raise OSError("no more processes")

    monkeypatch.setattr(local.subprocess, "Popen", start)
    display = RunDisplay(plans(), Console(file=StringIO()))
    with pytest.raises(OSError, match="no more processes"):
        local.launch(plans(), tmp_path, "local", 1, display, 60.0, track=("mlflow", "wandb"))
    assert [env[VARIABLE] for env in started] == ["mlflow,wandb"]


def test_a_worker_and_a_job_tell_the_trackers_that_were_asked_for(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(Executor, "execute", lambda self, *_, **__: given.append(self.context.track) or [])
    from bench.launch import worker
    from bench.slurm.job import carry_out
    from bench.slurm.tasks import Task

    (plan,) = plans()
    RunFolder.of(tmp_path, plan).announce(plan)
    monkeypatch.setenv(VARIABLE, "recorder")
    monkeypatch.setattr("bench.runs.interrupt.stop_at_end_of_input", lambda interrupt: None)
    assert worker.main([str(tmp_path), "1", "60", "inf", "0", "1", "0", plan.folder]) == 0
    task = Task(run=plan.folder, stage=None, finishes=True, section="human")
    submission = Submission("x", "1", make_profile("p", {}, "here"), 1e9, {0: [task]}, ("mlflow",))
    submission.write(tmp_path)
    read = read_submission(tmp_path, "x")
    carry_out(task, tmp_path, read, None)
    assert given == [("recorder",), ("mlflow",)]


def test_a_submission_without_trackers_is_written_as_before(tmp_path):
    Submission("x", "1", make_profile("p", {}, "here"), 1e9, {}).write(tmp_path)
    assert "track" not in (tmp_path / "slurm" / "submissions" / "x.json").read_text()
