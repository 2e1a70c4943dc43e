from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_experiments import documents, execute, plans
from torch import Tensor, nn

from baselines.thresholds import PerRelationThresholds
from bench.data.catalog.dataset import open_dataset
from bench.data.documents import Label
from bench.inference.finished_run import score_again
from bench.inference.load import UnusableModelError
from bench.inference.score_keeper import NEAREST, ScoreKeeper
from bench.interface import DocumentScores, PairModel, Task, Thresholds
from bench.metrics.submission import read_submission
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import load_curve, load_scores, scores_path

RELATIONS = ("knows", "leads")


class Ranked(PairModel):
    """Decides against a threshold class in column 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


def keeper(model: PairModel, tmp_path, logits, predicted, decides=True):
    """What is kept of the first small document, whose labels are (0, knows, 1), (1, leads, 2) and (1, leads, 3)."""
    of = documents("test", 2)[1:]
    pairs = np.array([(h, t) for h in range(4) for t in range(4) if h != t])
    kept = ScoreKeeper(model, of, RELATIONS, decides)
    kept.add(0, DocumentScores(pairs, np.asarray(logits, dtype=np.float32), None), predicted)
    kept.write(scores_path(tmp_path, "test"))
    return load_scores(tmp_path, "test")


def test_predicted_and_labelled_triples_are_kept_with_logit_and_threshold_and_the_nearest_others(tmp_path):
    logits = np.zeros((12, 3))
    logits[:, 0] = 1.0
    logits[0] = [2.0, 5.0, -3.0]  # (0, 1): knows is labelled and predicted
    predicted = np.zeros((12, 2), dtype=bool)
    predicted[0, 0] = True
    scores = keeper(Ranked(), tmp_path, logits, predicted)
    assert (scores.against, scores.decides) == ("the threshold class", True)
    rows = {(row.head, row.tail, row.relation): row for row in scores.documents[0]}
    assert len(rows) == min(24, 3 + NEAREST)
    assert (rows[0, 1, 0].logit, rows[0, 1, 0].threshold, rows[0, 1, 0].margin) == (5.0, 2.0, 3.0)
    assert rows[1, 2, 1].margin == -1.0


def test_of_the_others_those_with_the_highest_margins_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.inference.score_keeper.NEAREST", 2)
    logits = np.zeros((12, 3))
    logits[:, 0] = np.arange(12) + 10.0
    logits[4, 1] = 13.9  # (1, 2) knows: margin -0.1
    logits[7, 2] = 16.0  # (2, 1) leads: margin -1
    scores = keeper(Ranked(), tmp_path, logits, np.zeros((12, 2), dtype=bool))
    others = {(r.head, r.tail, r.relation) for r in scores.documents[0]} - {(0, 1, 0), (1, 2, 1), (1, 3, 1)}
    assert others == {(1, 2, 0), (2, 1, 1)}


def test_thresholds_tuned_on_dev_are_what_logits_are_compared_with(tmp_path):
    class Tuned(PerRelationThresholds):
        def __init__(self) -> None:
            super().__init__(Task(4, RELATIONS, (0.1, 0.1)))
            self.weight = nn.Parameter(torch.zeros(1))

    model = Tuned()
    model.thresholds.copy_(torch.tensor([0.5, -2.0]))
    scores = keeper(model, tmp_path, np.full((12, 2), -1.0), np.tile([False, True], (12, 1)))
    assert scores.against == "the relation's threshold, tuned on dev"
    assert scores.decides
    assert {(row.relation, row.margin) for row in scores.documents[0]} >= {(0, -1.5), (1, 1.0)}


def test_without_a_threshold_class_or_tuned_thresholds_logits_are_compared_with_0(tmp_path):
    scores = keeper(Ranked(), tmp_path, np.full((12, 2), 1.5), np.ones((12, 2), dtype=bool))
    assert scores.against == "0"
    assert {row.threshold for row in scores.documents[0]} == {0.0}


def test_a_prediction_below_its_threshold_is_told_as_one_that_scores_do_not_decide(tmp_path):
    scores = keeper(Ranked(), tmp_path, np.full((12, 2), -1.5), np.ones((12, 2), dtype=bool))
    assert not scores.decides


def test_a_document_without_pairs_has_no_scores(tmp_path):
    kept = ScoreKeeper(Ranked(), documents("test", 1), RELATIONS)
    kept.add(
        0, DocumentScores(np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3), np.float32), None), np.zeros((0, 2), bool)
    )
    kept.write(scores_path(tmp_path, "test"))
    assert load_scores(tmp_path, "test").documents == {}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("model", ["atlop", "dreeam", "dreeam-isf"])
def test_a_run_keeps_the_scores_of_all_it_predicted_and_they_can_be_made_again_from_its_weights(model, tmp_path):
    (plan,) = plans(model)
    assert execute(tmp_path, [plan]) == []
    folder = RunFolder.of(tmp_path, plan)
    first = load_scores(folder.path, "test")
    assert first.decides == (model != "dreeam-isf")
    found = read_submission(folder.path / "predictions-test.json")
    relations = plan.stages[-1].relations
    of = open_dataset("small").documents("test")
    for row, document in enumerate(of):
        kept = {(s.head, s.tail, relations[s.relation]): s for s in first.documents[row]}
        predicted = {(p.head, p.tail, p.relation): p for p in found if p.title == document.title}
        assert kept.keys() >= predicted.keys() | {(label.head, label.tail, label.relation) for label in document.labels}
        if model == "atlop":
            assert {triple for triple, s in kept.items() if s.margin > 0} == predicted.keys()
        else:
            assert all(kept[triple].evidence == p.evidence for triple, p in predicted.items())
    scores_path(folder.path, "test").unlink()
    score_again(folder, plan, "test", of, found)
    again = load_scores(folder.path, "test")
    assert (again.against, again.decides) == (first.against, first.decides)
    for row in first.documents:
        ours, theirs = sorted(first.documents[row]), sorted(again.documents[row])
        assert [s[:3] for s in ours] == [s[:3] for s in theirs]
        assert [s.margin for s in ours] == pytest.approx([s.margin for s in theirs], abs=1e-4)


@pytest.mark.usefixtures("small")
def test_scores_are_not_made_from_weights_of_other_code_or_without_weights(tmp_path):
    (plan,) = plans()
    folder = RunFolder.of(tmp_path, plan)
    with pytest.raises(UnusableModelError, match="is gone"):
        score_again(folder, plan, "test", [], [])
    changed = plan.model_copy(update={"stages": (plan.stages[0].model_copy(update={"code": "another"}),)})
    with pytest.raises(UnusableModelError, match="code of atlop has changed"):
        score_again(folder, changed, "test", [], [])


def test_damaged_scores_are_none(tmp_path):
    keeper(Ranked(), tmp_path, np.zeros((12, 3)), np.zeros((12, 2), dtype=bool))
    path = scores_path(tmp_path, "test")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert load_scores(tmp_path, "test") is None


def test_a_model_may_say_itself_what_it_compares_with(tmp_path):
    class Own(Ranked):
        def decided_against(self, logits: Tensor, relations):
            return Thresholds(logits.new_tensor(3.0), "3")

    scores = keeper(Own(), tmp_path, np.full((12, 2), 4.0), np.ones((12, 2), dtype=bool))
    assert (scores.against, scores.decides) == ("3", True)
    assert {row.margin for row in scores.documents[0]} == {1.0}


@pytest.mark.parametrize(("below", "decides"), [(2, True), (3, False)])
def test_one_in_a_hundred_predictions_may_have_come_to_lie_below_its_threshold(below, decides, tmp_path):
    of = documents("test", 10)
    pairs = np.array([(h, t) for h in range(4) for t in range(4) if h != t])
    kept = ScoreKeeper(Ranked(), of, RELATIONS)
    for row in range(len(of)):
        logits = np.ones((12, 2), dtype=np.float32)
        logits[: below if row == 0 else 0, 0] = -1e-6
        kept.add(row, DocumentScores(pairs, logits, None), np.ones((12, 2), dtype=bool))
    kept.write(scores_path(tmp_path, "test"))
    assert load_scores(tmp_path, "test").decides is decides


def test_the_ranking_is_of_all_candidates_by_margin_not_of_those_that_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.inference.score_keeper.NEAREST", 0)
    of = documents("test", 2)[1:]
    pairs = np.array([(h, t) for h in range(4) for t in range(4) if h != t])
    logits = np.full((12, 3), -9.0, dtype=np.float32)
    logits[:, 0] = np.arange(12)  # a threshold of its own for each pair
    logits[0, 1] = 0.5  # (0, knows, 1), labelled: margin 0.5
    logits[11, 2] = 11.25  # wrong, margin 0.25, though its logit is the highest
    logits[4, 2] = 4.125  # (1, leads, 2), labelled: margin 0.125
    logits[5, 2] = 0.0  # (1, leads, 3), labelled: margin -5, above all others, of which the highest has -9
    kept = ScoreKeeper(Ranked(), of, RELATIONS)
    kept.add(0, DocumentScores(pairs, logits, None), logits[:, 1:] > logits[:, :1])
    ranking = kept.ranking()
    assert ranking.auc == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2 + (2 / 3 + 3 / 4) / 2) / 3)
    assert ranking.highest == 0.5
    kept.write(scores_path(tmp_path, "test"), ranking)
    assert load_scores(tmp_path, "test").curve.tolist() == load_curve(tmp_path, "test").tolist()
    assert load_curve(tmp_path, "test") == pytest.approx(
        np.array([[100 / 3, 100, 0.5], [200 / 3, 200 / 3, 0.125], [100, 75, -5]])
    )


def test_ign_auc_leaves_out_the_facts_of_training():
    of = documents("test", 2)[1:]
    pairs = np.array([(h, t) for h in range(4) for t in range(4) if h != t])
    logits = np.zeros((12, 3), dtype=np.float32)
    labels = {(0, 1, "knows"), (1, 2, "leads"), (1, 3, "leads")}
    for p, (head, tail) in enumerate(pairs.tolist()):
        for r, relation in enumerate(RELATIONS):
            logits[p, r + 1] = 5.0 - p if (head, tail, relation) in labels else -1.0
    kept = ScoreKeeper(Ranked(), of, RELATIONS)
    kept.add(0, DocumentScores(pairs, logits, None), logits[:, 1:] > 0)
    assert (kept.ranking().auc, kept.ranking().ign_auc) == (100.0, 100.0)
    names = [of[0].entities[e][0].name for e in range(2)]
    known = kept.ranking({(names[0], names[1], "knows")})
    assert known.auc == 100.0
    assert known.ign_auc == pytest.approx(100 * (0 + 1 / 2 + 1) / 3)  # nothing is left of the first


def test_what_margins_do_not_decide_and_what_has_no_labels_is_not_ranked(tmp_path):
    scores = DocumentScores(np.array([(0, 1)]), np.zeros((1, 3), np.float32), None)
    fused = ScoreKeeper(Ranked(), documents("test", 1), RELATIONS, decides=False)
    blind = ScoreKeeper(Ranked(), [replace(document, labels=()) for document in documents("test", 1)], RELATIONS)
    for kept in (fused, blind):
        kept.add(0, scores, np.zeros((1, 2), dtype=bool))
        assert kept.ranking() is None
        kept.write(scores_path(tmp_path, "test"), kept.ranking())
        assert load_curve(tmp_path, "test") is None


def test_a_margin_below_a_threshold_that_is_no_number_ranks_last():
    class Own(Ranked):
        def decided_against(self, logits: Tensor, relations):
            return Thresholds(logits.new_tensor([float("nan"), 0.0]), "a threshold")

    of = [replace(documents("test", 1)[0], labels=(Label(1, 2, "leads"),))]
    kept = ScoreKeeper(Own(), of, RELATIONS)
    scores = DocumentScores(np.array([(1, 2)]), np.array([[9.0, -1.0]], np.float32), None)
    kept.add(0, scores, np.zeros((1, 2), dtype=bool))
    assert (kept.ranking().auc, kept.ranking().highest) == (100.0, -1.0)


def test_ranking_five_hundred_documents_takes_no_more_than_four_bytes_a_candidate():
    """A fiftieth of them here: 10 documents of 400 pairs and 96 relations."""
    relations = tuple(f"r{i}" for i in range(96))
    of = [replace(documents("test", 1)[0], title=f"d{i}", labels=(Label(0, 1, "r0"),)) for i in range(10)]
    kept = ScoreKeeper(Ranked(), of, relations)
    pairs = np.array([(h, t) for h in range(20) for t in range(20)])
    random = np.random.default_rng(0)
    tracemalloc.start()
    for row in range(len(of)):
        logits = random.normal(size=(400, 97)).astype(np.float32)
        kept.add(row, DocumentScores(pairs, logits, None), np.zeros((400, 96), dtype=bool))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    kept.ranking()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    candidates = 4 * 10 * 400 * 96
    assert held < 1.3 * candidates  # with the logits of the last document and the kept triples
    assert peak - held < 0.2 * candidates
