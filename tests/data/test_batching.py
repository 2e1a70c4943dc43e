from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.batching import collate, evaluation_order, order_within, training_order, training_order_within
from bench.data.features.build import Features
from bench.data.formats.docred import read_documents

LENGTHS = st.lists(st.integers(3, 1024), max_size=200).map(np.array)


def features(entities, labels=(), length=8, mentions=None, evidence=None, pairs=None, types=None, words=None):
    mentions = [(e, 1 + e) for e in range(entities)] if mentions is None else mentions
    return Features(
        title=f"{entities} entities",
        input_ids=np.arange(10, 10 + length, dtype=np.int32),
        mention_entity=np.array([e for e, _ in mentions], dtype=np.int32),
        mention_position=np.array([p for _, p in mentions], dtype=np.int32),
        mention_end=np.array([p + 1 for _, p in mentions], dtype=np.int32),
        entities=entities,
        mentions_cut=0,
        labels=np.array(labels, dtype=np.int32).reshape(-1, 3),
        evidence=tuple(evidence) if evidence is not None else tuple(() for _ in labels),
        sentences=np.array([[1, length - 1]], dtype=np.int32),
        entity_types=types or ("",) * entities,
        word_starts=np.arange(1, length - 1, dtype=np.int32),
        pairs=None if pairs is None else np.array(pairs, dtype=np.int32).reshape(-1, 2),
        words=words,
    )


# Order


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9), seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_an_epoch_has_every_document_once_in_batches_of_at_most_the_size(lengths, batch_size, seed, epoch):
    batches = training_order(lengths, batch_size, seed, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert len(batches) == -(-len(lengths) // batch_size)


@settings(deadline=None)
@given(lengths=LENGTHS, batch_size=st.integers(1, 9))
def test_evaluation_has_every_document_once_the_longest_first(lengths, batch_size):
    batches = evaluation_order(lengths, batch_size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)


@settings(deadline=None)
@given(lengths=LENGTHS, pieces=st.integers(1, 4096))
def test_batches_within_a_number_of_pieces_have_every_document_once_and_no_more_than_that(lengths, pieces):
    batches = order_within(lengths, pieces)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * max(lengths[batch]) <= pieces for batch in batches)


def as_lists(batches):
    return [batch.tolist() for batch in batches]


def test_the_order_of_an_epoch_depends_on_seed_and_epoch_alone():
    lengths = np.random.default_rng(0).integers(50, 500, 300)
    np.random.seed(1)
    torch.manual_seed(1)
    first = as_lists(training_order(lengths, 4, seed=3, epoch=7))
    np.random.seed(2)
    torch.manual_seed(2)
    training_order(lengths, 4, seed=3, epoch=6)
    assert as_lists(training_order(lengths, 4, seed=3, epoch=7)) == first


def test_epochs_and_seeds_differ_in_their_batches_not_only_in_the_order_of_them():
    lengths = np.random.default_rng(0).integers(50, 500, 300)
    chosen = [
        {frozenset(batch) for batch in as_lists(training_order(lengths, 4, seed, epoch))}
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert len(chosen[a] & chosen[b]) < 0.2 * len(chosen[a])


def test_short_and_long_batches_are_mixed_within_an_epoch():
    lengths = np.arange(1000)
    means = np.array([lengths[batch].mean() for batch in training_order(lengths, 4, seed=0, epoch=0)])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


@pytest.mark.parametrize("batch_size", [4, 8])
def test_padding_of_real_documents_is_under_a_tenth(shared_file, batch_size):
    documents = read_documents(shared_file("data/redocred-small/train.json"))
    # Words and markers stand for word pieces: the spread of the lengths is the same.
    lengths = np.array([sum(map(len, d.sentences)) + 2 * sum(map(len, d.entities)) for d in documents])
    for epoch in range(3):
        batches = training_order(lengths, batch_size, seed=0, epoch=epoch)
        padded = sum(len(batch) * lengths[batch].max() for batch in batches)
        assert 1 - lengths.sum() / padded < 0.1


# Candidate pairs


@settings(deadline=None)
@given(n=st.integers(0, 12))
def test_candidates_are_all_ordered_pairs_of_two_entities(n):
    pairs = features(n).candidates()
    assert [tuple(pair) for pair in pairs.tolist()] == [(i, j) for i in range(n) for j in range(n) if i != j]


# Collating


def test_pieces_are_padded_to_the_longest_document_and_masked():
    batch = collate([features(2, length=5), features(2, length=8)], 3, pad_id=77)
    assert batch.input_ids.tolist() == [[10, 11, 12, 13, 14, 77, 77, 77], list(range(10, 18))]
    assert batch.attention_mask.tolist() == [[1] * 5 + [0] * 3, [1] * 8]
    assert [d.length for d in batch.documents] == [5, 8]


@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=300), pieces=st.integers(1, 3000))
def test_batches_of_a_number_of_pieces_hold_every_document_once_and_no_more_pieces(lengths, pieces):
    lengths = np.array(lengths)
    order = training_order_within(lengths, pieces, seed=1, epoch=2)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(lengths)))
    assert all(len(rows) * lengths[rows].max() <= pieces or len(rows) == 1 for rows in order)
    again = training_order_within(lengths, pieces, seed=1, epoch=2)
    assert all(np.array_equal(one, other) for one, other in zip(order, again, strict=True))


