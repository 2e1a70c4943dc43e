from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.nn.losses import (
    above_threshold,
    adaptive_focal_loss,
    adaptive_threshold_loss,
    class_priors,
    positive_unlabeled_risk,
)

GOLDEN_RISKS = 22


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
    risk_of(logits[:, 1:], labels, torch.full((96,), 0.01))
    assert torch.equal(labels, before)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), at_most=st.integers(1, 9))
def test_decoding_keeps_only_relations_above_the_threshold_and_among_the_highest(seed, at_most):
    logits = torch.randn(20, 7, generator=torch.Generator().manual_seed(seed))
    higher = (logits[:, None, :] > logits[:, 1:, None]).sum(-1)
    expected = (logits[:, 1:] > logits[:, :1]) & (higher < at_most)
    assert torch.equal(above_threshold(logits, at_most), expected)


# Positive-unlabelled risks


def risk_of(scores, labels, priors, **changes):
    settings = {"prior_multiple": 3.0, "margin": 0.25, "scale": 0.25} | changes
    return positive_unlabeled_risk(scores, labels, priors, **settings)


class GoldenRisk:
    def __init__(self, shared_file, number):
        arrays = np.load(shared_file("golden/c_risk.npz"), allow_pickle=False)
        self.case = json.loads(shared_file("golden/c_risk_cases.json").read_text())[number]
        self.of = lambda key: arrays[f"{self.case['name']}__{key}"]
        self.logits = arrays[self.case["logits"].removesuffix("[:,1:]")]
        self.labels = torch.tensor(arrays[self.case["labels"]][:, 1:]).bool()
        self.priors = torch.tensor(arrays[self.case["priors"]])
        self.settings = {
            "prior_multiple": self.case["e"],
            "margin": self.case["m"],
            "scale": 1.0 if self.case["repo"] == "TTMRE" else 0.25,
            "estimator": self.case["m_tag"].lower(),
            "beta": self.case.get("beta", 0.0),
            "gamma": self.case.get("gamma", 1.0),
        }

    def scores(self, logits):
        return logits[:, 1:] - logits[:, :1] if self.case["isrank"] else logits[:, 1:]


@pytest.fixture(params=range(GOLDEN_RISKS))
def golden_risk(request, shared_file):
    return GoldenRisk(shared_file, request.param)


def test_the_golden_set_has_no_more_risks_than_are_tested(shared_file):
    assert len(json.loads(shared_file("golden/c_risk_cases.json").read_text())) == GOLDEN_RISKS


@pytest.mark.parametrize(("dtype", "suffix"), [(torch.float64, ""), (torch.float32, "_f32")])
def test_risk_and_gradient_are_the_reference_programs(golden_risk, dtype, suffix):
    logits = torch.tensor(golden_risk.logits, dtype=dtype, requires_grad=True)
    risk = risk_of(golden_risk.scores(logits), golden_risk.labels, golden_risk.priors, **golden_risk.settings)
    risk.backward()
    close(risk, golden_risk.of(f"loss{suffix}"), dtype)
    if golden_risk.case["isrank"]:
        close(logits.grad, golden_risk.of("grad"), dtype)
    else:
        close(logits.grad[:, 1:], golden_risk.of("grad"), dtype)


def test_each_class_is_corrected_where_the_reference_programs_correct_it(golden_risk):
    scores = golden_risk.scores(torch.tensor(golden_risk.logits))
    classes = [
        risk_of(scores[:, [i]], golden_risk.labels[:, [i]], golden_risk.priors[[i]], **golden_risk.settings)
        for i in range(scores.shape[1])
    ]
    negative, positive = golden_risk.of("risk1"), golden_risk.of("risk2")
    corrected = negative < golden_risk.settings["beta"]
    assert corrected.sum() == golden_risk.case["clamped_classes"]
    close(torch.stack(classes), np.where(corrected, -golden_risk.settings["gamma"] * negative, negative + positive))


@pytest.fixture
def drawn():
    random = torch.Generator().manual_seed(1)
    scores = torch.randn(40, 6, generator=random, dtype=torch.float64)
    labels = torch.rand(40, 6, generator=random) < 0.2
    labels[:, 5] = False
    priors = torch.tensor([0.2, 0.15, 0.1, 0.05, 0.01, 0.0], dtype=torch.float64) + 1e-9
    return scores, labels, priors


