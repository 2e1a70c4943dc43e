"""Stages whose encoder is compiled. A compiler that only traces stands in for the one that takes minutes."""

from __future__ import annotations

import pytest
import torch
from small_experiments import execute, plans, results, stopped
from torch import nn

from bench.interface import Training
from bench.training.team import Alone
from bench.training.trainer import graphs_fit

CUDA = torch.device("cuda")
SETTINGS = "human+distant"


@pytest.fixture
def let_go(small, monkeypatch):
    """How often what was compiled has been let go of."""
    calls = []
    compiling, resetting = nn.Module.compile, torch.compiler.reset
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: compiling(self, backend="eager"))
    monkeypatch.setattr(torch.compiler, "reset", lambda: (calls.append(1), resetting()))
    return calls


def test_what_was_compiled_is_let_go_of_after_the_stage_and_the_next_trains_without(let_go, tmp_path):
    compiled = plans("atlop", "distant.compile=true", settings=SETTINGS)
    assert [stage.training.compile for stage in compiled[0].stages] == [True, False]
    assert execute(tmp_path, compiled) == []
    assert let_go == [1]


def test_a_compiled_run_stopped_anywhere_goes_on_to_the_same_bytes(let_go, tmp_path):
    planned = plans("atlop", "compile=true")
    assert execute(tmp_path / "whole", planned) == []
    assert stopped(tmp_path / "stopped", planned, 5)
    assert execute(tmp_path / "stopped", planned) == []
    assert results(tmp_path / "stopped", planned) == results(tmp_path / "whole", planned)


def test_a_compiled_stage_is_another_where_compiling_gives_other_numbers(small, monkeypatch):
    def keys():
        return [plans("atlop", *changes)[0].stages[0].key for changes in ((), ("compile=true",))]

    before = keys()
    monkeypatch.setattr("bench.runs.keys.COMPILED_VERSION", 1000)
    after = keys()
    assert before[0] == after[0]
    assert len({*before, *after}) == 3


@pytest.mark.parametrize(
    ("device", "group", "training", "fit"),
    [
        (CUDA, Alone(), Training(), True),
        (torch.device("cpu"), Alone(), Training(), False),
        (CUDA, object(), Training(), False),  # a team
        (CUDA, Alone(), Training(accumulate=2), False),
        (CUDA, Alone(), Training(tokens_per_batch=4096), False),
    ],
)
def test_graphs_are_recorded_where_gradients_need_last_no_longer_than_a_pass(device, group, training, fit):
    assert graphs_fit(device, group, training) == fit
