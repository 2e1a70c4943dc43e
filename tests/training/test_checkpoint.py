from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from bench.filesystem import DamagedFileError, load_state
from bench.nn.weights import load_tensors, save_tensors
from bench.training.checkpoint import Checkpoints


def trained(steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        model(torch.ones(5, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    save_tensors(path, {"a": torch.arange(4.0)}, {"step": 3, "history": [12.5]})
    return path


def test_tensors_and_state_come_back(saved):
    tensors, state = load_tensors(saved)
    assert torch.equal(tensors["a"], torch.arange(4.0))
    assert (state["step"], state["history"]) == (3, [12.5])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data(), name=st.sampled_from(["some.safetensors", "some.json"]))
def test_a_flipped_bit_anywhere_is_detected_or_harmless(data, name, saved):
    path = saved.with_name(name)
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) * 8 - 1))
    flipped = bytearray(content)
    flipped[at // 8] ^= 1 << at % 8
    path.write_bytes(bytes(flipped))
    try:
        tensors, state = load_tensors(saved)
    except DamagedFileError:
        pass
    else:  # white space
        assert (tensors["a"].tolist(), state["step"], state["history"]) == ([0, 1, 2, 3], 3, [12.5])
    finally:
        path.write_bytes(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(["some.safetensors", "some.json"]))
def test_a_truncated_file_is_detected(data, name, saved):
    path = saved.with_name(name)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 2))])
    try:
        with pytest.raises(DamagedFileError):
            load_tensors(saved)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("content", ["", "null", "[]", "7", '"text"', '{"sha256": 1}', "[" * 100_000, "9" * 5000])
def test_a_description_that_is_something_else_is_damage_not_a_crash(content, saved):
    saved.with_suffix(".json").write_text(content)
    with pytest.raises(DamagedFileError, match="no readable description"):
        load_state(saved)


def test_tensors_without_a_description_are_none(saved):
    saved.with_suffix(".json").unlink()
    with pytest.raises(DamagedFileError):
        load_tensors(saved)


def test_a_description_without_tensors_is_damage(saved):
    saved.unlink()
    with pytest.raises(DamagedFileError):
        load_tensors(saved)


def test_the_description_of_other_tensors_is_damage(saved, tmp_path):
    other = tmp_path / "other.safetensors"
    save_tensors(other, {"a": torch.zeros(4)}, {})
    saved.write_bytes(other.read_bytes())
    with pytest.raises(DamagedFileError):
        load_tensors(saved)


def test_tied_weights_can_be_saved(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    save_tensors(tmp_path / "tied.safetensors", {"a": shared, "b": shared, "c": shared[1:]}, {})
    tensors, _ = load_tensors(tmp_path / "tied.safetensors")
    assert same(tensors, {"a": shared, "b": shared, "c": shared[1:]})


def test_views_empty_tensors_and_other_types_can_be_saved(tmp_path):
    given = {"t": torch.arange(6).reshape(2, 3).t(), "none": torch.empty(0), "half": torch.ones(2).bfloat16()}
    save_tensors(tmp_path / "x.safetensors", given, {})
    assert same(load_tensors(tmp_path / "x.safetensors")[0], given)


def test_a_checkpoint_restores_weights_and_moments_to_the_bit(tmp_path):
    model, optimizer = trained(steps=3)
    Checkpoints(tmp_path).save(3, model, optimizer, {"history": []})
    other, other_optimizer = trained(steps=0)
    state = Checkpoints(tmp_path).load(other, other_optimizer)
    assert state is not None
    assert state["step"] == 3
    assert same(model.state_dict(), other.state_dict())
    for i, moments in optimizer.state_dict()["state"].items():
        assert same(moments, other_optimizer.state_dict()["state"][i])


def test_a_parameter_that_never_had_a_gradient_is_no_obstacle(tmp_path):
    model, _ = trained(steps=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model[1](torch.ones(1, 4)).sum().backward()  # nothing reaches the first layer
    optimizer.step()
    Checkpoints(tmp_path).save(1, model, optimizer, {})
    other, other_optimizer = trained(steps=0)
    assert Checkpoints(tmp_path).load(other, other_optimizer) is not None
    assert other_optimizer.state_dict()["state"].keys() == optimizer.state_dict()["state"].keys()


def test_the_newest_two_are_kept(tmp_path):
    model, optimizer = trained()
    for step in (1, 2, 10, 9_999_999_999):
        Checkpoints(tmp_path).save(step, model, optimizer, {})
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert names == ["step-00000010.safetensors", "step-9999999999.safetensors"]


def test_the_one_before_a_damaged_one_is_used_and_the_damage_told(tmp_path):
    model, optimizer = trained()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, optimizer, {})
    checkpoints.save(2, model, optimizer, {})
    (tmp_path / "step-00000002.safetensors").write_bytes(b"")
    state = checkpoints.load(model, optimizer)
    assert state is not None
    assert state["step"] == 1
    assert len(checkpoints.damaged) == 1


def test_without_any_that_can_be_read_there_is_none(tmp_path):
    model, optimizer = trained()
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load(model, optimizer) is None
    checkpoints.save(1, model, optimizer, {})
    (tmp_path / "step-00000001.json").write_text("{")
    assert checkpoints.load(model, optimizer) is None


def test_what_lies_about_in_the_folder_is_not_taken_for_a_checkpoint(tmp_path):
    model, optimizer = trained()
    (tmp_path / ".step-00000009.safetensors.x.tmp").write_bytes(b"half")
    (tmp_path / "step-00000009.json").write_text(json.dumps({"state": {}}))
    (tmp_path / "step-new.safetensors").write_bytes(b"")
    assert Checkpoints(tmp_path).load(model, optimizer) is None


def test_those_of_no_use_are_dropped_and_counted(tmp_path):
    model, optimizer = trained()
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, model, optimizer, {"history": []})
    checkpoints.save(2, model, optimizer, {"history": [1.0]})
    assert checkpoints.drop(lambda state: bool(state["history"])) == 1
    state = checkpoints.load(model, optimizer)
    assert state is not None
    assert state["step"] == 1
