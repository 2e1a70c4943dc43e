"""The processes of the local launcher: where they are started, and that they are not started for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bench.launch import local as launch
from bench.launch.local import WorkerTeam
from bench.runs.run_folder import RunFolder


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
    return WorkerTeam(0, 1, 2, [RunFolder(out, "run")], out, 60)


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
