"""The processes of the local launcher: where they are started, and that they are not started for ever."""

from __future__ import annotations

import io
import platform
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from small_experiments import plans

from bench.cores import Cores
from bench.errors import UsageError
from bench.launch import local as launch
from bench.launch.display import RunDisplay
from bench.launch.local import WorkerTeam, divide
from bench.runs.run_folder import RunFolder, announce
from bench.runs.status import RunStatus


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


@pytest.mark.parametrize(
    ("dies", "how"),
    [("os._exit(7)", "exit status 7"), ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV")],
)
def test_a_run_whose_process_dies_has_failed_and_the_others_go_on(dies, how, tmp_path, monkeypatch):
    began = []
    popen = subprocess.Popen

    def start(command, env, **options):
        """A worker that dies at the first of its runs, unless that is the good one."""
        folder = RunFolder(tmp_path, command[-len(left()) :][0])
        end = "" if folder.name == "good" else dies
        process = popen([sys.executable, "-S", "-c", f"import os, signal; {end}"], **options)
        began.append(folder.name)
        said = RunStatus(state="running", time=time.time(), pid=process.pid, host=platform.node())
        folder.write_status(said.model_copy(update={"state": "done"}) if folder.name == "good" else said)
        return process

    def left():
        return [name for name in ("bad", "worse", "good") if RunFolder(tmp_path, name).error() is None]

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    workers = WorkerTeam(0, 1, 1, [RunFolder(tmp_path, name) for name in left()], tmp_path, 60)
    while workers.is_at_work(may_start=True):
        assert len(began) <= 3
    assert began == ["bad", "worse", "good"]
    assert len(workers.noted_deaths) == 2
    for name in ("bad", "worse"):
        folder = RunFolder(tmp_path, name)
        assert (
            folder.error()
            == f"its process ended without a word ({how}); `bench retry` goes on from the last checkpoint"
        )
        assert folder.status().state == "failed"
    assert RunFolder(tmp_path, "good").error() is None


def test_a_process_that_is_to_stop_and_dies_fails_no_run(tmp_path, monkeypatch):
    popen = subprocess.Popen

    def start(command, env, **options):
        process = popen([sys.executable, "-S", "-c", "raise SystemExit(7)"], **options)
        said = RunStatus(state="running", time=time.time(), pid=process.pid, host=platform.node())
        RunFolder(tmp_path, "run").write_status(said)
        return process

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    workers = WorkerTeam(0, 1, 1, [RunFolder(tmp_path, "run")], tmp_path, 60)
    while workers.is_at_work(may_start=False):
        pass
    assert RunFolder(tmp_path, "run").error() is None


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(device_count=lambda: 0, is_available=lambda: False))


@pytest.mark.parametrize(
    ("cores", "runs", "options", "jobs", "threads"),
    [
        (Cores(2, 2), 3, {}, 2, 1),
        (Cores(2, 1), 3, {}, 1, 1),
        (Cores(64, 64), 5, {}, 5, 12),
        (Cores(64, 3), 100, {}, 3, 1),
        (Cores(8, 8), 3, {"jobs": 1}, 1, 8),
        (Cores(8, 2), 9, {"jobs": 4}, 4, 1),
        (Cores(8, 8), 2, {"jobs": 4}, 2, 4),
        (Cores(64, 8, asked=4), 100, {}, 2, 4),
        (Cores(2, 2, asked=2), 3, {}, 1, 2),
        (Cores(64, 8), 100, {"gpus_per_run": 4}, 2, 1),
        (Cores(64, 8), 1, {"gpus_per_run": 4}, 1, 2),
        (Cores(2, 1), 100, {"gpus_per_run": 4}, 1, 1),
    ],
)
def test_free_cores_go_to_processes_of_one_thread_for_the_runs_there_are_and_then_to_threads(
    no_gpu, cores, runs, options, jobs, threads
):
    assert divide(cores, runs, **options) == (jobs, threads)


def test_with_gpus_there_is_a_process_for_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert divide(Cores(16, 12), 100) == (4, 3)
    assert divide(Cores(16, 12), 100, gpus_per_run=2) == (2, 3)
    with pytest.raises(UsageError, match="--gpus-per-run 8: this machine has 4"):
        divide(Cores(16, 12), 100, jobs=1, gpus_per_run=8)


def test_runs_that_share_gpus_are_so_many_processes_for_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert divide(Cores(16, 12), 100, runs_per_gpu=5) == (10, 1)
    assert divide(Cores(16, 12), 3, runs_per_gpu=5) == (3, 4)
    assert divide(Cores(16, 12), 100, jobs=4, runs_per_gpu=5) == (4, 3)


