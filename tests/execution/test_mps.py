"""NVIDIA's MPS, with a script in the place of its control program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_slurm import path_with

from bench.execution import mps
from bench.execution.mps import sharing_gpus

# Like NVIDIA's: -d begins a daemon that is found by its pipes, and keeps open what it was given to print to; what is
# asked comes from standard input.
PROGRAM = """#!/bin/sh
WORLD="{world}"
pipes="${{CUDA_MPS_PIPE_DIRECTORY:-$WORLD/everybody}}"
if [ "$1" = -d ]; then
    echo "started for GPUs ${{CUDA_VISIBLE_DEVICES-all}}, logs in $CUDA_MPS_LOG_DIRECTORY" >> "$WORLD/said"
    [ -e "$WORLD/broken" ] && {{ echo "An instance of this daemon is already running" >&2; exit 1; }}
    touch "$pipes/alive"
    while [ -e "$pipes/alive" ]; do sleep 0.02; done &
    exit
fi
read what
[ -e "$pipes/alive" ] || {{ echo "Cannot find MPS control daemon process" >&2; exit 1; }}
[ "$what" = quit ] && {{ echo "ended" >> "$WORLD/said"; rm "$pipes/alive"; }}
exit 0
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the program on PATH; `said` has what the daemon did. A GPU is reached wherever a daemon answers."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "everybody").mkdir()
    program = tmp_path / "bin" / mps.CONTROL
    program.write_text(PROGRAM.format(world=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", path_with(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    monkeypatch.setattr(mps, "reaches_a_gpu", lambda environment: True)
    return tmp_path


def shared() -> tuple[dict[str, str], list[str]]:
    """What is added to the environment, and what is said of it."""
    said: list[str] = []
    with sharing_gpus(said.append) as environment:
        if pipes := environment.get("CUDA_MPS_PIPE_DIRECTORY"):
            assert (Path(pipes) / "alive").exists()
    return environment, said


def done(world: Path) -> list[str]:
    path = world / "said"
    return path.read_text().splitlines() if path.exists() else []


def test_a_daemon_is_started_in_a_folder_of_its_own_and_ended(world):
    environment, said = shared()
    assert said == ["MPS is used"]
    started, ended = done(world)
    assert started == f"started for GPUs all, logs in {environment['CUDA_MPS_LOG_DIRECTORY']}"
    assert ended == "ended"
    assert not Path(environment["CUDA_MPS_PIPE_DIRECTORY"]).exists()


@pytest.mark.parametrize(("visible", "called"), [("2", "0"), ("2,3", "0,1"), ("GPU-5fa1b2c3", "0")])
def test_the_gpus_of_the_daemon_are_called_by_their_place_in_it(visible, called, world, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    environment, _ = shared()
    assert done(world)[0].startswith(f"started for GPUs {visible},")
    assert environment["CUDA_VISIBLE_DEVICES"] == called


def test_a_daemon_that_answers_already_is_used_and_left_running(world):
    (world / "everybody" / "alive").touch()
    assert shared() == ({}, ["MPS is used: a daemon answers already"])
    assert done(world) == []
    assert (world / "everybody" / "alive").exists()


def test_a_daemon_that_cannot_be_started_is_done_without_and_says_why(world):
    (world / "broken").touch()
    environment, (said,) = shared()
    assert environment == {}
    assert "does not answer (An instance of this daemon is already running)" in said


def test_a_daemon_through_which_no_gpu_is_reached_is_ended_before_anybody_uses_it(world, monkeypatch):
    monkeypatch.setattr(mps, "reaches_a_gpu", lambda environment: "CUDA_MPS_PIPE_DIRECTORY" not in environment)
    environment, (said,) = shared()
    assert environment == {}
    assert "no GPU is reached through it" in said
    assert done(world)[-1] == "ended"


def test_a_program_that_cannot_be_executed_is_done_without(world):
    (world / "bin" / mps.CONTROL).write_bytes(b"\x7fELF but not really")
    environment, (said,) = shared()
    assert environment == {}
    assert said.startswith("MPS is not used: nvidia-cuda-mps-control cannot be started")


def test_without_the_program_it_is_said_that_processes_take_turns(world):
    (world / "bin" / mps.CONTROL).unlink()
    assert shared() == ({}, ["MPS is not used: no nvidia-cuda-mps-control here; processes on one GPU take turns"])


def test_the_daemon_is_ended_when_what_used_it_fails(world):
    with pytest.raises(ValueError, match="no luck"), sharing_gpus(lambda line: None):
        raise ValueError("no luck")
    assert done(world)[-1] == "ended"


def test_where_there_is_no_driver_no_gpu_is_reached(monkeypatch):
    assert not mps.reaches_a_gpu({**os.environ, "CUDA_VISIBLE_DEVICES": ""})
