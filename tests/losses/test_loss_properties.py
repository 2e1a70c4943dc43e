"""What holds of every loss, whatever the logits, and what the losses are of each other."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.execution.loss_checks import CHECKS, check_loss
from bench.losses.amtl import blocks_of
from bench.losses.contrastive import contrastive_term, cosines, product_cosines
from bench.losses.interface import Loss
from bench.nn.losses import above_threshold, adaptive_threshold_loss
from bench.registry import LOSS, find_loss, registered

REQUIRED = {"atgl": {"alpha": 6.0}}
SHIFT_INVARIANT = ["atl", "afl", "atgl", "sat", "mean-sat", "hinge-abl", "aml", "ncrl", "pmt-em", "ssr-pu"]
RELATIONS = 9


def made(name: str, relations: int = RELATIONS, **hyperparameters) -> Loss:
    cls = find_loss(name).cls
    given = REQUIRED.get(name, {}) | hyperparameters
    return cls(cls.Hyperparameters(**given), [1 / (3 + r) for r in range(relations)])


def total(loss: Loss, logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack(list(loss(logits, labels).values())).sum()


def drawn(seed: int, loss: Loss, scale: float = 2.0, pairs: int = 7) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    columns = type(loss).threshold_columns(loss.hp) + RELATIONS
    labels = torch.rand(pairs, RELATIONS, generator=draw) < 0.3
    labels[0] = False
    return torch.randn(pairs, columns, generator=draw) * scale, labels


@pytest.mark.parametrize("name", sorted(registered(LOSS)))
def test_every_registered_loss_passes_the_checks(name):
    cls = find_loss(name).cls
    findings = list(check_loss(cls, cls.Hyperparameters(**REQUIRED.get(name, {}))))
    assert [(finding.claim, finding.detail) for finding in findings if not finding.holds] == []
    assert len(findings) == len(CHECKS) + 1


@pytest.mark.parametrize("name", sorted(registered(LOSS)))
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-6, 1.0, 1e2, 1e4]))
@settings(max_examples=10, deadline=None)
def test_value_and_gradient_are_finite_in_float32_whatever_the_size_of_logits(name, seed, scale):
    loss = made(name)
    logits, labels = drawn(seed, loss, scale)
    value = total(loss, logits.requires_grad_(), labels)
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", SHIFT_INVARIANT)
@given(seed=st.integers(0, 10**6), shift=st.floats(-50, 50))
@settings(max_examples=10, deadline=None)
def test_a_shift_of_all_logits_of_a_pair_changes_neither_loss_nor_decision(name, seed, shift):
    loss = made(name)
    logits, labels = (part.double() if part.is_floating_point() else part for part in drawn(seed, loss))
    assert total(loss, logits + shift, labels).item() == pytest.approx(total(loss, logits, labels).item(), rel=1e-9)
    assert torch.equal(loss.decode(logits + shift), loss.decode(logits))


@pytest.mark.parametrize("name", sorted(registered(LOSS)))
def test_gradients_are_those_of_differences(name):
    loss = made(name)
    logits, labels = drawn(3, loss, scale=1.0, pairs=3)
    assert torch.autograd.gradcheck(lambda f: total(loss, f, labels), logits.double().requires_grad_())


# What the losses are of each other


def test_sat_is_ncrl_without_its_extras_and_pmt_em_without_entropies():
    logits, labels = drawn(0, made("sat"))
    expected = total(made("sat"), logits.double(), labels)
    for same in (made("ncrl", regularise=False), made("pmt-em", lambda_1=0.0, lambda_2=0.0)):
        torch.testing.assert_close(total(same, logits.double(), labels), expected, rtol=1e-12, atol=0)


def test_hinge_abl_with_a_large_margin_is_mean_sat():
    logits, labels = drawn(0, made("sat"))
    torch.testing.assert_close(
        total(made("hinge-abl", margin=1e9), logits.double(), labels),
        total(made("mean-sat"), logits.double(), labels),
        rtol=1e-7,
        atol=0,
    )


def test_atgl_of_pairs_without_a_label_is_atl():
    loss = made("atgl")
    logits, labels = drawn(0, loss)
    none = torch.zeros_like(labels)
    torch.testing.assert_close(total(loss, logits, none), adaptive_threshold_loss(logits, none))


def test_atgl_pulls_every_margin_of_a_positive_to_log_alpha():
    loss, labels = made("atgl", alpha=6.0), torch.zeros(1, RELATIONS, dtype=torch.bool)
    labels[0, :3] = True
    logits = torch.full((1, RELATIONS + 1), -100.0, dtype=torch.float64)
    logits[0, 0], logits[0, 1:4] = 0.0, math.log(6.0)
    logits.requires_grad_()
    total(loss, logits, labels).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-9


def test_weights_of_hinge_abl_push_easy_negatives_up_unless_they_are_detached():
    logits = torch.tensor([[0.0, 1.0, -4.0]], dtype=torch.float64, requires_grad=True)
    labels = torch.zeros(1, 2, dtype=torch.bool)
    signs = []
    for detach in (False, True):
        (gradient,) = torch.autograd.grad(total(made("hinge-abl", 2, detach_weights=detach), logits, labels), logits)
        signs.append(gradient[0, 2].sign().item())
    assert signs == [-1.0, 1.0]


# Several thresholds


def test_blocks_are_cut_by_frequency_and_in_proportion():
    assert blocks_of([0.1, 0.4, 0.2, 0.3, 0.0, 0.05], (1, 2)).tolist() == [1, 0, 1, 0, 1, 1]


def test_blocks_without_a_relation_are_refused():
    with pytest.raises(ValueError, match="leave one of them without any of 3 relations"):
        blocks_of([0.1, 0.2, 0.3], (10, 20, 46, 20))


def test_amtl_decides_by_each_blocks_own_threshold_or_by_what_all_share():
    logits = torch.tensor([[0.0, 3.0, 1.0, 1.0, 2.0, 2.0]])
    own = made("amtl", 4, blocks=(1, 1), at_most=None)
    assert own.decode(logits).tolist() == [[True, True, False, False]]
    shared = made("amtl", 4, blocks=(1, 1), divisor=2.0, decode_threshold="shared", at_most=None)
    assert shared.decode(logits).tolist() == [[False, False, True, True]]


def test_balanced_softmax_decides_against_zero_whatever_the_class_none_has():
    loss = made("balanced-softmax", 2)
    assert loss.decode(torch.tensor([[5.0, 1.0, -1.0], [-9.0, -1.0, 0.0]])).tolist() == [[True, False], [False, False]]
    assert loss.against == "0"


def test_decisions_of_a_single_threshold_are_those_of_models():
    loss = made("sat")
    logits, _ = drawn(5, loss, pairs=50)
    assert torch.equal(loss.decode(logits), above_threshold(logits, at_most=4))


# The contrastive term


def test_cosines_of_products_are_those_of_the_products_made_whole():
    draw = torch.Generator().manual_seed(0)
    head, tail = (torch.randn(5, 12, generator=draw, dtype=torch.float64) for _ in range(2))
    whole = torch.einsum("pgi,pgj->pgij", head.unflatten(1, (3, 4)), tail.unflatten(1, (3, 4))).flatten(1)
    torch.testing.assert_close(product_cosines(head, tail, 3), cosines(whole @ whole.T))
    torch.testing.assert_close(product_cosines(head, tail, 3).diagonal(), torch.ones(5, dtype=torch.float64))


def test_a_pair_without_features_is_like_none_and_has_a_finite_gradient():
    head = torch.zeros(3, 4, requires_grad=True)
    value = contrastive_term(product_cosines(head, torch.ones(3, 4), 2), torch.tensor([[True], [True], [False]]), 2, 1)
    value.backward()
    assert value.isfinite()
    assert head.grad is not None
    assert head.grad.isfinite().all()


@pytest.mark.parametrize("pairs", [0, 1])
def test_the_contrastive_term_of_less_than_two_pairs_is_nothing(pairs):
    features = torch.ones(pairs, 4, requires_grad=True)
    value = contrastive_term(product_cosines(features, features, 2), torch.ones(pairs, 1, dtype=torch.bool), 2, 1)
    assert value.item() == 0
