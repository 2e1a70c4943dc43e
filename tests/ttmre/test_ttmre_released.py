from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.interface import Task
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import PRIOR_FLOOR
from bench.registry import find
from ttmre.released import TtmReReleased, TtmReReleasedHyperparameters

PRECISIONS = [(torch.float64, 1e-9), (torch.float32, 1e-5)]
UNIT = "token_turing_machine_unit."
# The released program's parameters -> ours. Its write step and its tail projection take no part in its output.
NAMES = [
    (r"mu_encoder\.", ""),
    (r"^memory_tokens", "read.memory_tokens"),
    (rf"{UNIT}token_learner_model\.mlp1\.linear_1", "read.mlp.0"),
    (rf"{UNIT}token_learner_model\.mlp1\.linear_2", "read.mlp.2"),
    (rf"{UNIT}token_learner_model\.layernorm", "read.norm"),
    (rf"{UNIT}vit_encoder\.layers\.", "process."),
    (r"self_attn\.in_proj_", "query_key_value."),
    (r"self_attn\.out_proj", "attended"),
    (r"linear1", "feed_forward.0"),
    (r"linear2", "feed_forward.2"),
    (r"norm1", "norm_attended"),
    (r"norm2", "norm"),
    (r"head_extractor", "projection.linear"),
    (r"bilinear", "classifier"),
]


class Golden:
    """The recorded arrays whose names begin with `case`, as tensors."""

    def __init__(self, path: Path, case: str, dtype: torch.dtype) -> None:
        with np.load(path, allow_pickle=False) as arrays:
            self.arrays = {k[len(case) + 1 :]: arrays[k] for k in arrays.files if k.startswith(f"{case}.")}
        self.dtype = dtype

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.arrays[name]).to(self.dtype)

    def named_ours(self, kind: str) -> dict[str, Tensor]:
        """Parameters ("param") or their gradients ("grad") under our names."""
        found = {}
        for name in self.arrays:
            if name.startswith(f"{kind}.") and "token_add_erase_write" not in name:
                ours = name.removeprefix(f"{kind}.")
                for theirs, new in NAMES:
                    ours = re.sub(theirs, new, ours)
                found[ours] = self[name]
        return found

    def load_into(self, model: TtmReReleased) -> TtmReReleased:
        model.to(self.dtype)
        parameters = self.named_ours("param")
        if "classifier.weight" in parameters:
            parameters["classifier.weight"] = parameters["classifier.weight"].view_as(model.classifier.weight)
        missing, unexpected = model.load_state_dict(parameters, strict=False)
        assert not unexpected
        assert all(name.startswith(("projection.", "classifier.")) for name in missing)
        return model


