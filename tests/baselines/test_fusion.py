"""Inference-stage fusion: how it joins two readings of a document."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from any_documents import RELATIONS, any_document, f1_of, hashed_scorer, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiments import documents

from baselines import fusion
from baselines.dreeam import Dreeam, DreeamHyperparameters
from baselines.fusion import (
    MISSING,
    THRESHOLD,
    InferenceStageFusion,
    best_threshold,
    excerpt,
    fuse,
)
from bench.data.documents import Document, Label, Mention
from bench.interface import DocumentScores, Task
from bench.metrics.official import Counts


def untrained(relations, num_labels=4):
    """The fusion of an untrained model: it scores nothing itself."""
    hp = DreeamHyperparameters(pair_size=16, block_size=16, num_labels=num_labels)
    model = Dreeam(hp, Task(encoder_size=8, relations=tuple(relations), label_rates=(0.1,) * len(relations)))
    return InferenceStageFusion(model, relations)


@pytest.fixture(scope="module")
def fused():
    return untrained(RELATIONS)


# Margins and their fusion


def margins_of(logits, at_most=4):
    margins = np.full((2, 2, len(logits) - 1), -np.inf)
    scores = DocumentScores(np.array([[0, 1]]), np.array([logits], dtype=np.float32), None)
    untrained([f"r{r}" for r in range(len(logits) - 1)], at_most).add_margins(margins, scores, np.arange(2))
    assert (margins[[0, 1, 1], [0, 0, 1]] == -np.inf).all()
    return margins[0, 1].tolist()


NONE = -np.inf


def test_candidates_are_the_four_highest_classes_without_the_threshold_class_that_is_counted():
    assert margins_of([2.0, 5.0, 1.0, 3.0, 0.0]) == [3.0, -1.0, 1.0, NONE]


def test_below_four_higher_classes_the_threshold_class_leaves_four_candidates():
    assert margins_of([-1.0, 5.0, 1.0, 3.0, 0.0, -2.0]) == [6.0, 2.0, 4.0, 1.0, NONE]


def test_ties_at_the_fourth_class_all_stay():
    assert margins_of([2.0, 5.0, 3.0, 1.0, 1.0, 0.0]) == [3.0, 1.0, -1.0, -1.0, NONE]


def test_with_fewer_classes_all_are_candidates():
    assert margins_of([0.0, -1.0, 1.0]) == [-1.0, 1.0]


def test_of_several_pseudo_documents_the_largest_margin_counts():
    margins = np.full((3, 3, 2), -np.inf)
    for entities, logits in (([0, 2], [0.0, 1.0, -5.0]), ([0, 1, 2], [1.0, 4.0, -9.0])):
        scores = DocumentScores(np.array([[0, len(entities) - 1]]), np.array([logits], dtype=np.float32), None)
        untrained(["a", "b"]).add_margins(margins, scores, np.array(entities))
    assert margins[0, 2].tolist() == [3.0, -5.0]
    assert (margins > -np.inf).sum() == 2


@pytest.mark.parametrize(
    ("whole", "alone", "agreed", "score"),
    [
        (2.0, 1.0, True, NONE),
        (2.0, -1.5, False, 0.5),
        (-1.5, 2.0, False, 0.5),
        (-1.0, -2.0, False, -3.0),
        (2.0, 0.0, False, 2.0),
        (3.0, NONE, False, 3.0 + MISSING),
        (NONE, 3.0, False, 3.0 + MISSING),
        (-12.0, 3.0, False, -9.0),
        (NONE, NONE, False, NONE),
    ],
)
def test_two_readings_are_joined(whole, alone, agreed, score):
    result = fuse(np.array([[[whole]]]), np.array([[[alone]]]))
    assert (result.agreed.item(), result.score.item()) == (agreed, score)


def test_a_missing_reading_counts_minus_ten():
    assert MISSING == -10


# The threshold


def f1_above(threshold, scores, right, correct, predicted, labelled):
    accepted = scores > threshold
    return Counts(correct + int((accepted & right).sum()), predicted + int(accepted.sum()), labelled).f1


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-6, 6) | st.floats(-30, 30), st.booleans()), max_size=30),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 20),
)
def test_the_threshold_is_the_best_and_of_the_best_the_highest(candidates, correct, wrong, missed):
    scores = np.array([score for score, _ in candidates], dtype=np.float64)
    right = np.array([is_right for _, is_right in candidates], dtype=bool)
    counted = (scores, right, correct, correct + wrong, correct + int(right.sum()) + missed)
    chosen = best_threshold(*counted)
    possible = sorted({*scores.tolist(), -31.0}, reverse=True)
    best = max(f1_above(threshold, *counted) for threshold in possible)
    highest = next(threshold for threshold in possible if f1_above(threshold, *counted) == best)
    if candidates:
        assert np.array_equal(scores > chosen, scores > highest)
    assert f1_above(chosen, *counted) == best


def test_candidates_of_one_score_are_taken_together_or_not_at_all():
    # Alone, the first of the two would be the best choice.
    scores, right = np.array([1.0, 1.0, 0.0]), np.array([True, False, False])
    assert best_threshold(scores, right, correct=0, predicted=0, labelled=1) == 0.0


def test_the_threshold_can_be_written_down():
    for right in ([True, True], [False, False], []):
        scores = np.arange(len(right), dtype=np.float64)
        chosen = best_threshold(scores, np.array(right, dtype=bool), 0, 0, 2)
        assert json.loads(json.dumps(chosen, allow_nan=False)) == chosen


# With a scorer


@settings(max_examples=10, deadline=None)
@given(drawn=st.lists(any_document(), min_size=1, max_size=2))
def test_no_threshold_has_a_higher_f1_on_dev_than_the_tuned_one(fused, drawn):
    dev = [Document(str(i), d.sentences, d.entities, d.labels, d.candidates) for i, d in enumerate(drawn)]
    decision = fused.tune(hashed_scorer(), dev)
    tuned = f1_of(fused.predict(hashed_scorer(), dev, decision), dev)
    tried = {
        float(score) for _, _, both in fused.read(hashed_scorer(), dev) for score in both.score[both.score > NONE]
    }  # fmt: skip
    for threshold in (*sorted(tried)[:: 1 + len(tried) // 20], -1e9):
        assert f1_of(fused.predict(hashed_scorer(), dev, {THRESHOLD: threshold}), dev) <= tuned + 1e-9


def predicted_plainly(score, document, threshold) -> set[tuple[int, int, str]]:
    """The rule, triple by triple and pair by pair."""

    def candidates(read):
        (scores,) = score([read])
        found = {}
        for pair, logits in zip(scores.pairs.tolist(), scores.logits.tolist(), strict=True):
            fourth = sorted(logits, reverse=True)[3]
            for relation, logit in zip(RELATIONS, logits[1:], strict=True):
                if logit >= fourth:
                    found[*pair, relation] = logit - logits[0]
        return scores, found

    scores, inside = candidates(document)
    alone = {}
    for (head, tail), row in zip(scores.pairs.tolist(), scores.evidence, strict=True):
        sentences = set(np.flatnonzero(row).tolist())
        if sentences:
            for entity in (head, tail):
                named = {mention.sentence for mention in document.entities[entity]}
                sentences |= set() if named & sentences else {min(named)}
            part, entities = excerpt(document, sorted(sentences))
            for (h, t, relation), margin in candidates(part)[1].items():
                triple = (entities[h], entities[t], relation)
                alone[triple] = max(margin, alone.get(triple, -np.inf))
    return {
        triple
        for triple in {*inside, *alone}
        if min(inside.get(triple, -1), alone.get(triple, -1)) > 0
        or inside.get(triple, -10) + alone.get(triple, -10) > threshold
    }


@settings(max_examples=25, deadline=None)
@given(document=any_document(), threshold=st.sampled_from([-12.0, -5.0, -0.5, 3.0]))
def test_predictions_are_those_of_the_rule_read_triple_by_triple(fused, document, threshold):
    found = fused.predict(hashed_scorer(), [document], {THRESHOLD: threshold})
    assert len(found) == len({p.triple for p in found})
    assert {(p.head, p.tail, p.relation) for p in found} == predicted_plainly(hashed_scorer(), document, threshold)


class Told:
    """A scorer told by hand: for some sentences (by their first words) the margins of triples, by entities' names.

    What it is not told of gets margins below all others, each its own, so that they take no place of the told.
    """

    def __init__(self, margins, evidence):
        self.margins, self.evidence, self.read = margins, evidence, []

    def __call__(self, asked):
        for document in asked:
            told = self.margins.get("".join(sentence[0] for sentence in document.sentences), {})
            pairs = pairs_of(document)
            logits = np.tile(np.append(0.0, -50.0 - np.arange(len(RELATIONS))), (len(pairs), 1)).astype(np.float32)
            supporting = np.zeros((len(pairs), len(document.sentences)), dtype=bool)
            for row, (head, tail) in enumerate(pairs.tolist()):
                names = document.entities[head][0].name + document.entities[tail][0].name
                for relation, margin in told.get(names, {}).items():
                    logits[row, 1 + RELATIONS.index(relation)] = margin
                supporting[row, [s for s in self.evidence.get(names, ()) if s < len(document.sentences)]] = True
            self.read.append(document)
            yield DocumentScores(pairs, logits, supporting)


@pytest.fixture
def three_sentences():
    """X, Y and Z: the first is in 0 and 1, the second in 0 and 2, the third in 1."""
    at = {"X": (0, 1), "Y": (0, 2), "Z": (1,)}
    sentences = (("0", "X", "Y", "."), ("1", "X", "Z", "."), ("2", ".", "Y"))
    entities = tuple(
        tuple(Mention(s, sentences[s].index(name), sentences[s].index(name) + 1, name, "") for s in places)
        for name, places in at.items()
    )
    return Document("t", sentences, entities, (Label(0, 1, "a"), Label(0, 2, "b"), Label(1, 2, "e")))


def predicted(fused, scorer, document, threshold):
    names = [mentions[0].name for mentions in document.entities]
    found = fused.predict(scorer, [document], {THRESHOLD: threshold})
    return {names[p.head] + names[p.tail] + p.relation: p.evidence for p in found}


def test_a_triple_is_predicted_that_both_readings_say_or_that_scores_above_the_threshold(fused, three_sentences):
    scorer = Told(
        {
            "012": {"XY": {"a": 1.0}, "XZ": {"b": 4.0}, "YX": {"c": -2.0}, "ZX": {"d": 8.0}},
            "0": {"XY": {"a": 2.0}, "YX": {"c": 3.0}},
            "1": {"XZ": {"b": -3.0}},
        },
        {"XY": (0,), "XZ": (1,)},
    )
    assert predicted(fused, scorer, three_sentences, 1e6) == {"XYa": (0,)}
    # 4 - 3 and -2 + 3 are 1 each.
    assert predicted(fused, scorer, three_sentences, 1.0) == {"XYa": (0,)}
    assert predicted(fused, scorer, three_sentences, 0.99) == {"XYa": (0,), "XZb": (1,), "YXc": ()}
    # d of (Z, X) is no candidate where the evidence is read.
    assert "ZXd" not in predicted(fused, scorer, three_sentences, 8.0 + MISSING)
    assert "ZXd" in predicted(fused, scorer, three_sentences, 8.0 + MISSING - 0.01)


def test_a_triple_may_be_found_in_the_evidence_alone(fused, three_sentences):
    scorer = Told({"12": {"YZ": {"e": 14.0}}}, {"YZ": (1, 2)})
    assert "YZe" not in predicted(fused, scorer, three_sentences, 4.0)
    assert predicted(fused, scorer, three_sentences, 3.99) == {"YZe": (1, 2)}


def test_every_distinct_evidence_is_read_once_and_the_largest_margin_counts(fused, three_sentences):
    scorer = Told(
        {"012": {"XY": {"a": -1.0}}, "0": {"XY": {"a": 1.5}}, "02": {"XY": {"a": 3.0}}},
        {"XY": (0,), "ZX": (0, 2), "YX": (0, 2), "XZ": (0, 2)},
    )
    assert "XYa" in predicted(fused, scorer, three_sentences, 1.99)
    read = Counter("".join(sentence[0] for sentence in document.sentences) for document in scorer.read)
    # Sentence 1 is beside the evidence of the pairs with Z, which no other names.
    assert read == {"012": 2, "0": 1, "02": 1}
    assert "XYa" not in predicted(fused, scorer, three_sentences, 2.0)


def test_labels_that_are_no_candidates_count_as_missed_when_the_threshold_is_chosen(fused, three_sentences):
    scorer = Told({"012": {"XY": {"a": 3.0}, "XZ": {"b": -1.0}, "ZY": {"c": -0.5}, "ZX": {"d": -0.75}}}, {})
    # Scores -7 (right), -10.5 and -10.75 (wrong) and -11 (right): the first alone has F1 2/4 of three labels, all four
    # have 4/7. Of the two labels that are candidates both would have 2/3.
    assert fused.tune(scorer, [three_sentences])[THRESHOLD] < -11
    fewer = Document("t", three_sentences.sentences, three_sentences.entities, three_sentences.labels[:2])
    assert fused.tune(scorer, [fewer])[THRESHOLD] == -10.5


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_documents_are_read_in_chunks_to_the_same_predictions(fused, monkeypatch, at_once):
    many = documents("dev", 5)
    expected = fused.predict(hashed_scorer(), many, {THRESHOLD: 0.0})
    monkeypatch.setattr(fusion, "DOCUMENTS_AT_ONCE", at_once)
    read = []
    assert fused.predict(hashed_scorer(read), many, {THRESHOLD: 0.0}) == expected
    whole = [document.title for document in read if len(document.sentences) == 3 and document.labels]
    assert whole == [document.title for document in many]


def test_scores_without_evidence_are_refused(fused):
    document = documents("dev", 1)[0]
    scores = DocumentScores(pairs_of(document), np.zeros((12, len(RELATIONS) + 1), dtype=np.float32), None)
    with pytest.raises(ValueError, match="evidence"):
        fused.predict(lambda asked: iter([scores] * len(asked)), [document], {THRESHOLD: 0.0})
