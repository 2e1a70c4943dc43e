from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from token_documents import awkward_documents, document, token_states, tokens_of

from bench.nn import biaffine
from bench.nn.biaffine import UNMENTIONED, TokenPairBiaffine

D, R = 6, 3


@pytest.fixture
def head():
    torch.manual_seed(0)
    return TokenPairBiaffine(D, R, size=5).double()


@pytest.fixture
def documents():
    return awkward_documents()


def plain(head, states, documents):
    """The scores by the book: for every pair and relation, over every token of the head and every token of the tail."""
    rows = []
    for own, layout in zip(states, documents, strict=True):
        for h, t in layout.pairs.tolist():
            for r in range(R):
                terms = [
                    head.head(own[a]) @ head.weight[r] @ head.tail(own[b])
                    for a in tokens_of(layout, h)
                    for b in tokens_of(layout, t)
                ]
                score = torch.stack(terms).logsumexp(0) if terms else torch.tensor(UNMENTIONED, dtype=torch.float64)
                rows.append(score)
    return torch.stack(rows).view(-1, R)


def gradients(scores, inputs):
    weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1), dtype=scores.dtype)
    return torch.autograd.grad((scores * weights).sum(), inputs, allow_unused=True, materialize_grads=True)


def test_entity_tokens_are_the_pieces_between_the_markers_each_once(documents):
    for layout in documents:
        entity, token = (x.tolist() for x in layout.tokens[:2])
        expected = [(e, at) for e in range(layout.entities) for at in tokens_of(layout, e)]
        assert list(zip(entity, token, strict=True)) == expected
    assert tokens_of(documents[0], 0) == [2, 3, 4]


@pytest.mark.parametrize("block", [1, 40, 2**19])
def test_scores_and_gradients_are_those_of_all_token_pairs_one_by_one(block, head, documents, monkeypatch):
    monkeypatch.setattr(biaffine, "SCORES_PER_BLOCK", block)
    states = [s.requires_grad_() for s in token_states(documents, D)]
    found, expected = head(states, documents), plain(head, states, documents)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    inputs = [*states, *head.parameters()]
    for ours, theirs in zip(gradients(found, inputs), gradients(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_no_more_scores_than_a_block_are_held_at_once(head, documents, monkeypatch):
    held = []
    scored = biaffine._token_scores
    monkeypatch.setattr(biaffine, "_token_scores", lambda left, y: held.append(scored(left, y)) or held[-1])
    monkeypatch.setattr(biaffine, "SCORES_PER_BLOCK", 60)
    head(token_states(documents, D), documents)
    assert max(block.numel() for block in held) <= 60
    # 9 tokens of entities in the first document, one of them of two; in the second 4 of heads and 5 of tails.
    assert sum(block.numel() for block in held) == (9 * 9 + 4 * 5) * R


def test_only_the_tokens_of_entities_are_read(head, documents):
    states = token_states(documents, D)
    for own, layout in zip(states, documents, strict=True):
        inside = {at for e in range(layout.entities) for at in tokens_of(layout, e)}
        own[[at for at in range(layout.length) if at not in inside]] = torch.nan
    assert torch.isfinite(head(states, documents)).all()


def test_pairs_with_an_unmentioned_entity_have_a_score_without_gradients(head):
    documents = [document([[(1, 3)], [], [(4, 5)]], 8)]
    (states,) = (s.requires_grad_() for s in token_states(documents, D))
    scores = head([states], documents)
    assert (scores == UNMENTIONED).all()
    scores.sum().backward()
    assert not any(x.grad.any() for x in (states, *head.parameters()))


def test_the_direction_of_a_pair_matters(head, documents):
    scores = head(token_states(documents, D), documents)
    pairs = documents[0].pairs.tolist()
    assert not torch.isclose(scores[pairs.index([0, 1])], scores[pairs.index([1, 0])]).any()


def test_scores_far_beyond_what_an_exponential_holds_stay_finite(head, documents):
    states = [(1000 * s).requires_grad_() for s in token_states(documents, D)]
    found = head(states, documents)
    assert found.abs().max() > 1e4
    torch.testing.assert_close(found, plain(head, states, documents), rtol=1e-9, atol=1e-12)
    assert all(torch.isfinite(g).all() for g in gradients(found, list(head.parameters())))


def test_mixed_precision_does_not_reach_the_scores(head, documents):
    head, states = head.float(), [s.float() for s in token_states(documents, D)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head([s.bfloat16() for s in states], documents)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, head([s.bfloat16().float() for s in states], documents), rtol=0, atol=0)


def test_documents_without_candidates_give_no_rows(head):
    lonely = replace(document([[(1, 3)], [(4, 6)]], 8), pairs=torch.zeros(0, 2, dtype=torch.long))
    assert head(token_states([lonely], D), [lonely]).shape == (0, R)
