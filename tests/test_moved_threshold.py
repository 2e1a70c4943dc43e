"""The example of an inference, `examples/moved_threshold.py`: a threshold moved by what dev labels choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from any_documents import RELATIONS, any_document, f1_of, hashed_scorer, pairs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiments import execute, plans, results

from bench.data.documents import Document
from bench.interface import DocumentScores, Inference, Task
from bench.registry import find
from bench.runs.run_folder import RunFolder

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "moved_threshold.py"
NAMES = ["AtlopMoved", "SsrPuMoved", "PnMoved", "TtmReMoved"]


def untrained(name: str) -> Inference:
    """What an untrained model of this name decides by: it scores nothing itself."""
    cls = find(f"{EXAMPLE}:{name}").cls
    task = Task(encoder_size=8, relations=RELATIONS, label_rates=(0.1,) * len(RELATIONS))
    return cls.inference(cls(cls.Hyperparameters(pair_size=16, block_size=16), task), RELATIONS)


def wide(moved: Inference):
    """The hashed scores in as many columns as the model has."""
    columns = len(RELATIONS) + (0 if type(moved.model).__name__ == "PnMoved" else 1)

    def score(asked: Sequence[Document]) -> Iterator[DocumentScores]:
        for scores in hashed_scorer()(asked):
            yield scores._replace(logits=scores.logits[:, -columns:])

    return score


@pytest.fixture(scope="module", params=NAMES)
def moved(request) -> Inference:
    return untrained(request.param)


@settings(max_examples=10, deadline=None)
@given(drawn=st.lists(any_document(), min_size=1, max_size=2))
def test_no_number_has_a_higher_f1_on_dev_than_the_tuned_one(moved, drawn):
    gold = [replace(document, title=str(d)) for d, document in enumerate(drawn)]
    score = wide(moved)
    decision = moved.tune(score, gold)
    (tuned,) = decision.values()
    tried = np.arange(-12, 12, 0.25)
    best = max(f1_of(moved.predict(score, gold, dict.fromkeys(decision, number)), gold) for number in tried)
    assert f1_of(moved.predict(score, gold, decision), gold) >= best
    assert np.isfinite(tuned)


@settings(max_examples=10, deadline=None)
@given(document=any_document())
def test_at_zero_the_model_predicts_what_it_does_without(moved, document):
    score = wide(moved)
    (scores,) = score([document])
    decided = moved.model.decode(torch.from_numpy(scores.logits)).numpy()
    own = {(*scores.pairs[p].tolist(), RELATIONS[r]) for p, r in np.argwhere(decided).tolist()}
    predicted = moved.predict(score, [document], {"margin": 0.0})
    assert {(p.head, p.tail, p.relation) for p in predicted} == own
    assert len(predicted) == len(own)


def test_more_than_the_model_allows_a_pair_is_not_predicted_however_low_the_number():
    document = Document("d", (("a", "b"),), ((), ()), (), None)
    logits = np.array([[3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0]] * len(pairs_of(document)), np.float32)
    scores = DocumentScores(pairs_of(document), logits, None)
    predicted = untrained("AtlopMoved").predict(lambda documents: iter([scores]), [document], {"margin": -100.0})
    assert {p.relation for p in predicted} == set(RELATIONS[:3])  # the threshold class is the first of four


@pytest.mark.usefixtures("small")
def test_it_uses_what_was_trained_as_the_model_and_says_what_it_chose(tmp_path):
    trained = plans(models="atlop", settings="human")
    moved = plans(models=f"{EXAMPLE}:AtlopMoved", settings="human")
    assert [plan.stages for plan in moved] == [plan.stages for plan in trained]
    execute(tmp_path, trained)
    doing = []
    execute(tmp_path, moved, listener=lambda folder, status: doing.append(status.doing))
    assert "training" not in doing
    (plan, *_) = moved
    record = RunFolder.of(tmp_path, plan).record()
    assert record is not None
    assert list(record.decision) == ["margin"]
    assert results(tmp_path, moved) != results(tmp_path, trained)
