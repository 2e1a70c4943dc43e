from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from baselines.atlop import Atlop, AtlopHyperparameters
from bench.interface import Task
from bench.nn.pooling import Pairs

EXACT = {"rtol": 1e-9, "atol": 1e-12}
PARAMETERS = {
    "features.head.linear.weight": "head_extractor.weight",
    "features.head.linear.bias": "head_extractor.bias",
    "features.tail.linear.weight": "tail_extractor.weight",
    "features.tail.linear.bias": "tail_extractor.bias",
    "classifier.weight": "bilinear.weight",
    "classifier.bias": "bilinear.bias",
}


@pytest.fixture
def golden(shared_file):
    return np.load(shared_file("golden/e_head_atlop.npz"), allow_pickle=False)


@pytest.fixture
def model(golden):
    task = Task(encoder_size=32, relations=tuple(f"r{i}" for i in range(96)), label_rates=(0.01,) * 96)
    model = Atlop(AtlopHyperparameters(pair_size=64, block_size=16), task).double()
    for ours, theirs in PARAMETERS.items():
        parameter = model.get_parameter(ours)
        parameter.data = torch.tensor(golden[f"param.{theirs}"]).view_as(parameter)
    return model


@pytest.fixture
def pairs(golden):
    """The reference's pairs, each with its own two entities: the head does not care that they repeat."""
    n = len(golden["hs"])
    return Pairs(
        entities=torch.tensor(np.concatenate([golden["hs"], golden["ts"]])),
        context=torch.tensor(golden["rs"]),
        head=torch.arange(n),
        tail=torch.arange(n, 2 * n),
        sizes=(n,),
        token_attention=(),
    )


@pytest.fixture
def labels(golden):
    return torch.tensor(golden["labels"][:, 1:]).bool()


def test_the_model_has_the_reference_programs_parameters_and_no_others(model):
    assert {name for name, _ in model.named_parameters()} == set(PARAMETERS)


def test_pair_features_are_the_reference_programs(golden, model, pairs):
    head, tail = model.features(pairs)
    np.testing.assert_allclose(head.detach(), golden["zs"], **EXACT)
    np.testing.assert_allclose(tail.detach(), golden["zo"], **EXACT)


def test_logits_are_the_reference_programs(golden, model, pairs):
    np.testing.assert_allclose(model(pairs).detach(), golden["logits"], **EXACT)


def test_loss_and_gradients_are_the_reference_programs(golden, model, pairs, labels):
    logits = model(pairs)
    logits.retain_grad()
    loss = sum(model.loss(logits, labels).values())
    loss.backward()
    np.testing.assert_allclose(loss.item(), golden["loss_f64"], rtol=1e-9)
    np.testing.assert_allclose(loss.item(), golden["loss"], rtol=1e-6)
    np.testing.assert_allclose(logits.grad, golden["grad_logits_f64"], **EXACT)


def test_gradients_of_the_parameters_are_the_reference_programs(golden, model, pairs, labels):
    # The reference computes its loss in float32, so these gradients passed through float32 logits.
    sum(model.loss(model(pairs).float(), labels).values()).backward()
    for ours, theirs in PARAMETERS.items():
        expected = golden[f"grad.{theirs}"]
        gradient = model.get_parameter(ours).grad.reshape(expected.shape)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max(), err_msg=ours)


def test_predictions_are_the_reference_programs(golden, model, pairs):
    predicted = model.decode(model(pairs))
    np.testing.assert_array_equal(predicted.numpy(), golden["pred_num4"][:, 1:].astype(bool))


def test_num_labels_limits_the_predictions(model):
    logits = torch.arange(97.0).flip(0)[None].double()
    logits[:, 0] = -1
    assert model.decode(logits).sum() == 4


def test_the_recipe_trains_on_distant_documents_before_the_annotated():
    stages = Atlop.recipe.stages
    assert [stage.data for stage in stages["human+distant"]] == ["distant", "human"]
    assert [stage.data for stage in stages["ext+distant"]] == ["distant", "ext"]
    assert json.loads(Atlop.recipe.model_dump_json())["stages"].keys() == stages.keys()
