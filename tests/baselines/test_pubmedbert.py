from __future__ import annotations

import pytest
import small_experiments
import torch
from token_documents import awkward_documents, document, token_states, tokens, tokens_of

from baselines.pubmedbert import (
    PubMedBert,
    PubMedBertBran,
    PubMedBertBranHyperparameters,
    PubMedBertHyperparameters,
)
from bench.interface import Task
from bench.nn.biaffine import UNMENTIONED

EXACT = {"rtol": 1e-9, "atol": 1e-12}
D = 6
TASK = Task(encoder_size=D, relations=("a", "b", "c"), label_rates=(0.1, 0.1, 0.0))


def pubmedbert():
    torch.manual_seed(0)
    return PubMedBert(PubMedBertHyperparameters(hidden_size=7), TASK).double().eval()


def pubmedbert_bran():
    torch.manual_seed(0)
    return PubMedBertBran(PubMedBertBranHyperparameters(biaffine_size=5), TASK).double().eval()


both = pytest.mark.parametrize("make", [pubmedbert, pubmedbert_bran])


def plain(model, states, documents):
    """PubMedBERT's scores pair by pair: the maximum over the tokens of each, side by side, through the perceptron."""
    rows = []
    for own, layout in zip(states, documents, strict=True):
        entities = [
            torch.stack([own[at] for at in tokens_of(layout, e)]).max(0).values
            if tokens_of(layout, e)
            else torch.zeros(D, dtype=torch.float64)
            for e in range(layout.entities)
        ]
        for h, t in layout.pairs.tolist():
            rows.append(model.out(torch.relu(model.hidden(torch.cat([entities[h], entities[t]])))))
    return torch.stack(rows)


def test_pubmedbert_is_a_perceptron_over_the_maxima_of_head_and_tail():
    model, documents = pubmedbert(), awkward_documents()
    states = [s.requires_grad_() for s in token_states(documents, D)]
    found, expected = model(tokens(documents, states)), plain(model, states, documents)
    torch.testing.assert_close(found, expected, **EXACT)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    inputs = [*states, *model.parameters()]
    found_gradients, expected_gradients = (
        torch.autograd.grad((x * weights).sum(), inputs, allow_unused=True, materialize_grads=True)
        for x in (found, expected)
    )
    for ours, theirs in zip(found_gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


def test_dropout_is_of_the_hidden_layer_in_training_only():
    model, documents = pubmedbert(), awkward_documents()
    given = tokens(documents, token_states(documents, D))
    assert torch.equal(model(given), model(given))
    model.train()
    assert not torch.equal(model(given), model(given))


def test_pubmedbert_bran_is_the_biaffine_head_on_the_encoders_states():
    model, documents = pubmedbert_bran(), awkward_documents()
    states = token_states(documents, D)
    assert model.biaffine.weight.shape == (3, 5, 5)
    assert torch.equal(model(tokens(documents, states)), model.biaffine(states, documents))


@both
def test_a_documents_scores_do_not_depend_on_the_others(make):
    model, documents = make(), awkward_documents()
    states = token_states(documents, D)
    together = model(tokens(documents, states))
    alone = [model(tokens([d], [s])) for d, s in zip(documents, states, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), **EXACT)


@both
def test_an_unmentioned_entity_gives_finite_losses_and_gradients(make):
    model = make()
    documents = [document([[(1, 3)], [], [(4, 6)]], 8)]
    states = [s.requires_grad_() for s in token_states(documents, D)]
    logits = model(tokens(documents, states))
    sum(model.loss(logits, torch.ones(6, 3, dtype=torch.bool)).values()).backward()
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(x.grad).all() for x in (*states, *model.parameters()))


def test_what_pairs_with_an_unmentioned_entity_score():
    documents = [document([[(1, 3)], []], 8)]
    given = tokens(documents, token_states(documents, D))
    assert (pubmedbert_bran()(given) == UNMENTIONED).all()
    model = pubmedbert()
    torch.testing.assert_close(model(given), plain(model, given.states, documents), **EXACT)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["pubmedbert", "pubmedbert-bran"])
def test_a_run_ends_with_the_thresholds_of_its_selected_epoch_in_its_record(name, tmp_path, monkeypatch):
    monkeypatch.setattr(small_experiments, "SMALL", ("batch_size=2", "accumulate=1", "epochs=2", "head_lr=0.01"))
    (plan,) = small_experiments.plans(name)
    assert small_experiments.execute(tmp_path, [plan]) == []
    record = small_experiments.RunFolder.of(tmp_path, plan).record()
    assert set(record.decision) == {"threshold knows", "threshold leads"}
    (stage,) = record.stages
    assert record.splits["dev"].scores.f1 == stage.dev_f1[stage.selected_epoch - 1] == max(stage.dev_f1)
