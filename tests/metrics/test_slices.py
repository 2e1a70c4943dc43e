from __future__ import annotations

import pytest
from slicing import slices_of

from bench.data.documents import Document, Label, Mention
from bench.metrics.official import Counts
from bench.metrics.slices import (
    by_entities,
    by_sentence,
    rare_relations,
    relation_frequency,
    top_relations,
)


def document(title, sentences_of_entities, *labels):
    entities = tuple(
        tuple(Mention(sentence, 0, 1, f"{title}{i}", "PER") for sentence in sentences)
        for i, sentences in enumerate(sentences_of_entities)
    )
    return Document(title, (("w",),) * 5, entities, tuple(labels))


def test_equally_frequent_relations_are_ranked_by_their_id():
    documents = [
        document("a", [[0], [0]], Label(0, 1, "P9"), Label(0, 1, "P10"), Label(1, 0, "P10"), Label(0, 1, "P2"))
    ]
    assert list(relation_frequency(documents)) == ["P10", "P2", "P9"]
    assert top_relations({"P9": 1, "P2": 1, "P10": 2}, 2).relations["top_2"] == ("P10", "P2")


def test_repeated_labels_count_once_towards_frequency():
    assert relation_frequency([document("a", [[0], [0]], Label(0, 1, "P1"), Label(0, 1, "P1"))]) == {"P1": 1}


def test_a_pair_is_intra_where_any_two_mentions_share_a_sentence():
    documents = [
        document("a", [[0, 1], [1, 2], [3]], Label(0, 1, "P1"), Label(0, 2, "P1")),
    ]
    sliced = slices_of([("a", 0, 1, "P1")], documents, groups=[by_sentence()])
    assert sliced["sentences", "intra"].total("strict") == Counts(1, 1, 1, 0)
    assert sliced["sentences", "inter"].total("strict") == Counts(0, 0, 1, 0)


def test_where_sentences_are_unknown_a_triple_is_inter():
    documents = [document("a", [[0], []], Label(0, 1, "P1"))]
    predictions = [("a", 0, 1, "P1"), ("a", 0, 99, "P1"), ("no such", 0, 1, "P1")]
    sliced = slices_of(predictions, documents, groups=[by_sentence()])
    assert sliced["sentences", "inter"].total("strict") == Counts(1, 3, 1, 0)


def test_documents_fall_in_bins_with_inclusive_upper_ends():
    group = by_entities((2, 4))
    assert group.slices == ("at_most_2", "3-4", "more_than_4")
    for entities, name in [(1, "at_most_2"), (2, "at_most_2"), (3, "3-4"), (4, "3-4"), (5, "more_than_4")]:
        assert group.slice_of(document("a", [[0]] * entities), ("a", 0, 1, "P1")) == name
    assert group.slice_of(None, ("no such", 0, 1, "P1")) is None


@pytest.mark.parametrize("edges", [(), (3, 3), (4, 2)])
def test_bin_edges_that_do_not_increase_are_refused(edges):
    with pytest.raises(ValueError, match="must increase"):
        by_entities(edges)


def test_rare_means_strictly_below_the_25th_percentile():
    group = rare_relations({"P1": 10, "P2": 8, "P3": 6, "P4": 6, "P5": 1})
    assert group.relations["below_25th_percentile"] == ("P5",)
    assert group.slice_of(None, ("a", 0, 1, "P4")) == "not_below_25th_percentile"
    assert group.slice_of(None, ("a", 0, 1, "never labelled")) == "below_25th_percentile"


@pytest.mark.parametrize("frequency", [{}, {"P1": 3}, {"P1": 3, "P2": 3}])
def test_no_labelled_relation_is_rare_where_none_is_rarer_than_another(frequency):
    assert rare_relations(frequency).relations["below_25th_percentile"] == ()


def test_a_slice_divides_by_its_own_predictions_strictly_and_by_all_as_released():
    documents = [document("a", [[0], [0]], Label(0, 1, "P1"), Label(1, 0, "P1"), Label(0, 1, "P2"))]
    predictions = [("a", 0, 1, "P1"), ("a", 0, 1, "P2"), ("a", 1, 0, "P2"), ("no such", 0, 1, "P2")]
    part = slices_of(predictions, documents, groups=[top_relations({"P1": 2, "P2": 1}, 1)])["top_1", "top_1"]
    assert part.total("strict") == Counts(1, 1, 2, 0)
    assert part.total("released") == Counts(1, 4, 2, 0)
    assert part.share == pytest.approx(200 / 3)


def test_a_relation_that_is_only_predicted_has_a_slice_that_scores_zero():
    sliced = slices_of([("a", 0, 1, "P7")], [document("a", [[0], [0]], Label(0, 1, "P1"))])
    assert sliced["relation", "P7"].total("strict") == Counts(0, 1, 0, 0)


def test_asking_for_a_slice_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="top_10"):
        slices_of([], [], groups=[])["top_10", "top_10"]


def test_an_empty_split_has_slices_of_nothing():
    sliced = slices_of([], [])
    assert {part.total("strict") for part in sliced.slices} == {Counts()}
    assert {part.share for part in sliced.slices} == {0.0}
