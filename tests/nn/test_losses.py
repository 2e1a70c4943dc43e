from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.nn.losses import above_threshold, adaptive_focal_loss, adaptive_threshold_loss
from bench.nn.pu_risk import PuTerms, positive_unlabeled_risk


def close(ours, expected, dtype=torch.float64):
    # Gradients of float32 are compared at the scale of the largest: most of them are 1e-4 and sums of many terms.
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    expected = np.asarray(expected)
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


# Adaptive threshold


@pytest.fixture
def threshold_golden(shared_file):
    return np.load(shared_file("golden/a_b_losses.npz"), allow_pickle=False)


@pytest.mark.parametrize(("dtype", "suffix"), [(torch.float64, "f64"), (torch.float32, "f32")])
def test_adaptive_threshold_loss_and_gradient_are_the_reference_programs(threshold_golden, dtype, suffix):
    logits = torch.tensor(threshold_golden["logits"], dtype=dtype, requires_grad=True)
    labels = torch.tensor(threshold_golden["labels"][:, 1:]).bool()
    loss = adaptive_threshold_loss(logits, labels)
    loss.backward()
    close(loss, threshold_golden[f"atloss_{suffix}"], dtype)
    close(logits.grad, threshold_golden[f"atloss_grad_{suffix}"], dtype)


def test_adaptive_threshold_loss_of_each_pair_is_the_reference_programs(threshold_golden):
    logits = torch.tensor(threshold_golden["logits"])
    labels = torch.tensor(threshold_golden["labels"][:, 1:]).bool()
    rows = [adaptive_threshold_loss(row[None], label[None]) for row, label in zip(logits, labels, strict=True)]
    close(torch.stack(rows), threshold_golden["atloss_rows_f64"])


@pytest.mark.parametrize(("gamma", "case"), [(1, "gp1_gn1"), (2, "gp2_gn1"), (0, "gp0_gn0"), (1, "gp1_gn3")])
def test_adaptive_focal_loss_and_gradient_are_the_reference_programs(threshold_golden, gamma, case):
    logits = torch.tensor(threshold_golden["logits"], requires_grad=True)
    labels = torch.tensor(threshold_golden["labels"][:, 1:]).bool()
    loss = adaptive_focal_loss(logits, labels, gamma)
    loss.backward()
    close(loss, threshold_golden[f"afloss_{case}_f64"])
    close(logits.grad, threshold_golden[f"afloss_{case}_grad_f64"])


def test_adaptive_focal_loss_of_each_pair_is_the_reference_programs(threshold_golden):
    logits = torch.tensor(threshold_golden["logits"])
    labels = torch.tensor(threshold_golden["labels"][:, 1:]).bool()
    rows = [adaptive_focal_loss(row[None], label[None]) for row, label in zip(logits, labels, strict=True)]
    close(torch.stack(rows), threshold_golden["afloss_rows_f64"])


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_adaptive_focal_loss_is_finite_at_large_logits_whatever_gamma(gamma):
    logits = torch.tensor([[-1e3, 1e3, -1e3], [1e3, -1e3, 1e3]], requires_grad=True)
    loss = adaptive_focal_loss(logits, torch.tensor([[True, False], [True, True]]), gamma)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_larger_gamma_leaves_sure_positives_more_alone():
    logits, label = torch.tensor([[0.0, 2.0]]), torch.tensor([[True]])
    losses = [adaptive_focal_loss(logits, label, gamma).item() for gamma in (0.0, 1.0, 2.0)]
    assert losses[0] > losses[1] > losses[2] > torch.nn.functional.softplus(torch.tensor(-2.0)).item()


@pytest.mark.parametrize(("name", "at_most"), [("1", 1), ("3", 3), ("4", 4), ("all", None)])
def test_decoding_is_the_reference_programs_ties_included(threshold_golden, name, at_most):
    predicted = above_threshold(torch.tensor(threshold_golden["logits"]), at_most)
    np.testing.assert_array_equal(predicted.numpy(), threshold_golden[f"get_label_num{name}"][:, 1:].astype(bool))


@pytest.mark.parametrize("loss_of", [adaptive_threshold_loss, adaptive_focal_loss])
def test_a_threshold_loss_without_a_pair_is_zero(loss_of):
    logits = torch.zeros(0, 5, requires_grad=True)
    loss = loss_of(logits, torch.zeros(0, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0


def test_adaptive_threshold_loss_stays_finite_at_large_logits():
    logits = torch.tensor([[1e4, -1e4, 1e4], [-1e4, 1e4, 1e4]], requires_grad=True)
    loss = adaptive_threshold_loss(logits, torch.tensor([[True, False], [False, True]]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_losses_leave_the_callers_labels_alone(threshold_golden):
    labels = torch.tensor(threshold_golden["labels"][:, 1:]).bool()
    before = labels.clone()
    logits = torch.tensor(threshold_golden["logits"])
    adaptive_threshold_loss(logits, labels)
    adaptive_focal_loss(logits, labels)
    positive_unlabeled_risk(logits[:, 1:], labels, torch.full((96,), 0.01), PuTerms(3.0, margin=0.25, scale=0.25))
    assert torch.equal(labels, before)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), at_most=st.integers(1, 9))
def test_decoding_keeps_only_relations_above_the_threshold_and_among_the_highest(seed, at_most):
    logits = torch.randn(20, 7, generator=torch.Generator().manual_seed(seed))
    higher = (logits[:, None, :] > logits[:, 1:, None]).sum(-1)
    expected = (logits[:, 1:] > logits[:, :1]) & (higher < at_most)
    assert torch.equal(above_threshold(logits, at_most), expected)
