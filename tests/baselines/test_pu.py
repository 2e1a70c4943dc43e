from __future__ import annotations

import pytest
import torch

from baselines.pu import Pn, Pu, PuHyperparameters, SPu, SsrPu
from bench.interface import Task
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import PuTerms, positive_unlabeled_risk

RATES = (0.05, 0.01, 0.0)


def model_of(cls, **hyperparameters):
    torch.manual_seed(0)
    hp = PuHyperparameters(pair_size=8, block_size=4, **hyperparameters)
    return cls(hp, Task(encoder_size=6, relations=("a", "b", "c"), label_rates=RATES))


@pytest.fixture
def pairs():
    random = torch.Generator().manual_seed(0)
    entities = torch.randn(4, 6, generator=random)
    head, tail = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 2, 3, 0, 2])
    return Pairs(entities, torch.randn(5, 6, generator=random), head, tail, (5,), ())


@pytest.fixture
def labels():
    return torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0]]).bool()


@pytest.mark.parametrize(("cls", "classes"), [(SsrPu, 4), (SPu, 3), (Pu, 3), (Pn, 3)])
def test_only_the_ranking_model_has_a_threshold_class(cls, classes, pairs):
    assert model_of(cls)(pairs).shape == (5, classes)


@pytest.mark.parametrize(("cls", "estimator"), [(SsrPu, "s-pu"), (SPu, "s-pu"), (Pu, "pu"), (Pn, "pn")])
def test_the_loss_is_the_risk_of_its_estimator_over_the_stages_own_priors(cls, estimator, pairs, labels):
    model = model_of(cls, prior_multiple=3.0, margin=0.5, gamma=0.7)
    logits = model(pairs)
    scores = logits[:, 1:] - logits[:, :1] if cls is SsrPu else logits
    expected = positive_unlabeled_risk(
        scores, labels, torch.tensor(RATES) + 1e-9,
        PuTerms(prior_multiple=3.0, margin=0.5, scale=0.25, gamma=0.7, estimator=estimator),
    )  # fmt: skip
    loss = model.loss(logits, labels)
    assert list(loss) == [f"{estimator}_risk"]
    torch.testing.assert_close(loss[f"{estimator}_risk"], expected)


@pytest.mark.parametrize("cls", [SsrPu, SPu, Pu, Pn])
def test_a_relation_without_a_label_gives_finite_gradients(cls, pairs, labels):
    model = model_of(cls, prior_multiple=12.0)
    sum(model.loss(model(pairs), labels).values()).backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())


def test_ranking_decides_against_the_threshold_class_and_the_others_against_zero():
    assert model_of(SsrPu).decode(torch.tensor([[0.5, 0.4, 0.6, -1.0]])).tolist() == [[False, True, False]]
    assert model_of(SPu).decode(torch.tensor([[0.4, 0.0, -1.0]])).tolist() == [[True, False, False]]


def test_every_relation_above_the_threshold_is_predicted_however_many():
    assert model_of(SsrPu).decode(torch.tensor([[0.0, 1.0, 2.0, 3.0]])).all()


def test_the_priors_are_no_part_of_the_weights_handed_from_stage_to_stage():
    assert not any("priors" in name for name in model_of(SsrPu).state_dict())


def test_the_settings_prior_multiples_are_the_papers():
    stages = SsrPu.recipe.stages
    assert stages["human"][0].hyperparameters.get("prior_multiple", 1.0) == 1.0
    assert stages["ext"][0].hyperparameters["prior_multiple"] == 12.0
