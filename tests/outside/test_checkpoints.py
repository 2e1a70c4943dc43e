"""Files of `torch.save` that are no checkpoints, and what the mappings have names for."""

from __future__ import annotations

import argparse

import pytest
import torch

from bench.errors import UsageError
from bench.interface import Task
from bench.outside.checkpoints import read_checkpoint, sizes_in
from bench.outside.mappings import MAPPINGS, ONLY_FOR_LOSS
from bench.registry import find

STATE = {"a": torch.ones(2)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({**STATE, "args": argparse.Namespace(seed=1)}, "asks for argparse.Namespace"),
        (torch.nn.Linear(2, 2), "asks for torch.nn.modules.linear.Linear"),
        ({"model": STATE, "epoch": 3}, "found a dict with model, epoch"),
        ([{"teacher_logits": torch.ones(2)}], "found a list"),
    ],
)
def test_a_file_with_more_than_tensors_is_refused_and_says_what_is_in_it(content, said, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UsageError, match=said) as error:
        read_checkpoint(tmp_path / "a.pt")
    assert str(tmp_path / "a.pt") in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(share, tmp_path):
    torch.save({"a": torch.ones(10_000)}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match="not all of one"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_file_that_torch_did_not_write_is_refused(tmp_path):
    (tmp_path / "a.pt").write_text("# weights\n")
    with pytest.raises(UsageError, match=r"not a file of torch\.save"):
        read_checkpoint(tmp_path / "a.pt")


def test_tensors_are_read_from_files_of_old_versions_too(tmp_path):
    torch.save(STATE, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "a.pt")["a"].tolist() == [1, 1]


def test_shapes_that_contradict_each_other_tell_no_size():
    tensors = {"head_extractor.weight": torch.ones(5, 4), "bilinear.weight": torch.ones(3, 12)}
    assert sizes_in(MAPPINGS["atlop"], tensors) == {}
    assert sizes_in(MAPPINGS["atlop"], {**tensors, "head_extractor.weight": torch.ones(6, 4)}) == {
        "pair_size": 6,
        "block_size": 2,
    }


@pytest.mark.parametrize("model", MAPPINGS)
def test_every_part_of_a_model_has_a_name_in_its_program_and_what_the_program_fixes_is_its_own(model):
    cls, mapping = find(model).cls, MAPPINGS[model]
    built = cls(cls.Hyperparameters(), Task(64, ("r",), (0.0,)))
    names = {ours.format(i=i) for ours in mapping.names for i in range(built.hp.model_dump().get("axial_layers", 4))}
    parts = {name for name in built.state_dict() if not name.startswith(ONLY_FOR_LOSS)}
    assert parts == names
    assert {*mapping.fixed, *mapping.assumed} <= cls.Hyperparameters.model_fields.keys()
