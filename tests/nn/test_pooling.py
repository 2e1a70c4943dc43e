from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.batching import Batch, DocumentLayout
from bench.nn.pooling import entity_attention, pair_attention, pool
from bench.nn.windows import DocumentEncoding

EXACT = {"rtol": 1e-9, "atol": 1e-12}


class GoldenPooling:
    """Two documents through the reference's pooling; a mention starting at or after the last position is cut."""

    def __init__(self, shared_file, layout):
        self.arrays = np.load(shared_file("golden/d_hrt.npz"), allow_pickle=False)
        meta = json.loads(shared_file("golden/d_hrt_meta.json").read_text())
        self.states = torch.tensor(self.arrays["sequence_output"], requires_grad=True)
        self.attention = torch.tensor(self.arrays["attention"], requires_grad=True)
        length = self.states.shape[1]
        self.documents = []
        for entities, pairs in zip(meta["entity_pos"], meta["hts"], strict=True):
            marked = [[start + 1 for start, _ in mentions if start + 1 < length] for mentions in entities]
            self.documents.append(layout(marked, length, pairs))
        self.cut = [
            np.array([not d.mention_position[d.mention_entity == e].numel() for e in range(d.entities)])
            for d in self.documents
        ]
        ids = torch.zeros(self.states.shape[:2], dtype=torch.long)
        self.batch = Batch(ids, ids + 1, tuple(self.documents), torch.zeros(0), ())

    def pool(self, epsilon, **options):
        encodings = [
            DocumentEncoding(states, attention[:, d.mention_position].transpose(0, 1))
            for states, attention, d in zip(self.states, self.attention, self.documents, strict=True)
        ]
        return pool(encodings, self.batch, epsilon, **options)


@pytest.fixture
def golden(shared_file, layout):
    return GoldenPooling(shared_file, layout)


def test_pooled_pairs_are_atlops(golden):
    pairs = golden.pool(1e-5)
    np.testing.assert_allclose(pairs.entities[pairs.head].detach(), golden.arrays["hs"], **EXACT)
    np.testing.assert_allclose(pairs.entities[pairs.tail].detach(), golden.arrays["ts"], **EXACT)
    np.testing.assert_allclose(pairs.context.detach(), golden.arrays["rs"], **EXACT)


def test_gradients_through_pooling_are_atlops(golden):
    pairs = golden.pool(1e-5)
    outputs = [pairs.entities[pairs.head], pairs.context, pairs.entities[pairs.tail]]
    torch.autograd.backward(outputs, [torch.tensor(golden.arrays[f"g_{name}"]) for name in ("hs", "rs", "ts")])
    np.testing.assert_allclose(golden.states.grad, golden.arrays["grad_sequence_output"], **EXACT)
    np.testing.assert_allclose(golden.attention.grad, golden.arrays["grad_attention"], **EXACT)


def test_pooled_pairs_and_their_attention_are_dreeams(golden):
    pairs = golden.pool(1e-30)
    np.testing.assert_allclose(pairs.entities[pairs.head].detach(), golden.arrays["dreeam_hs"], **EXACT)
    np.testing.assert_allclose(pairs.entities[pairs.tail].detach(), golden.arrays["dreeam_ts"], **EXACT)
    np.testing.assert_allclose(pairs.context.detach(), golden.arrays["dreeam_rs"], **EXACT)
    np.testing.assert_allclose(torch.cat(pairs.token_attention).detach(), golden.arrays["dreeam_doc_attn"], **EXACT)


def test_the_whole_grid_of_pooled_pairs_is_kd_docres(golden):
    pairs = golden.pool(1e-10, pooled_heads="sum", whole_grid=True)
    assert pairs.sizes == (49, 25)
    pooled = {"hs": pairs.entities[pairs.head], "ts": pairs.entities[pairs.tail], "rs": pairs.context}
    for name, values in pooled.items():
        for i, document in enumerate(values.detach().split(pairs.sizes)):
            expected = golden.arrays[f"kd_{name}_doc{i}"].reshape(document.shape)
            np.testing.assert_allclose(document, expected, **EXACT, err_msg=f"{name} {i}")


def test_candidates_are_where_the_whole_grid_has_the_documents_own_pairs(golden):
    pairs = golden.pool(1e-5, whole_grid=True)
    alone = golden.pool(1e-5)
    np.testing.assert_array_equal(pairs.head[pairs.candidates], alone.head)
    np.testing.assert_array_equal(pairs.tail[pairs.candidates], alone.tail)
    np.testing.assert_allclose(pairs.context[pairs.candidates].detach(), alone.context.detach(), **EXACT)


def test_a_pair_with_a_cut_entity_attends_to_nothing_under_either_normaliser(golden):
    for epsilon in (1e-5, 1e-30):
        attention = golden.pool(epsilon).token_attention
        for weights, d, cut in zip(attention, golden.documents, golden.cut, strict=True):
            with_cut = torch.tensor(cut[d.pairs.numpy()].any(1))
            assert (weights[with_cut] == 0).all()
            assert (weights[~with_cut] > 0).any(1).all()


