from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.data.documents import Document, Label, Mention
from bench.metrics.official import judge
from bench.metrics.submission import Prediction
from bench.metrics.submission_checks import SubmissionChecks, facts_note, notes
from bench.metrics.submission_checks import check as check_judged


def document(title: str, *labels: Label) -> Document:
    names = [(Mention(0, i, i + 1, f"{title}{i}", "PER"),) for i in range(3)]
    return Document(title, (("x", "y", "z"), ("w",)), tuple(names), labels)


GOLD = [document("a", Label(0, 1, "P1", (0,)), Label(2, 2, "P2", (1, 1))), document("b")]


def check(predictions: Sequence[Prediction], documents: Sequence[Document]) -> SubmissionChecks:
    return check_judged(predictions, documents, judge([row.triple for row in predictions], documents))


def text(*predictions: Prediction) -> str:
    return "\n".join(notes(check(predictions, GOLD), predictions, GOLD, "gold.json"))


def test_a_sound_submission_has_counts_of_nothing_and_no_note_but_those_of_the_labels():
    sound = [Prediction("a", 0, 1, "P1", (0, 1)), Prediction("b", 0, 1, "P2")]
    counts = check(sound, GOLD).as_json()
    assert counts.pop("rows") == 2
    assert counts.pop("repeated_gold_evidence") == 1
    assert set(counts.values()) == {0}
    assert text(*sound).count("\n") == 0


def test_relations_without_a_label_are_counted_and_named():
    rows = [Prediction("a", 0, 1, "P1"), *(Prediction("a", 0, i, f"country {i}") for i in (1, 2))]
    assert check(rows, GOLD).unknown_relations == 2
    assert "2 predictions of relations that gold.json has no label of: 'country 1', 'country 2'; all wrong" in (
        text(*rows)
    )


def test_where_no_prediction_has_a_labelled_relation_those_of_the_file_are_named():
    shown = text(Prediction("a", 0, 1, "country"))
    assert "these are all predictions, so every score is 0: gold.json calls its relations 'P1', 'P2'" in shown


def test_self_pairs_are_counted_and_those_that_are_labelled_are_right():
    rows = [Prediction("a", 2, 2, "P2"), Prediction("a", 0, 0, "P1"), Prediction("a", 0, 0, "P1")]
    checks = check(rows, GOLD)
    assert (checks.self_pairs, checks.right_self_pairs, checks.duplicates) == (2, 1, 1)
    assert "2 predictions with the same entity as head and tail: 1 of them labelled" in text(*rows)
    assert "1 prediction with the same entity as head and tail: none labelled, all wrong" in text(rows[1])


def test_titles_entities_and_sentences_that_do_not_exist_are_counted():
    rows = [
        Prediction("c", 0, 1, "P1", (7,)),
        Prediction("a", 0, 3, "P1"),
        Prediction("a", 0, 1, "P1", (0, 2)),
    ]
    checks = check(rows, GOLD)
    assert (checks.unknown_titles, checks.unknown_entities, checks.unknown_evidence) == (1, 1, 1)
    assert "the evidence of 1 prediction names a sentence that the document lacks" in text(*rows)


def test_evidence_with_a_sentence_twice_is_counted_in_predictions_and_labels():
    rows = [Prediction("a", 0, 1, "P1", (0, 0)), Prediction("a", 1, 0, "P1", (1, 0, 1)), Prediction("b", 0, 1, "P1")]
    checks = check(rows, GOLD)
    assert (checks.repeated_evidence, checks.repeated_gold_evidence) == (2, 1)
    assert "the evidence of 2 predictions names a sentence twice; it is counted once" in text(*rows)
    assert "the evidence of 1 label of gold.json names a sentence twice" in text(*rows)


def test_no_predictions_are_told():
    assert "there are no predictions: every score is 0" in text()


def test_facts_that_leave_nothing_out_are_told_and_others_are_not():
    assert facts_note(set(), GOLD, "x.fact", "Ign F1") == "x.fact has no facts: Ign F1 leaves nothing out and equals F1"
    names = facts_note({("a0", "a1", "country")}, GOLD, "x.fact", "Ign F1")
    assert names == ("none of the 1 facts of x.fact is a labelled triple: Ign F1 leaves nothing out and equals F1")
    assert facts_note({("a0", "a1", "P1")}, GOLD, "x.fact", "Ign F1") is None


def test_wrong_predictions_on_pairs_that_are_no_candidates_are_counted_by_whether_they_are_one_turned():
    """What a model predicted that makes another of the two the head scores low for a reason that a note should name."""
    labels = (Label(0, 1, "P1"), Label(1, 2, "P1"))
    gold = [replace(document("a", *labels), candidates=((0, 1), (0, 2))), document("b", Label(0, 1, "P1"))]
    rows = [
        *(Prediction("a", head, tail, "P1") for head, tail in ((0, 1), (1, 0), (2, 0), (2, 1), (0, 0), (7, 0))),
        Prediction("a", 1, 2, "P1"),  # labelled, so right: missing from the candidates is told of labels
        Prediction("b", 1, 0, "P1"),  # of all pairs each is a candidate
    ]
    checks = check(rows, gold)
    assert (checks.turned_pairs, checks.other_pairs) == (2, 1)
    shown = "\n".join(notes(checks, rows, gold, "gold"))
    assert "2 predictions whose pair is a candidate the other way round only, tail as head; all wrong" in shown
    assert "1 prediction of a pair that is no candidate; wrong" in shown
