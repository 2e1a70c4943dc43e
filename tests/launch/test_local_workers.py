"""The processes of the local launcher: where they are started, and that they are not started for ever."""

from __future__ import annotations

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from small_experiments import plans

from bench.cores import Cores
from bench.launch import local as launch
from bench.launch.display import RunDisplay
from bench.launch.local import WorkerTeam, default_jobs
from bench.runs.run_folder import RunFolder, announce


@pytest.fixture
def started(monkeypatch):
    """The environment of every process that is started; each ends at once with status 1, without a word."""
    environments: list[dict[str, str]] = []
    popen = subprocess.Popen

    def start(command, env, **options):
        environments.append(env)
        return popen([sys.executable, "-S", "-c", "raise SystemExit(1)"], **options)

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    return environments


def team(out) -> WorkerTeam:
    return WorkerTeam(0, 2, 1, [RunFolder(out, "run")], out, 60)


@pytest.mark.parametrize(
    ("visible", "taken"), [(None, ["0", "1"]), ("2,3", ["2", "3"]), ("GPU-a,GPU-b", ["GPU-a", "GPU-b"])]
)
def test_processes_take_the_gpus_that_the_user_lets_them_have(visible, taken, started, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    team(tmp_path)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in started] == taken


def test_processes_that_come_to_nothing_are_not_started_again(started, tmp_path):
    workers = team(tmp_path)
    while workers.is_at_work(may_start=True):
        assert len(started) == 2
    assert len(started) == 2


def test_there_is_never_a_process_more_than_runs():
    assert default_jobs(Cores(64, 64), 5) == 5
    assert default_jobs(Cores(64, 64), 100) == 64


def test_there_are_as_many_processes_as_free_cores_of_one_thread_unless_the_user_wants_more_of_each():
    assert default_jobs(Cores(64, 3), 100) == 3
    assert default_jobs(Cores(64, 8, asked=4), 100) == 2
    assert default_jobs(Cores(64, 8), 100, gpus_per_run=4) == 2
    assert default_jobs(Cores(2, 1), 100, gpus_per_run=4) == 1


class StartedError(Exception):
    """Stands for the start of processes."""


@pytest.fixture
def division(small, monkeypatch, tmp_path):
    """division(launcher, cores, jobs, done, runs): what is started: teams, processes of each, threads."""

    def divide(launcher, cores, jobs=None, done=0, runs=3):
        planned = plans(seeds=str(runs))
        announce(tmp_path, planned)
        display = RunDisplay(planned, Console(file=io.StringIO()))

        def record(plans, out, jobs, size, threads, *others):
            raise StartedError(jobs, size, threads)

        class Inline:
            def __init__(self, *arguments, **options):
                raise StartedError(1, 1, torch.get_num_threads())

        monkeypatch.setattr(launch, "find_cores", lambda: cores)
        monkeypatch.setattr(launch, "_run_locally", record)
        monkeypatch.setattr(launch, "Executor", Inline)
        closed = {plan.folder for plan in planned[:done]}
        verdict = SimpleNamespace(is_closed=True)
        real = RunFolder.verdict
        monkeypatch.setattr(RunFolder, "verdict", lambda run: verdict if run.name in closed else real(run))
        monkeypatch.setattr(torch, "cuda", SimpleNamespace(device_count=lambda: 0, is_available=lambda: False))
        before = torch.get_num_threads()
        try:
            launch.launch(planned, tmp_path, launcher, jobs, display, 60)
        except StartedError as started:
            return started.args, display.console.file.getvalue()
        finally:
            torch.set_num_threads(before)

    return divide


@pytest.mark.parametrize(
    ("launcher", "cores", "options", "expected"),
    [
        ("local", Cores(2, 2), {}, (2, 1, 1)),
        ("local", Cores(2, 1), {}, (1, 1, 1)),
        ("local", Cores(8, 7), {}, (3, 1, 2)),
        ("local", Cores(8, 8), {"jobs": 1}, (1, 1, 8)),
        ("local", Cores(2, 2), {"done": 2}, (1, 1, 2)),
        ("local", Cores(2, 2, asked=2), {}, (1, 1, 2)),
        ("inline", Cores(2, 2), {}, (1, 1, 2)),
        ("inline", Cores(2, 1), {}, (1, 1, 1)),
        ("inline", Cores(2, 2, asked=1), {}, (1, 1, 1)),
    ],
)
def test_threads_are_those_that_free_cores_leave_for_the_processes_of_the_runs_to_do(
    division, launcher, cores, options, expected
):
    assert division(launcher, cores, **options)[0] == expected


def test_it_is_told_that_others_keep_cores_busy_and_what_follows(division):
    assert "1 of 2 cores free: 1 process of 1 thread" in division("local", Cores(2, 1))[1]
    assert division("local", Cores(2, 2))[1] == ""