def test_without_a_gpu_there_is_none_to_share(no_gpu):
    with pytest.raises(UsageError, match="--runs-per-gpu 5: no GPU is to be seen here; --jobs"):
        divide(Cores(16, 12), 100, runs_per_gpu=5)


@pytest.mark.parametrize(("clients", "taken"), [({}, ["6", "7"]), ({"CUDA_VISIBLE_DEVICES": "0,1"}, ["0", "1"])])
def test_processes_of_one_run_each_take_turns_with_the_gpus_as_mps_calls_them(
    clients, taken, started, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    for index in range(4):
        WorkerTeam(index, 1, 1, [RunFolder(tmp_path, "run")], tmp_path, 60, environment=clients)
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in started] == taken * 2


class StartedError(Exception):
    """Stands for the start of processes."""


@pytest.fixture
def division(small, no_gpu, monkeypatch, tmp_path):
    """division(launcher, cores, done): teams of three runs, processes of each, threads; and what is printed."""

    def start(launcher, cores, done=0):
        planned = plans(seeds="3")
        announce(tmp_path, planned)
        display = RunDisplay(planned, Console(file=io.StringIO()))

        def local(plans, out, jobs, size, threads, *others):
            raise StartedError(jobs, size, threads)

        def inline(*arguments, **options):
            raise StartedError(1, 1, torch.get_num_threads())

        monkeypatch.setattr(launch, "find_cores", lambda: cores)
        monkeypatch.setattr(launch, "_run_locally", local)
        monkeypatch.setattr(launch, "Executor", inline)
        closed = {plan.folder for plan in planned[:done]}
        monkeypatch.setattr(RunFolder, "verdict", lambda run: SimpleNamespace(is_closed=run.name in closed))
        before = torch.get_num_threads()
        try:
            assert launch.launch(planned, tmp_path, launcher, None, display, 60) == []
            return None, display.console.file.getvalue()
        except StartedError as started:
            return started.args, display.console.file.getvalue()
        finally:
            torch.set_num_threads(before)

    return start


@pytest.mark.parametrize(
    ("launcher", "cores", "expected", "said"),
    [
        ("local", Cores(2, 2), (2, 1, 1), "2 of 2 cores free: 2 processes of 1 thread"),
        ("local", Cores(2, 1), (1, 1, 1), "1 of 2 cores free: 1 process of 1 thread"),
        ("local", Cores(2, 2, asked=2), (1, 1, 2), "2 of 2 cores free: 1 process of 2 threads (OMP_NUM_THREADS)"),
        ("inline", Cores(2, 2), (1, 1, 2), "2 of 2 cores free: 1 process of 2 threads"),
        ("inline", Cores(2, 1), (1, 1, 1), "1 of 2 cores free: 1 process of 1 thread"),
        ("inline", Cores(2, 2, asked=1), (1, 1, 1), "2 of 2 cores free: 1 process of 1 thread (OMP_NUM_THREADS)"),
    ],
)
def test_runs_are_started_with_the_processes_and_threads_that_are_told(division, launcher, cores, expected, said):
    assert division(launcher, cores) == (expected, said + "\n")


def test_the_cores_of_runs_that_are_done_are_for_the_others(division):
    assert division("local", Cores(2, 2), done=2) == ((1, 1, 2), "2 of 2 cores free: 1 process of 2 threads\n")


@pytest.mark.parametrize("launcher", ["local", "inline"])
def test_where_all_runs_are_done_nothing_is_started(division, launcher):
    assert division(launcher, Cores(2, 2), done=3) == (None, "")


@pytest.mark.parametrize(("runs_per_gpu", "processes", "said"), [(1, 2, False), (2, 3, True)])
def test_only_runs_that_share_a_gpu_go_through_mps(runs_per_gpu, processes, said, small, monkeypatch, tmp_path):
    planned = plans(seeds="3")
    announce(tmp_path, planned)
    started: list[int] = []
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(device_count=lambda: 2, is_available=lambda: True))
    monkeypatch.setattr(launch, "_run_locally", lambda plans, out, jobs, *others: started.append(jobs))
    monkeypatch.setenv("PATH", str(tmp_path))
    display = RunDisplay(planned, Console(file=io.StringIO()))
    launch.launch(planned, tmp_path, "local", None, display, 60, runs_per_gpu=runs_per_gpu)
    assert started == [processes]
    assert ("MPS is not used: no nvidia-cuda-mps-control here" in display.console.file.getvalue()) == said
