from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.pu import PuHyperparameters, SsrPu
from bench.interface import Task
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import PuTerms, positive_unlabeled_risk
from bench.registry import find
from ttmre.model import TtmRe, TtmReHyperparameters

SMALL: dict[str, Any] = {"pair_size": 32, "block_size": 8, "memory": 10, "layers": 2}


def build(task: Task, **hyperparameters: Any) -> TtmRe:
    torch.manual_seed(0)
    return TtmRe(TtmReHyperparameters(**{**SMALL, **hyperparameters}), task).double()


def swapped(pairs: Pairs) -> Pairs:
    return replace(pairs, head=pairs.tail, tail=pairs.head)


def scores_and_labels() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(40, 6, generator=generator, dtype=torch.float64)
    return logits, torch.rand(40, 5, generator=generator) < 0.1


def test_ttmre_is_registered() -> None:
    assert find("ttmre").cls is TtmRe


def test_a_pair_has_the_same_logits_whatever_its_neighbours(
    task: Task, random_pairs: Callable[..., Pairs], select: Callable[[Pairs, Tensor], Pairs]
) -> None:
    model = build(task)
    pairs = random_pairs(300)
    together = model(pairs)
    shuffled = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    for kept in (torch.tensor([123]), torch.arange(40), shuffled):
        torch.testing.assert_close(model(select(pairs, kept)), together[kept], rtol=1e-12, atol=1e-12)


def test_no_gradient_flows_from_a_pair_to_its_neighbours(task: Task, random_pairs: Callable[..., Pairs]) -> None:
    pairs = random_pairs(20)
    pairs.context.requires_grad_()
    (gradient,) = torch.autograd.grad(build(task)(pairs)[5].sum(), pairs.context)
    assert gradient[5].abs().min() > 0
    gradient[5] = 0
    assert not gradient.any()


def test_swapping_head_and_tail_changes_the_logits_through_the_memory_too(
    task: Task, random_pairs: Callable[..., Pairs]
) -> None:
    model = build(task, residual="none")
    model.features.tail.load_state_dict(model.features.head.state_dict())  # one projection: direction from memory alone
    pairs = random_pairs(20)
    assert (model(pairs) - model(swapped(pairs))).abs().amax(1).min() > 1e-6
    torch.nn.init.zeros_(model.read.pair_positions)
    torch.testing.assert_close(model(pairs), model(swapped(pairs)))  # and it is the positions that tell them apart


def test_residual_mean_averages_in_what_went_into_the_memory(task: Task, random_pairs: Callable[..., Pairs]) -> None:
    mean, none = build(task, residual="mean"), build(task, residual="none")
    pairs = random_pairs(20)
    for before, after, averaged in zip(mean.features(pairs), none.augmented(pairs), mean.augmented(pairs), strict=True):
        torch.testing.assert_close(averaged, (before + after) / 2)


def test_every_parameter_learns(task: Task, random_pairs: Callable[..., Pairs]) -> None:
    model = build(task)
    # The bias of the importance logits moves all tokens alike, and a softmax does not see it.
    model(random_pairs(20)).square().sum().backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-12]
    assert still == ["read.mlp.2.bias"]


def test_memory_frozen_by_the_recipe_keeps_its_value_while_the_rest_learns(
    task: Task, random_pairs: Callable[..., Pairs]
) -> None:
    model = build(task)
    stage = model.recipe.stages["human+distant"][-1]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(stage.freeze))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model(random_pairs(20)).square().sum().backward()
    optimizer.step()
    kept = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    # The whole memory: frozen tokens under positions that learn would be a memory that learns.
    assert kept == {"read.memory_tokens", "read.memory_positions"}


@pytest.mark.parametrize("setting", ["human", "distant", "human+distant", "ext", "ext+distant"])
def test_recipe_builds_every_stage_and_freezes_the_memory_only_after_distant_training(task: Task, setting: Any) -> None:
    for number, stage in enumerate(TtmRe.recipe.stages[setting]):
        build(task, **stage.hyperparameters)
        assert bool(stage.freeze) == (number == 1)
        expected = {"human": 1.0, "distant": 3.0, "ext": 12.0}[stage.data]
        assert TtmReHyperparameters(**stage.hyperparameters).prior_multiple == expected


def test_loss_with_the_paper_main_setting_is_the_pn_risk_exactly(task: Task) -> None:
    logits, labels = scores_and_labels()
    model = build(task)
    pn = positive_unlabeled_risk(
        logits[:, 1:] - logits[:, :1], labels, model.risk.priors, PuTerms(1.0, margin=1.0, scale=1.0, estimator="pn")
    )
    assert model.loss(logits, labels) == {"s-pu_risk": pn}


def test_loss_is_four_times_that_of_ssr_pu_at_equal_margin_and_prior(task: Task) -> None:
    logits, labels = scores_and_labels()
    ours = build(task, margin=0.25, prior_multiple=3.0).loss(logits, labels)["s-pu_risk"]
    theirs = SsrPu(PuHyperparameters(prior_multiple=3.0), task).double().loss(logits, labels)["s-pu_risk"]
    torch.testing.assert_close(ours, 4 * theirs)


def test_ttmre_pu_takes_the_unlabelled_for_a_sample_of_all_pairs(task: Task) -> None:
    logits, labels = scores_and_labels()
    model = build(task, loss="pu", prior_multiple=3.0)
    expected = positive_unlabeled_risk(
        logits[:, 1:] - logits[:, :1], labels, model.risk.priors, PuTerms(3.0, margin=1.0, scale=1.0, estimator="pu")
    )
    assert model.loss(logits, labels) == {"pu_risk": expected}


def test_decoding_keeps_every_relation_above_the_threshold_class(task: Task) -> None:
    logits = torch.tensor([[0.0, 5.0, 4.0, 3.0, 2.0, 1.0], [2.0, 2.0, 3.0, 1.0, -1.0, 0.0]])
    expected = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    assert torch.equal(build(task).decode(logits), expected)


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


@pytest.mark.parametrize(("key", "value"), [("heads", 5), ("block_size", 5)])
def test_sizes_that_do_not_divide_are_refused_naming_both(task: Task, key: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"pair_size 32 is not a multiple of {key} {value}"):
        build(task, **{key: value})