def test_batches_of_a_number_of_pieces_differ_from_epoch_to_epoch_and_are_mostly_full():
    lengths = np.random.default_rng(0).integers(100, 500, 2000)
    orders = [training_order_within(lengths, 4096, seed=0, epoch=epoch) for epoch in range(2)]
    assert [rows.tolist() for rows in orders[0]] != [rows.tolist() for rows in orders[1]]
    for order in orders:
        padded = sum(len(rows) * int(lengths[rows].max()) for rows in order)
        assert lengths.sum() > 0.9 * padded
        assert lengths.sum() > 0.8 * 4096 * len(order)


@settings(deadline=None)
@given(data=st.data())
def test_labels_and_evidence_stand_at_their_pair_and_relation(data):
    sizes = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    rows, expected, expected_evidence = [], [], []
    offset = 0
    for n in sizes:
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        drawn = data.draw(st.sets(st.tuples(st.sampled_from(pairs), st.integers(0, 3)))) if pairs else set()
        labels = [(h, t, r) for (h, t), r in sorted(drawn)]
        evidence = [tuple(data.draw(st.sets(st.integers(0, 2)))) for _ in labels]
        rows.append(features(n, labels, evidence=evidence))
        expected += [(offset + pairs.index((h, t)), r) for h, t, r in labels]
        expected_evidence += [
            (offset + pairs.index((h, t)), r, e) for (h, t, r), e in zip(labels, evidence, strict=True) if e
        ]
        offset += len(pairs)
    batch = collate(rows, 4, 0)
    assert batch.labels.shape == (offset, 4)
    assert {tuple(at) for at in batch.labels.nonzero().tolist()} == set(expected)
    assert sorted(batch.evidence) == sorted(expected_evidence)


def test_candidates_a_data_set_names_are_the_only_ones_in_its_order():
    batch = collate([features(3, pairs=[(2, 0), (0, 1)]), features(2, pairs=[])], 1, pad_id=0)
    assert batch.documents[0].pairs.tolist() == [[2, 0], [0, 1]]
    assert batch.documents[1].pairs.shape == (0, 2)


def test_a_label_on_a_pair_that_is_no_candidate_is_left_out():
    row = features(3, [(0, 1, 2), (1, 0, 1)], evidence=[(0,), (1,)], pairs=[(0, 1)])
    batch = collate([row], 3, 0)
    assert batch.labels.nonzero().tolist() == [[0, 2]]
    assert batch.evidence == ((0, 2, (0,)),)


def test_a_label_given_twice_is_one_label():
    batch = collate([features(2, [(0, 1, 0), (0, 1, 0)])], 1, 0)
    assert batch.labels.sum() == 1


@pytest.mark.parametrize("entities", [0, 1])
def test_documents_without_a_pair_keep_their_place_in_the_batch(entities):
    batch = collate([features(2), features(entities), features(3)], 2, 0)
    assert [len(d.pairs) for d in batch.documents] == [2, 0, 6]
    assert batch.documents[1].pairs.shape == (0, 2)
    assert batch.labels.shape == (8, 2)
    alone = collate([features(entities)], 2, 0)
    assert alone.labels.shape == (0, 2)


def test_an_entity_without_a_mention_still_has_its_pairs():
    batch = collate([features(3, [(2, 0, 1)], mentions=[(0, 1), (1, 4)])], 2, 0)
    assert len(batch.documents[0].pairs) == 6
    assert batch.documents[0].mention_entity.tolist() == [0, 1]
    assert batch.labels[4].tolist() == [False, True]


def test_moving_a_batch_moves_all_its_tensors():
    batch = collate([features(2, [(0, 1, 0)])], 1, 0)
    assert batch.to(torch.device("cpu")) is batch
    moved = batch.to(torch.device("meta"))
    d = moved.documents[0]
    tensors = [
        moved.input_ids, moved.attention_mask, moved.labels,
        d.mention_entity, d.mention_position, d.mention_end, d.pairs, d.sentences, d.entity_types,
        d.word_starts, *d.tokens,
    ]  # fmt: skip
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_types_of_entities_are_numbered_by_the_inventory_and_any_other_is_one_more():
    batch = collate([features(3, types=("PER", "", "ORG"))], 1, 0, entity_types=("LOC", "ORG"))
    assert batch.documents[0].entity_types.tolist() == [2, 2, 1]


def test_a_mention_is_in_the_sentence_that_its_marker_is_in():
    row = features(2, length=12, mentions=[(0, 1), (1, 5), (0, 9)])
    # The second sentence has no words, the fourth lies past the length limit.
    spans = np.array([[1, 5], [5, 5], [5, 11], [11, 11]], dtype=np.int32)
    batch = collate([dataclasses.replace(row, sentences=spans)], 1, 0)
    assert batch.documents[0].mention_sentence.tolist() == [0, 2, 2]


def test_words_come_with_the_documents_that_have_them():
    words = (("a", "b"), ("c",))
    first, second = collate([features(2, words=words), features(2)], 1, 0).documents
    assert (first.words, second.words) == (words, None)
    assert first.word_starts.tolist() == [1, 2, 3, 4, 5, 6]