def random_document(seed: int, entities: int, length: int) -> tuple[DocumentEncoding, DocumentLayout]:
    random = torch.Generator().manual_seed(seed)
    mentions = torch.randint(0, 3, (entities,), generator=random)  # also none
    index = torch.repeat_interleave(torch.arange(entities), mentions)
    at = torch.randint(0, length, (len(index),), generator=random)
    heads, tails = torch.meshgrid(torch.arange(entities), torch.arange(entities), indexing="ij")
    pairs = torch.stack([heads.flatten(), tails.flatten()], dim=1)[heads.flatten() != tails.flatten()]
    states = torch.randn(length, 8, generator=random)
    attention = torch.randn(len(index), 2, length, generator=random).softmax(-1)
    return DocumentEncoding(states, attention), DocumentLayout(
        "", length, entities, index, at, at + 1, pairs, torch.zeros(0)
    )


def batch_of_layouts(documents):
    return Batch(torch.zeros(len(documents), 1), torch.zeros(0), tuple(documents), torch.zeros(0), ())


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31), entities=st.integers(0, 6))
def test_pooling_is_its_definition_mention_by_mention(seed, entities):
    encoding, d = random_document(seed, entities, length=11)
    pairs = pool([encoding], batch_of_layouts([d]))
    members = [(d.mention_entity == e).nonzero()[:, 0] for e in range(entities)]
    for e, own in enumerate(members):
        marked = encoding.states[d.mention_position[own]]
        expected = marked.logsumexp(0) if len(own) else torch.zeros(8)
        torch.testing.assert_close(pairs.entities[e], expected, rtol=1e-5, atol=1e-6)
    for p, (i, j) in enumerate(d.pairs.tolist()):
        means = [encoding.attention[m].mean(0) if len(m) else torch.zeros(2, 11) for m in (members[i], members[j])]
        shared = (means[0] * means[1]).mean(0)
        expected = shared / (shared.sum() + 1e-5)
        torch.testing.assert_close(pairs.token_attention[0][p], expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(pairs.context[p], expected @ encoding.states, rtol=1e-5, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), sizes=st.lists(st.integers(0, 5), min_size=1, max_size=4))
def test_pooling_a_batch_is_pooling_each_document(seed, sizes):
    drawn = [random_document(seed + i, n, length=9 + i) for i, n in enumerate(sizes)]
    together = pool([e for e, _ in drawn], batch_of_layouts([d for _, d in drawn]))
    alone = [pool([e], batch_of_layouts([d])) for e, d in drawn]
    assert together.sizes == tuple(len(p) for p in alone)
    assert torch.equal(together.context, torch.cat([p.context for p in alone]))
    assert torch.equal(together.entities[together.head], torch.cat([p.entities[p.head] for p in alone]))
    assert torch.equal(together.entities[together.tail], torch.cat([p.entities[p.tail] for p in alone]))


def test_an_entity_without_a_surviving_mention_gives_zeros_and_finite_gradients(layout):
    d = layout([[2], [], [4, 5]], length=7)
    states = torch.randn(7, 4, requires_grad=True)
    attention = torch.rand(3, 2, 7).softmax(-1).requires_grad_()
    for epsilon in (1e-5, 1e-30):
        pairs = pool([DocumentEncoding(states, attention)], batch_of_layouts([d]), epsilon)
        with_it = (d.pairs == 1).any(1)
        assert (pairs.entities[1] == 0).all()
        assert (pairs.context[with_it] == 0).all()
        gradients = torch.autograd.grad(pairs.entities.sum() + pairs.context.sum(), [states, attention])
        assert all(torch.isfinite(g).all() for g in gradients)


def test_large_states_do_not_overflow_the_entity_embedding(layout):
    d = layout([[0, 1], [2]], length=3)
    states = torch.tensor([[200.0], [201.0], [-300.0]], requires_grad=True)
    embedding = pool([DocumentEncoding(states, torch.rand(3, 2, 3))], batch_of_layouts([d])).entities
    torch.testing.assert_close(embedding[0], states[:2].logsumexp(0))
    torch.testing.assert_close(embedding[1], states[2])


def test_pooling_computes_in_float32_what_the_encoder_gives_in_half(layout):
    d = layout([[0], [2]], length=4)
    encoding = DocumentEncoding(torch.randn(4, 6).bfloat16(), torch.rand(2, 2, 4).softmax(-1).bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pairs = pool([encoding], batch_of_layouts([d]))
    assert pairs.context.dtype == pairs.entities.dtype == pairs.token_attention[0].dtype == torch.float32


@pytest.mark.parametrize("function", ["entities", "attention", "pairs"])
def test_pooling_passes_gradcheck(layout, function):
    d = layout([[0, 3], [], [1]], length=4)
    states = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    of_mentions = torch.rand(3, 2, 4, dtype=torch.float64).softmax(-1).requires_grad_()
    checks = {
        "entities": (
            lambda s: pool([DocumentEncoding(s, of_mentions.detach())], batch_of_layouts([d])).entities,
            states,
        ),
        "attention": (lambda a: entity_attention(a, d), of_mentions),
        "pairs": (lambda a: pair_attention(a, d.pairs, 1e-5), of_mentions),
    }
    assert torch.autograd.gradcheck(*checks[function])


def test_attention_of_no_head_is_attention_to_nothing():
    attended = pair_attention(torch.zeros(2, 0, 5), torch.tensor([[0, 1], [1, 0]]), 1e-5)
    torch.testing.assert_close(attended, torch.zeros(2, 5))