def test_s_pu_with_prior_multiple_1_is_pn(drawn):
    s_pu = risk_of(*drawn, prior_multiple=1.0, estimator="s-pu")
    torch.testing.assert_close(s_pu, risk_of(*drawn, prior_multiple=1.0, estimator="pn"), rtol=1e-15, atol=0)


@pytest.mark.parametrize("estimator", ["s-pu", "pu", "pn"])
def test_scale_1_is_four_times_scale_a_quarter(drawn, estimator):
    whole, quarter = (risk_of(*drawn, scale=s, estimator=estimator) for s in (1.0, 0.25))
    torch.testing.assert_close(whole, 4 * quarter, rtol=1e-15, atol=0)


@pytest.mark.parametrize("estimator", ["s-pu", "pu", "pn"])
def test_a_class_without_labels_gives_a_finite_risk_and_gradient(drawn, estimator):
    scores, labels, priors = drawn
    scores = scores.float().requires_grad_()
    risk = risk_of(scores, labels & False, priors.float() * 0 + 1e-9, prior_multiple=12.0, estimator=estimator)
    risk.backward()
    assert torch.isfinite(risk)
    assert torch.isfinite(scores.grad).all()


def test_clamping_and_ascent_agree_where_no_class_is_overfitted(drawn):
    scores, labels, priors = drawn
    scores = scores * 0.1
    ascent, clamp = (risk_of(scores, labels, priors, nn_correction=c) for c in ("ascent", "clamp"))
    torch.testing.assert_close(ascent, clamp, rtol=0, atol=0)


def test_an_overfitted_class_ascends_or_keeps_its_positive_risk_alone():
    labels = torch.tensor([[True], [False]])
    scores = torch.tensor([[2.0], [-0.25]], dtype=torch.float64)  # so sure of both that the negative risk is below 0
    priors = torch.tensor([0.3], dtype=torch.float64)
    negative = -0.9 * 0.25 * (2.0 + 0.25) ** 2
    positive = 0.9 * (0.1 / 0.9) ** 0.5 * 0.25 * (2.0 - 0.25) ** 2
    settings = {"prior_multiple": 3.0, "estimator": "pu"}
    ascent = risk_of(scores, labels, priors, nn_correction="ascent", **settings)
    clamp = risk_of(scores, labels, priors, nn_correction="clamp", **settings)
    torch.testing.assert_close(ascent.item(), -negative)
    torch.testing.assert_close(clamp.item(), positive)


def test_without_the_class_weight_positives_count_by_their_prior():
    labels, scores = torch.tensor([[True]]), torch.tensor([[0.0]], dtype=torch.float64)
    risk = risk_of(scores, labels, torch.tensor([0.2]), class_weight=False, estimator="pn", prior_multiple=1.0)
    torch.testing.assert_close(risk.item(), 0.2 * 0.25 * 0.25**2, rtol=1e-6, atol=0)


@settings(deadline=None)
@given(seed=st.integers(0, 2**31), estimator=st.sampled_from(["s-pu", "pu", "pn"]))
def test_the_order_of_pairs_does_not_matter(seed, estimator):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(15, 4, generator=random, dtype=torch.float64)
    labels = torch.rand(15, 4, generator=random) < 0.3
    order = torch.randperm(15, generator=random)
    priors = torch.full((4,), 0.1, dtype=torch.float64)
    risk, shuffled = (
        risk_of(s, la, priors, estimator=estimator) for s, la in ((scores, labels), (scores[order], labels[order]))
    )
    torch.testing.assert_close(risk, shuffled)
    with_threshold = torch.cat([torch.zeros(15, 1, dtype=torch.float64), scores], dim=1)
    torch.testing.assert_close(
        adaptive_threshold_loss(with_threshold, labels), adaptive_threshold_loss(with_threshold[order], labels[order])
    )


def test_a_prior_that_is_no_probability_is_refused_with_both_its_factors():
    with pytest.raises(ValueError, match=r"prior_multiple 12 times the most frequent relation's rate 0\.100"):
        class_priors([0.01, 0.1], prior_multiple=12)


def test_a_class_without_labels_has_a_prior_above_zero():
    assert class_priors([0.0, 0.1], prior_multiple=3.0).min() > 0
