from __future__ import annotations

import pytest

from bench.data.documents import Document, Label, Mention
from bench.errors import UsageError
from bench.metrics.official import Counts, DocumentCounts, document_counts, evaluate, evidence_counts, evidence_of
from bench.metrics.submission import Prediction


def document(title, *labels, entities=3):
    names = tuple((Mention(i % 2, 0, 1, f"{title}{i}", "PER"),) for i in range(entities))
    return Document(title, (("w",), ("w",)), names, tuple(labels))


def test_scores_of_nothing_are_zero():
    nothing = Counts()
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.ign_precision, nothing.ign_f1) == (0.0,) * 5
    assert evaluate([], [], []).f1 == 0.0


def test_scores_are_percent_and_not_rounded():
    assert Counts(correct=1, predicted=3, gold=7).precision == 100 / 3
    assert Counts(correct=1, predicted=3, gold=7).f1 == 20.0


def test_ign_precision_leaves_seen_triples_out_of_both_counts_and_recall_keeps_them():
    counts = Counts(correct=6, predicted=10, gold=8, correct_in_facts=2)
    assert counts.ign_precision == 50.0
    assert counts.recall == 75.0
    assert counts.ign_f1 == pytest.approx(60.0)


def test_ign_f1_is_zero_where_training_saw_all_that_was_predicted():
    assert Counts(correct=4, predicted=4, gold=4, correct_in_facts=4).ign_f1 == 0.0


def test_predictions_of_unknown_titles_stay_in_the_denominator_of_precision():
    documents = [document("a", Label(0, 1, "P1"))]
    counts = document_counts([("a", 0, 1, "P1"), ("no such", 0, 1, "P1"), ("no such", 0, 1, "P1")], documents)
    assert counts.unknown == 1
    assert counts.documents == (Counts(1, 1, 1, 0),)
    assert counts.total.precision == 50.0


def test_predictions_of_entities_the_document_lacks_are_wrong():
    documents = [document("a", Label(0, 1, "P1"))]
    assert document_counts([("a", 0, 99, "P1"), ("a", -1, 1, "P1")], documents).total == Counts(0, 2, 1, 0)


def test_a_label_was_seen_where_any_pair_of_mention_names_was():
    entities = (
        (Mention(0, 0, 1, "Ada", "PER"), Mention(0, 1, 2, "Lovelace", "PER")),
        (Mention(0, 2, 3, "UK", "LOC"), Mention(0, 3, 4, "Britain", "LOC")),
    )
    documents = [Document("a", (("w",) * 4,), entities, (Label(0, 1, "P27"),))]
    right = [("a", 0, 1, "P27")]
    assert document_counts(right, documents, {("Lovelace", "Britain", "P27")}).total.correct_in_facts == 1
    assert document_counts(right, documents, {("Britain", "Lovelace", "P27")}).total.correct_in_facts == 0
    assert document_counts(right, documents, {("Lovelace", "Britain", "P19")}).total.correct_in_facts == 0


def test_facts_may_be_any_iterable():
    documents = [document("a", Label(0, 1, "P1"))]
    facts = iter([("a0", "a1", "P1")])
    assert document_counts([("a", 0, 1, "P1")], documents, facts).total.correct_in_facts == 1


def test_ign_f1_is_none_rather_than_f1_without_facts():
    evaluation = evaluate([("a", 0, 1, "P1")], [document("a", Label(0, 1, "P1"))], None)
    assert evaluation.f1 == 100.0
    assert evaluation.ign_f1 is None
    assert evaluation.ign_f1_distant is None


def test_distant_facts_change_nothing_but_the_distant_ign_f1():
    documents = [document("a", Label(0, 1, "P1"), Label(1, 2, "P1"))]
    right = [("a", 0, 1, "P1"), ("a", 1, 2, "P1"), ("a", 2, 0, "P1")]
    without = evaluate(right, documents, [])
    with_distant = evaluate(right, documents, [], [("a0", "a1", "P1")])
    assert (with_distant.f1, with_distant.ign_f1) == (without.f1, without.ign_f1)
    assert with_distant.ign_f1_distant == pytest.approx(2 * 50 * 100 / 150)


def test_macro_f1_averages_over_labelled_relations_only():
    documents = [document("a", Label(0, 1, "P1"), Label(1, 2, "P2"))]
    evaluation = evaluate([("a", 0, 1, "P1"), ("a", 0, 1, "P3")], documents, [])
    assert evaluation.macro_f1 == 50.0
    assert evaluation.relations["P3"] == Counts(0, 1, 0, 0)


def test_documents_that_share_a_title_are_refused_by_name():
    with pytest.raises(UsageError, match="'a'"):
        document_counts([], [document("a"), document("a"), document("b")])


def test_rows_of_document_counts_add_up_to_the_total():
    counts = DocumentCounts((Counts(1, 2, 3, 0), Counts(4, 5, 6, 1)), unknown=7)
    assert counts.rows() == [(1, 2, 3, 0), (4, 5, 6, 1)]
    assert counts.total == Counts(5, 14, 9, 1)


def test_evidence_of_wrong_and_unknown_triples_is_wrong():
    documents = [document("a", Label(0, 1, "P1", (0, 1)))]
    counts = evidence_counts(
        {("a", 0, 1, "P1"): [1, 1, 2], ("a", 1, 0, "P1"): [0], ("no such", 0, 1, "P1"): [0, 1]}, documents
    )
    assert counts.documents == (Counts(correct=1, predicted=3, gold=2),)
    assert counts.unknown == 2


def test_the_evidence_of_a_repeated_prediction_is_that_of_its_first_row():
    rows = [
        Prediction("a", 0, 1, "P1", (0, 1)),
        Prediction("a", 0, 1, "P1", (2,)),
        Prediction("a", 1, 0, "P1"),
        Prediction("a", 1, 0, "P1", (0,)),
    ]
    assert evidence_of(rows) == {("a", 0, 1, "P1"): (0, 1), ("a", 1, 0, "P1"): ()}
    counts = evidence_counts(evidence_of(rows), [document("a", Label(0, 1, "P1", (0, 1)))]).total
    assert counts == Counts(correct=2, predicted=2, gold=2)