def assert_close(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """To within `tolerance` of the largest value."""
    assert actual.shape == expected.shape
    assert (actual - expected).abs().max().item() <= tolerance * expected.abs().max().item()


def memory_module(golden: Golden, task: Task, layers: int) -> TtmReReleased:
    hp = TtmReReleasedHyperparameters(pair_size=32, block_size=16, memory=10, layers=layers)
    return golden.load_into(TtmReReleased(hp, task))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("layers", [1, 2])
def test_memory_module_equals_the_released_program(
    shared_file: Callable[[str], Path], task: Task, layers: int, dtype: torch.dtype, tolerance: float
) -> None:
    golden = Golden(shared_file("golden/f_ttm.npz"), f"L{layers}", dtype)
    model = memory_module(golden, task, layers)
    pair = golden["input"].squeeze(1).requires_grad_()

    assert_close(model.read(pair), golden["tokenlearner_out"], tolerance)
    output = model.remember(pair)
    assert_close(output, golden["output"].squeeze(1), tolerance)
    batch_first = model.process(model.read(pair))  # as `ttmre` does it: the two tokens of a pair attend to each other
    assert_close(batch_first, golden["output_if_batch_first"].squeeze(1), tolerance)

    output.backward(golden["g"].squeeze(1))
    assert pair.grad is not None
    assert_close(pair.grad, golden["grad_input"].squeeze(1), tolerance)
    gradients = golden.named_ours("grad")
    largest = max(g.abs().max().item() for g in gradients.values())  # some are 0 but for rounding
    for name, expected in gradients.items():
        got = model.get_parameter(name).grad
        assert got is not None
        assert (got - expected).abs().max().item() <= tolerance * largest, name


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("layers", [1, 2])
def test_forward_and_loss_over_two_chunks_equal_the_released_program(
    shared_file: Callable[[str], Path], layers: int, dtype: torch.dtype, tolerance: float
) -> None:
    golden = Golden(shared_file("golden/f_ttm.npz"), f"fwd{layers}", dtype)
    with np.load(shared_file("golden/c_risk.npz"), allow_pickle=False) as risk:
        rates = torch.from_numpy(risk["re_fre_dev"])
    hp = TtmReReleasedHyperparameters(pair_size=64, block_size=16, memory=200, layers=layers)
    task = Task(32, tuple(str(i) for i in range(96)), tuple(rates.tolist()))
    model = golden.load_into(TtmReReleased(hp, task))
    model.risk.priors = (rates.double() + PRIOR_FLOOR).to(dtype)
    count = len(golden["hs"])
    pairs = Pairs(
        entities=torch.cat([golden["hs"], golden["ts"]]),
        context=golden["rs"],
        head=torch.arange(count),
        tail=torch.arange(count) + count,
        sizes=(count,),
        token_attention=(),
    )

    z = model.remember(model.features(pairs))
    logits = model(pairs)
    loss = model.loss(logits, golden["labels"][:, 1:].bool())["s-pu_risk"]
    loss.backward()

    assert_close(z, torch.stack([golden["hs2"], golden["ts2"]], dim=1), tolerance)
    assert_close(logits, golden["logits"], tolerance)
    assert_close(loss, golden["loss"], tolerance)
    for name, expected in golden.named_ours("grad").items():
        got = model.get_parameter(name).grad
        assert got is not None
        assert_close(got, expected, tolerance)


def build(task: Task, **hyperparameters: Any) -> TtmReReleased:
    torch.manual_seed(0)
    hp = TtmReReleasedHyperparameters(
        **{"pair_size": 32, "block_size": 8, "memory": 10, "layers": 1, **hyperparameters}
    )
    return TtmReReleased(hp, task).double()


def test_ttmre_released_is_registered() -> None:
    assert find("ttmre-released").cls is TtmReReleased


def test_logits_depend_on_the_other_pairs_of_a_chunk_and_on_no_others(
    task: Task, random_pairs: Callable[..., Pairs]
) -> None:
    model = build(task)
    pairs = random_pairs(300)
    changed = pairs.context.clone()
    changed[5] += 1.0
    difference = (model(replace(pairs, context=changed)) - model(pairs)).abs().amax(1)
    assert difference[:256].min() > 0
    assert not difference[256:].any()


def test_a_document_has_other_logits_alone_than_in_a_batch(
    task: Task, random_pairs: Callable[..., Pairs], select: Callable[[Pairs, Tensor], Pairs]
) -> None:
    model = build(task)
    pairs = random_pairs(60)
    alone = model(select(pairs, torch.arange(20)))
    assert (alone - model(pairs)[:20]).abs().max() > 1e-4


def test_memory_does_not_know_which_token_is_the_head(task: Task) -> None:
    model = build(task, layers=2)
    pair = torch.randn(20, 2, 32, dtype=torch.float64)
    torch.testing.assert_close(model.remember(pair.flip(1)), model.remember(pair))


def test_layers_start_identical(task: Task) -> None:
    first, second = build(task, layers=2).process
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert a is not b
        assert torch.equal(a, b)


def test_memory_and_layers_learn_at_the_rate_of_the_encoder_and_never_freeze(task: Task) -> None:
    model = build(task)
    at_encoder_rate = {n.split(".")[0] for n, _ in model.named_parameters() if n.startswith(model.at_encoder_rate)}
    assert at_encoder_rate == {"read", "process"}
    assert not any(stage.freeze for stages in model.recipe.stages.values() for stage in stages)


def test_a_batch_without_pairs_has_no_logits(task: Task, random_pairs: Callable[..., Pairs]) -> None:
    assert build(task)(random_pairs(0)).shape == (0, 6)


def test_bfloat16_autocast_is_close_to_float32(task: Task, random_pairs: Callable[..., Pairs]) -> None:
    model = build(task).float()
    pairs = random_pairs(50, dtype=torch.float32)
    full = model(pairs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(pairs)
    mixed.sum().backward()
    assert mixed.dtype == torch.float32
    assert (mixed - full).abs().max() < 0.05 * full.abs().max()
