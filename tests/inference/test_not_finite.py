"""Logits that are NaN or infinite outside training: a failed run that says where, never a score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from small_experiments import documents, execute, plans

from bench.data.catalog.dataset import open_dataset
from bench.data.features.build import build_features
from bench.data.formats.docred import write_documents
from bench.explorer.runs import explore
from bench.inference.document_model import DocumentModel
from bench.inference.finished_run import predict_file
from bench.inference.load import predictor_of
from bench.inference.reader import NotFiniteError
from bench.metrics.submission import read_submission
from bench.runs.interrupt import Interrupt
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import scores_path

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def spoil(monkeypatch) -> Callable[..., None]:
    """Makes the last logit of every batch `value` outside training, after `good` batches that are as they are."""
    scored = DocumentModel.scored

    def spoil(value: float, good: int = 0) -> None:
        seen = 0

        def spoilt(self, batch):
            nonlocal seen
            logits, inputs = scored(self, batch)
            seen += not self.training
            if not self.training and seen > good:
                logits = logits.clone()
                logits[-1, -1] = value
            return logits, inputs

        monkeypatch.setattr(DocumentModel, "scored", spoilt)

    return spoil


def error_of(tmp_path, model: str, *changes: str, **options) -> str:
    # Behind another one: not all models have a use for every change that small experiments make.
    plan = plans(f"atlop,{model}" if model != "atlop" else model, *changes, **options)[-1]
    assert execute(tmp_path, [plan]) == [plan]
    folder = RunFolder.of(tmp_path, plan)
    assert folder.record() is None
    return folder.error()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_epoch_and_the_document_are_named_whatever_is_not_finite(value, spoil, tmp_path):
    spoil(value, good=1)  # one batch holds all dev documents
    error = error_of(tmp_path, "atlop")
    assert error.startswith("dev after epoch 2: 1 of 36 logits of document 'dev ")
    assert "are not finite numbers" in error


@pytest.mark.parametrize("model", ["ssrpu", "kd_docre", "dreeam", "dreeam-isf", "ttmre", "pubmedbert", "bran"])
def test_no_model_finishes_with_logits_that_are_nan(model, spoil, tmp_path):
    spoil(float("nan"))
    assert "dev after epoch 1:" in error_of(tmp_path, model)


@pytest.mark.parametrize(("good", "split"), [(2, "dev"), (3, "test")])
def test_at_the_end_the_split_is_named(good, split, spoil, tmp_path):
    spoil(float("nan"), good)
    error = error_of(tmp_path, "atlop")
    assert error.startswith(f"evaluation of {split}: ")
    assert f"of document '{split} " in error


def test_a_teachers_signals_are_not_made_of_what_is_not_finite(spoil, tmp_path):
    spoil(float("nan"), good=2)  # the teacher's two epochs
    assert error_of(tmp_path, "kd_docre", settings="human+distant").startswith("signals of kd_docre for distant: ")


def test_of_a_batch_the_first_document_that_is_not_finite_is_named(spoil, tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    reader = predictor_of(tmp_path, plan, Interrupt()).reader
    few = documents("test", 3)
    stage = reader.stage
    features = list(build_features(few, reader.source.words(), stage.relations, stage.max_length))
    spoil(float("nan"))
    with pytest.raises(NotFiniteError, match=r"^1 of 36 logits of document 'test 0' "):
        list(reader.batches(features, [np.array([2, 0])]))


def test_predicting_a_file_names_file_and_document_and_writes_nothing(spoil, tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    write_documents(tmp_path / "new.json", documents("new", 1))
    spoil(float("nan"))
    with pytest.raises(NotFiniteError, match=r"new\.json: 1 of 36 logits of document 'new 0' "):
        predict_file(RunFolder.of(tmp_path, plan).path, tmp_path / "new.json", tmp_path / "result.json")
    assert not (tmp_path / "result.json").exists()


def test_a_finished_run_whose_scores_cannot_be_made_again_is_shown_without_them(spoil, tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    folder = RunFolder.of(tmp_path, plan)
    scores_path(folder.path, "test").unlink()
    spoil(float("nan"))
    messages: list[str] = []
    (run,) = explore([folder], "test", on_message=messages.append).runs
    assert run.scores is None
    assert "not finite" in run.unscored
    assert any("shown without scores: test: " in message for message in messages)


def test_a_model_that_ends_the_program_has_failed_and_the_next_run_is_done(monkeypatch, tmp_path):
    first, second = plans("ssrpu,atlop")
    scored = DocumentModel.scored

    def leaving(self, batch):
        if type(self.model).__name__ != "Atlop":
            raise SystemExit(5)
        return scored(self, batch)

    monkeypatch.setattr(DocumentModel, "scored", leaving)
    assert execute(tmp_path, [first, second]) == [first]
    assert RunFolder.of(tmp_path, first).error().startswith("the model's code ended the program: sys.exit(5) (")
    assert RunFolder.of(tmp_path, second).record() is not None


def test_the_area_of_a_run_is_that_of_all_its_logits(monkeypatch, tmp_path):
    """Recomputed from the logits as the model gives them, sorted as a whole."""
    (plan,) = plans()
    execute(tmp_path, [plan])
    folder = RunFolder.of(tmp_path, plan)
    reader = predictor_of(tmp_path, plan, Interrupt()).reader
    of = open_dataset("small").documents("test")
    rows = []
    for document, scores in zip(of, reader.score(of), strict=True):
        margins = scores.logits[:, 1:] - scores.logits[:, :1]
        for (head, tail), of_pair in zip(scores.pairs.tolist(), margins, strict=True):
            for relation, margin in zip(plan.stages[-1].relations, of_pair.tolist(), strict=True):
                rows.append((margin, (document.title, head, tail, relation) in document.triples()))
    rows.sort(reverse=True)
    gold = sum(len(document.triples()) for document in of)
    labelled = np.array([row[1] for row in rows], dtype=float)
    precision, recall = labelled.cumsum() / np.arange(1, len(rows) + 1), labelled.cumsum() / gold
    area = np.trapezoid(np.append(precision[0], precision), np.append(0.0, recall))
    recorded = folder.record().splits["test"]
    assert recorded.scores.auc == pytest.approx(100 * area, abs=1e-3)  # ours reads documents of one length together
    assert recorded.highest_margin == pytest.approx(rows[0][0], abs=1e-4)
    predictions = read_submission(folder.path / "predictions-test.json")
    assert len(predictions) == sum(margin > 0 for margin, _ in rows)
