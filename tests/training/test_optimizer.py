from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.inference.document_model import DocumentModel
from bench.interface import PairModel, Training
from bench.training.optimizer import make_optimizer, set_learning_rates


class Model(PairModel):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.Linear(2, 2)
        self.memory_projection = nn.Linear(2, 2)
        self.classifier = nn.Linear(2, 2)


class SlowModel(Model):
    at_encoder_rate = ("memory.",)


def optimizer_of(cls: type[Model] = Model, frozen: tuple[str, ...] = (), **changes) -> tuple[DocumentModel, object]:
    system = DocumentModel(nn.Linear(2, 2), cls())  # type: ignore[arg-type]
    return system, make_optimizer(system, Training(encoder_lr=0.5, head_lr=2.0, **changes), frozen)


def names(system: DocumentModel, group: dict) -> set[str]:
    parameters = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in system.named_parameters() if id(parameter) in parameters}


def test_encoder_and_new_layers_are_two_groups():
    system, optimizer = optimizer_of()
    slow, fast = optimizer.param_groups
    assert names(system, slow) == {"encoder.weight", "encoder.bias"}
    assert {name.split(".")[1] for name in names(system, fast)} == {"memory", "memory_projection", "classifier"}


def test_what_a_model_wants_at_the_encoders_rate_is_in_its_group():
    system, optimizer = optimizer_of(SlowModel)
    slow, fast = optimizer.param_groups
    assert {"model.memory.weight", "model.memory.bias"} < names(system, slow)
    assert "model.memory_projection.weight" in names(system, fast)


def test_every_parameter_is_in_one_group():
    system, optimizer = optimizer_of(SlowModel)
    grouped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, system.parameters()))


def test_frozen_parameters_are_in_no_group_and_get_no_gradient():
    system, optimizer = optimizer_of(frozen=("memory.",))
    grouped = set().union(*(names(system, group) for group in optimizer.param_groups))
    assert {name for name, _ in system.named_parameters()} - grouped == {"model.memory.weight", "model.memory.bias"}
    assert not system.model.get_parameter("memory.weight").requires_grad


def test_freezing_wins_over_a_rate():
    system, optimizer = optimizer_of(SlowModel, frozen=("memory.",))
    assert names(system, optimizer.param_groups[0]) == {"encoder.weight", "encoder.bias"}


def test_a_frozen_name_that_no_parameter_has_is_an_error():
    with pytest.raises(ValueError, match="Model has no parameter whose name begins with 'memry'"):
        optimizer_of(frozen=("memry",))


def test_a_name_at_the_encoders_rate_that_no_parameter_has_is_an_error(monkeypatch):
    monkeypatch.setattr(SlowModel, "at_encoder_rate", ("reed.",))
    with pytest.raises(ValueError, match=r"'reed\.'"):
        optimizer_of(SlowModel)


def test_epsilon_and_weight_decay_are_as_given():
    _, optimizer = optimizer_of(adam_epsilon=1e-3, weight_decay=0.25)
    assert {(group["eps"], group["weight_decay"]) for group in optimizer.param_groups} == {(1e-3, 0.25)}


def shares(steps: int, warmup: float) -> list[float]:
    _, optimizer = optimizer_of()
    rates = [set_learning_rates(optimizer, step, steps, warmup) for step in range(steps + 1)]
    assert all(rate["head_lr"] == pytest.approx(4 * rate["encoder_lr"]) for rate in rates)
    return [rate["encoder_lr"] / 0.5 for rate in rates]


def test_rates_rise_to_the_peak_and_fall_to_zero_in_straight_lines():
    assert shares(10, 0.2) == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])


def test_rates_are_those_of_the_linear_schedule_of_transformers():
    from transformers import get_linear_schedule_with_warmup

    steps, warmup = 37, 0.06
    parameter = nn.Parameter(torch.zeros(1))
    theirs = torch.optim.AdamW([parameter], lr=0.5)
    schedule = get_linear_schedule_with_warmup(theirs, math.ceil(steps * warmup), steps)
    expected = []
    for _ in range(steps):
        expected.append(theirs.param_groups[0]["lr"] / 0.5)
        theirs.step()
        schedule.step()
    assert shares(steps, warmup)[:-1] == pytest.approx(expected)


def test_without_warm_up_the_first_update_has_the_peak():
    assert shares(4, 0.0) == pytest.approx([1, 0.75, 0.5, 0.25, 0])


@given(st.integers(1, 200), st.floats(0, 1))
def test_rates_stay_between_zero_and_the_peak_and_end_at_zero(steps, warmup):
    found = shares(steps, warmup)
    assert min(found) >= 0
    assert max(found) <= 1 + 1e-12
    assert found[-1] == 0 or math.ceil(steps * warmup) > steps
