from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.nn.losses import adaptive_threshold_loss
from bench.nn.pu_risk import PuTerms, class_priors, positive_unlabeled_risk

GOLDEN_RISKS = 22


def close(ours, expected, dtype=torch.float64):
    # Gradients of float32 are compared at the scale of the largest: most of them are 1e-4 and sums of many terms.
    tolerance = 1e-9 if dtype == torch.float64 else 1e-5
    expected = np.asarray(expected)
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def risk_of(scores, labels, priors, **changes):
    settings = {"prior_multiple": 3.0, "margin": 0.25, "scale": 0.25} | changes
    return positive_unlabeled_risk(scores, labels, priors, PuTerms(**settings))


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
