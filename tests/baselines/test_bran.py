from __future__ import annotations

import math

import pytest
import safetensors.torch
import small_experiments
import torch
from token_documents import awkward_documents, document, tokens

from baselines.bran import Bran, BranHyperparameters, sinusoids
from bench.interface import Task
from bench.nn.biaffine import UNMENTIONED

EXACT = {"rtol": 1e-9, "atol": 1e-12}
TASK = Task(encoder_size=99, relations=("a", "b", "c"), label_rates=(0.1, 0.1, 0.0), vocabulary=30)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Bran(BranHyperparameters(size=8, heads=2, filters=6, biaffine_size=5), TASK).double().eval()


def plain_states(model, ids):
    """The encoder by the book, for one document: every position, head and offset in turn."""
    length, size = len(ids), 8
    angles = [[at / 10000 ** (2 * (i // 2) / size) for i in range(size)] for at in range(length)]
    waves = [[(math.cos if i % 2 else math.sin)(a) for i, a in enumerate(row)] for row in angles]
    states = model.embedding.weight[ids] + torch.tensor(waves, dtype=torch.float32)
    for block in model.blocks:
        attended = []
        for part in range(block.heads):
            rows = slice(part * size // block.heads, (part + 1) * size // block.heads)
            query, key, value = (
                states @ w[rows].T + b[rows]
                for w, b in zip(block.query_key_value.weight.chunk(3), block.query_key_value.bias.chunk(3), strict=True)
            )
            attended.append((query @ key.T / math.sqrt(size / block.heads)).softmax(1) @ value)
        states = block.after_attention(states + block.attended(torch.cat(attended, 1)))
        narrow = torch.relu(block.narrow_in(states))
        wide = [
            block.wide.bias
            + sum(block.wide.weight[:, :, k] @ narrow[at + k - 2] for k in range(5) if 0 <= at + k - 2 < length)
            for at in range(length)
        ]
        states = block.after_convolutions(states + block.narrow_out(torch.relu(torch.stack(wide))))
    return states


def test_states_and_gradients_are_those_of_each_document_by_itself(model):
    given = tokens(awkward_documents())
    together = model.states(given.input_ids, given.attention_mask.bool())
    found, expected = [], []
    for b, d in enumerate(given.documents):
        found.append(together[b, : d.length])
        expected.append(plain_states(model, given.input_ids[b, : d.length]))
    # The positions' angles are taken in float32, here and there in another order.
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), rtol=1e-5, atol=1e-5)
    parameters = [p for name, p in model.named_parameters() if not name.startswith("biaffine")]
    weights = torch.randn(sum(map(len, found)), 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((torch.cat(x) * weights).sum(), parameters) for x in (found, expected))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_scores_are_the_biaffine_heads_on_these_states(model):
    given = tokens(awkward_documents())
    states = [
        model.states(given.input_ids[b : b + 1, : d.length], torch.ones(1, d.length, dtype=torch.bool))[0]
        for b, d in enumerate(given.documents)
    ]
    torch.testing.assert_close(model(given), model.biaffine(states, given.documents), **EXACT)


def test_a_documents_scores_do_not_depend_on_the_others_or_on_what_pads_it(model):
    documents = awkward_documents()
    together = tokens(documents)
    alone = torch.cat([model(tokens([d])) for d in documents])
    torch.testing.assert_close(model(together), alone, **EXACT)
    together.input_ids[together.attention_mask == 0] = 3
    torch.testing.assert_close(model(together), alone, **EXACT)


def test_padding_changes_no_gradient(model):
    short, long = document([[(1, 3)], [(3, 5)]], 7), document([[(1, 3)], [(3, 5)]], 15, [])
    parameters = list(model.parameters())
    alone = torch.autograd.grad(model(tokens([short])).sum(), parameters)
    padded = torch.autograd.grad(model(tokens([short, long])).sum(), parameters)
    for a, b in zip(alone, padded, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_positions_differ_and_neighbours_are_close():
    waves = sinusoids(64, 8, torch.device("cpu"))
    assert waves.shape == (64, 8)
    assert torch.equal(waves[0], torch.tensor([0.0, 1.0] * 4))
    distances = torch.cdist(waves, waves)
    assert distances[5, 6] < distances[5, 40]
    assert (distances + torch.eye(64)).min() > 0.1


def test_an_unmentioned_entity_gives_a_finite_score_loss_and_gradient(model):
    given = tokens([document([[(1, 3)], [], [(4, 6)]], 8)])
    logits = model(given)
    sum(model.loss(logits, torch.ones(6, 3, dtype=torch.bool)).values()).backward()
    unmentioned = (given.documents[0].pairs == 1).any(1)
    assert (logits[unmentioned] == UNMENTIONED).all()
    assert (logits[~unmentioned] != UNMENTIONED).all()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_a_size_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="size 8 is not a multiple of heads 3"):
        Bran(BranHyperparameters(size=8, heads=3), TASK)


SMALL = (
    "batch_size=2", "accumulate=1", "epochs=2", "head_lr=0.01",
    "size=8", "heads=2", "filters=8", "biaffine_size=8",
)  # fmt: skip


@pytest.fixture
def planned(small, monkeypatch):
    monkeypatch.setattr(small_experiments, "SMALL", SMALL)
    return small_experiments.plans("bran")


def test_a_resumed_run_has_the_same_weights_thresholds_and_record(planned, tmp_path):
    assert small_experiments.execute(tmp_path / "whole", planned) == []
    expected = small_experiments.results(tmp_path / "whole", planned)
    for after in (3, 6, 8, 10):
        out = tmp_path / str(after)
        assert small_experiments.stopped(out, planned, after, kill=after % 4 == 0, seconds=0.0)
        assert small_experiments.execute(out, planned) == []
        assert small_experiments.results(out, planned) == expected


def test_the_thresholds_of_the_selected_epoch_are_in_its_weights_and_in_the_record(planned, tmp_path):
    assert small_experiments.execute(tmp_path, planned) == []
    record = small_experiments.RunFolder.of(tmp_path, planned[0]).record()
    path = small_experiments.stage_folder(tmp_path, planned[0].stages[0]) / "selected.safetensors"
    thresholds = safetensors.torch.load_file(path)["model.thresholds"]
    assert list(record.decision.values()) == thresholds.tolist()
    assert record.decision.keys() == {"threshold knows", "threshold leads"}
    assert thresholds.abs().max() > 0
