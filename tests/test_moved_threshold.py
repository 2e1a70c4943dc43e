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
from small_experiments import execute, plans

from bench.data.documents import Document, Label
from bench.interface import DocumentScores, Inference, Scorer, Task
from bench.registry import find
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import load_curve

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "moved_threshold.py"
TRAINED_AS = {"AtlopMoved": "atlop", "SsrPuMoved": "ssrpu", "PnMoved": "pn", "TtmReMoved": "ttmre"}


def untrained(name: str) -> Inference:
    """What an untrained model of this name decides by: it scores nothing itself."""
    cls = find(f"{EXAMPLE}:{name}").cls
    task = Task(encoder_size=8, relations=RELATIONS, label_rates=(0.1,) * len(RELATIONS))
    return cls.inference(cls(cls.Hyperparameters(pair_size=16, block_size=16), task), RELATIONS)


def wide(moved: Inference) -> Scorer:
    """The hashed scores in as many columns as the model has."""
    columns = len(RELATIONS) + (0 if type(moved.model).__name__ == "PnMoved" else 1)

    def score(asked: Sequence[Document]) -> Iterator[DocumentScores]:
        for scores in hashed_scorer()(asked):
            yield scores._replace(logits=scores.logits[:, -columns:])

    return score


@pytest.fixture(scope="module", params=TRAINED_AS)
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
    predicted = moved.predict(score, [document], {"margin": np.nextafter(0.0, 1.0)})
    assert {(p.head, p.tail, p.relation) for p in predicted} == own
    assert len(predicted) == len(own)


def test_more_than_the_model_allows_a_pair_is_not_predicted_however_low_the_number():
    document = Document("d", (("a", "b"),), ((), ()), (), None)
    logits = np.array([[3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.0, -5.0]] * len(pairs_of(document)), np.float32)
    scores = DocumentScores(pairs_of(document), logits, None)
    predicted = untrained("AtlopMoved").predict(lambda documents: iter([scores]), [document], {"margin": -100.0})
    assert {p.relation for p in predicted} == set(RELATIONS[:3])  # the threshold class is the first of four


def test_where_no_label_is_a_candidate_the_model_decides_as_it_does(moved):
    document = Document("d", (("a", "b"),), ((), ()), (Label(0, 1, "a"),), ())  # labelled, and without pairs
    (number,) = moved.tune(wide(moved), [document]).values()
    assert number > 0.0
    assert number / 2 == 0.0  # nothing is between it and 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("name", "model"), TRAINED_AS.items())
def test_it_is_trained_as_the_model_whose_threshold_it_moves(name, model):
    moved, trained = plans(f"{EXAMPLE}:{name}:pair_size=32"), plans(f"{model}:pair_size=32")
    assert [plan.stages for plan in moved] == [plan.stages for plan in trained]


@pytest.mark.usefixtures("small")
def test_it_decides_by_what_it_chose_from_weights_that_are_there(tmp_path):
    trained, moved = plans("atlop"), plans(f"{EXAMPLE}:AtlopMoved")
    execute(tmp_path, trained)
    doing = []
    execute(tmp_path, moved, listener=lambda folder, status: doing.append(status.doing))
    assert "training" not in doing
    before, after = (RunFolder.of(tmp_path, plan).record() for plan in (*trained, *moved))
    assert before is not None
    assert after is not None
    assert list(after.decision) == ["margin"]
    # Its own line is one of those that it may choose.
    assert after.splits["dev"].scores.f1 >= before.splits["dev"].scores.f1
    curve = load_curve(RunFolder.of(tmp_path, trained[0]).path, "dev")
    assert curve is not None
    at_least = curve[curve[:, 2] >= after.decision["margin"] - 1e-5]  # the curve is of margins in float32
    assert after.splits["dev"].scores.recall == pytest.approx(at_least[-1, 0])
