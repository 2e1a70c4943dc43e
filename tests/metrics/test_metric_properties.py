"""What holds for any documents and any predictions, however odd."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slicing import slices_of

from bench.data.documents import Document, Label, Mention, facts_of
from bench.metrics.official import Counts, document_counts, evaluate, evidence_counts
from bench.metrics.slices import PROTOCOLS

# No deadline: how fast an example runs says how busy the machine is, not whether the claim holds.
unhurried = settings(deadline=None, max_examples=60)

NAMES = ["Ada", "Bo", "Cy"]
RELATIONS = ["P1", "P2", "P3", "P4"]
TITLES = ["a", "b", "c", "d"]

mentions = st.builds(
    lambda sentence, name: Mention(sentence, 0, 1, name, "PER"), st.integers(0, 2), st.sampled_from(NAMES)
)
# Entities without mentions exist in real files, and entity indices of predictions may be anything.
entity_lists = st.lists(st.lists(mentions, max_size=3).map(tuple), min_size=1, max_size=13).map(tuple)
evidence = st.lists(st.integers(0, 2), max_size=2, unique=True).map(tuple)


@st.composite
def document_strategy(draw, title):
    entities = draw(entity_lists)
    index = st.integers(0, len(entities) - 1)
    labels = st.lists(st.builds(Label, index, index, st.sampled_from(RELATIONS), evidence), max_size=8).map(tuple)
    return Document(title, (("w",),) * 3, entities, draw(labels))


@st.composite
def splits(draw):
    titles = draw(st.lists(st.sampled_from(TITLES[:3]), unique=True, max_size=3))
    return [draw(document_strategy(title)) for title in titles]


@st.composite
def cases(draw):
    """Predictions (right, wrong, unknown, impossible, repeated), documents and facts."""
    documents = draw(splits())
    gold = sorted(triple for document in documents for triple in document.triples())
    index = st.integers(-1, 14)
    anything = st.tuples(st.sampled_from(TITLES), index, index, st.sampled_from([*RELATIONS, "P9"]))
    prediction = st.one_of(anything, st.sampled_from(gold)) if gold else anything
    facts = st.frozensets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(RELATIONS)))
    return draw(st.lists(prediction, max_size=15)), documents, draw(facts)


def brute_force(documents, predictions, facts):
    """(correct, predicted, gold, correct in facts), one triple at a time."""
    seen_once, gold_once, correct, in_facts = [], [], 0, 0
    for document in documents:
        for label in document.labels:
            triple = (document.title, label.head, label.tail, label.relation)
            if triple not in gold_once:
                gold_once.append(triple)
    for prediction in predictions:
        if prediction in seen_once:
            continue
        seen_once.append(prediction)
        if prediction not in gold_once:
            continue
        correct += 1
        title, head, tail, relation = prediction
        entities = next(document.entities for document in documents if document.title == title)
        names = [(h.name, t.name, relation) for h in entities[head] for t in entities[tail]]
        in_facts += any(name in facts for name in names)
    return correct, len(seen_once), len(gold_once), in_facts


@st.composite
def any_counts(draw):
    predicted, gold = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    correct = draw(st.integers(0, min(predicted, gold)))
    return Counts(correct, predicted, gold, draw(st.integers(0, correct)))


@unhurried
@given(any_counts())
def test_f1_lies_between_precision_and_recall(counts):
    low, high = sorted((counts.precision, counts.recall))
    assert low - 1e-9 <= counts.f1 <= high + 1e-9


@unhurried
@given(any_counts())
def test_f1_is_the_harmonic_mean_of_precision_and_recall(counts):
    if counts.correct:
        expected = 2 / (1 / counts.precision + 1 / counts.recall)
        assert counts.f1 == pytest.approx(expected, rel=1e-12)
    else:
        assert counts.f1 == 0.0


@unhurried
@given(any_counts())
def test_ign_f1_never_exceeds_f1(counts):
    assert counts.ign_f1 <= counts.f1 + 1e-9
    assert counts.ign_precision <= counts.precision + 1e-9


@unhurried
@given(any_counts())
def test_every_score_is_a_percentage(counts):
    scores = [counts.precision, counts.recall, counts.f1, counts.ign_precision, counts.ign_f1]
    assert all(0.0 <= score <= 100.0 + 1e-9 for score in scores)


@unhurried
@given(any_counts())
def test_ign_f1_is_f1_where_training_saw_none_of_the_correct_triples(counts):
    unseen = Counts(counts.correct, counts.predicted, counts.gold)
    assert unseen.ign_f1 == pytest.approx(unseen.f1, rel=1e-12)


@unhurried
@given(cases())
def test_counts_equal_those_of_counting_one_triple_at_a_time(case):
    predictions, documents, facts = case
    total = document_counts(predictions, documents, facts).total
    assert (total.correct, total.predicted, total.gold, total.correct_in_facts) == brute_force(
        documents, predictions, facts
    )


@unhurried
@given(cases(), st.integers(0, 10))
def test_the_order_of_predictions_and_documents_does_not_matter(case, seed):
    predictions, documents, facts = case
    shuffled_documents, shuffled = documents[:], predictions[:]
    random.Random(seed).shuffle(shuffled_documents)
    random.Random(seed).shuffle(shuffled)
    assert document_counts(shuffled, shuffled_documents, facts).total == (
        document_counts(predictions, documents, facts).total
    )


@unhurried
@given(cases())
def test_repeated_predictions_change_nothing(case):
    predictions, documents, facts = case
    assert evaluate(predictions * 2, documents, facts) == evaluate(predictions, documents, facts)


@unhurried
@given(cases())
def test_counts_of_documents_and_unknown_titles_sum_to_the_overall_counts(case):
    predictions, documents, facts = case
    counts = document_counts(predictions, documents, facts)
    alone = [document_counts([p for p in predictions if p[0] == d.title], [d], facts).total for d in documents]
    assert list(counts.documents) == alone
    assert counts.total.predicted == sum(c.predicted for c in counts.documents) + counts.unknown
    assert len(counts.rows()) == len(documents)


@unhurried
@given(cases())
def test_relations_sum_to_the_overall_counts(case):
    evaluation = evaluate(*case)
    assert sum(evaluation.relations.values(), Counts()) == evaluation.counts.total


@unhurried
@given(cases())
def test_released_precisions_of_complementary_slices_sum_to_the_overall_precision(case):
    sliced = slices_of(*case)
    for group in {part.group for part in sliced.slices}:
        parts = [part.total("released") for part in sliced.slices if part.group == group]
        assert sum(part.precision for part in parts) == pytest.approx(sliced.overall.total.precision)


@unhurried
@given(cases())
def test_strict_slices_of_a_group_make_up_each_document(case):
    predictions, documents, facts = case
    sliced = slices_of(predictions, documents, facts)
    for group in {part.group for part in sliced.slices}:
        parts = [part.strict for part in sliced.slices if part.group == group]
        for index, overall in enumerate(sliced.overall.documents):
            assert sum((part.documents[index] for part in parts), Counts()) == overall
        if group != "entities":  # nobody knows how many entities the document of an unknown title has
            assert sum(part.unknown for part in parts) == sliced.overall.unknown


@unhurried
@given(cases())
def test_a_slice_never_has_a_higher_precision_released_than_strict(case):
    for part in slices_of(*case).slices:
        assert part.total("released").precision <= part.total("strict").precision + 1e-9
        assert part.total("released").recall == part.total("strict").recall


@unhurried
@given(cases())
def test_slices_per_relation_equal_the_counts_per_relation(case):
    relations = evaluate(*case).relations
    parts = {part.name: part.total("strict") for part in slices_of(*case).slices if part.group == "relation"}
    assert parts == dict(relations)


@unhurried
@given(cases())
def test_no_predictions_score_zero_without_an_error(case):
    _, documents, facts = case
    evaluation = evaluate([], documents, facts, facts)
    scores = (evaluation.f1, evaluation.ign_f1, evaluation.ign_f1_distant, evaluation.precision, evaluation.macro_f1)
    assert scores == (0.0,) * 5
    assert all(part.total(protocol).f1 == 0.0 for part in slices_of([], documents).slices for protocol in PROTOCOLS)


@unhurried
@given(splits())
def test_labels_as_predictions_leave_nothing_to_ignore_against_their_own_facts(documents):
    gold = [triple for document in documents for triple in document.triples()]
    counts = document_counts(gold, documents, facts_of(documents)).total
    named = [t for d in documents for t in d.triples() if d.entities[t[1]] and d.entities[t[2]]]
    assert counts.correct == counts.gold == len(gold)
    assert counts.correct_in_facts == len(named)


@unhurried
@given(splits())
def test_the_labels_own_evidence_scores_one_hundred(documents):
    merged: dict = {}
    for document in documents:
        for label in document.labels:
            triple = (document.title, label.head, label.tail, label.relation)
            merged.setdefault(triple, set()).update(label.evidence)
    total = evidence_counts(merged, documents).total
    assert total.correct == total.predicted == total.gold
