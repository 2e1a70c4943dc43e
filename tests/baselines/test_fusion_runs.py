"""Runs with inference-stage fusion."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_experiments import documents, execute, plans

from baselines.dreeam import Dreeam
from baselines.fusion import (
    THRESHOLD,
    DreeamIsf,
    InferenceStageFusion,
)
from bench.data.formats.docred import write_documents
from bench.inference.finished_run import predict_file
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder


@pytest.fixture(scope="module")
def trained(small_home, tmp_path_factory):
    """Runs of both models alone on annotated documents, and with distant ones."""
    out = tmp_path_factory.mktemp("fusion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        planned = plans("dreeam,dreeam-isf", settings="human,human+distant")
        failed = execute(out, planned)
    assert failed == [], [RunFolder.of(out, plan).error() for plan in failed]
    return out, {(plan.model, plan.setting): plan for plan in planned}


def test_the_models_share_every_stage_and_a_teacher_is_the_model_of_the_annotated_documents(trained):
    out, planned = trained
    for setting in ("human", "human+distant"):
        assert planned["dreeam", setting].stages == planned["dreeam-isf", setting].stages
        assert planned["dreeam", setting].key != planned["dreeam-isf", setting].key
    (alone,) = planned["dreeam", "human"].stages
    teacher, student, tuned = planned["dreeam", "human+distant"].stages
    assert (teacher.key, student.teacher, student.after, tuned.after) == (alone.key, alone.key, None, student.key)
    assert {path.name for path in (out / "stages").iterdir()} == {s.folder for s in (teacher, student, tuned)}


def test_the_student_learns_from_its_teachers_attention_and_the_others_from_evidence(trained):
    out, planned = trained
    (signals,) = (out / "signals").iterdir()
    assert signals.name.startswith("token_attention-")
    attention = np.load(signals / "0000000.npy")
    # 4 documents of 12 pairs, in each of which a pair's attention sums to 1.
    assert attention.dtype == np.float16
    assert attention.reshape(48, -1).sum(1, dtype=np.float64) == pytest.approx(np.ones(48), abs=1e-2)
    parts = []
    for stage in planned["dreeam", "human+distant"].stages:
        lines = [json.loads(line) for line in (stage_folder(out, stage) / "log.jsonl").read_text().splitlines()]
        parts.append({name for line in lines for name in line} & {"loss/evidence", "loss/teacher_attention"})
    assert parts == [{"loss/evidence"}, {"loss/teacher_attention"}, {"loss/evidence"}]


def test_the_record_has_the_threshold_and_scores_of_the_evidence(trained):
    out, planned = trained
    for (model, _), plan in planned.items():
        record = RunFolder.of(out, plan).record()
        assert set(record.decision) == ({THRESHOLD} if model == "dreeam-isf" else set())
        assert all(split.evidence is not None for split in record.splits.values())
        rows = json.loads((RunFolder.of(out, plan).path / "predictions-test.json").read_text())
        assert all("evidence" in row for row in rows)


def test_a_run_predicts_new_documents_with_its_own_threshold(trained, tmp_path):
    out, planned = trained
    folder = RunFolder.of(out, planned["dreeam-isf", "human"])
    write_documents(tmp_path / "new.json", documents("test", 3))

    def predict() -> list:
        predict_file(folder.path, tmp_path / "new.json", tmp_path / "found.json")
        return json.loads((tmp_path / "found.json").read_text())

    found = predict()
    assert found == json.loads((folder.path / "predictions-test.json").read_text())
    record = folder.record()
    folder.write_record(record.model_copy(update={"decision": {THRESHOLD: -1e9}}))
    everything = predict()
    folder.write_record(record)
    assert len(found) < len(everything)


def test_bench_evaluate_scores_the_evidence_of_a_submission_as_the_run_does(trained, bench, tmp_path):
    out, planned = trained
    folder = RunFolder.of(out, planned["dreeam-isf", "human"])
    write_documents(tmp_path / "gold.json", documents("test", 3))
    submission = folder.path / "predictions-test.json"
    status, printed, _ = bench("evaluate", "--gold", tmp_path / "gold.json", "--pred", submission)
    scores = folder.record().splits["test"]
    assert scores.evidence.f1 > 0
    row = next(line.split() for line in printed.splitlines() if line.split()[:1] == [f"{scores.scores.f1:.2f}"])
    assert (status, row[6]) == (0, f"{scores.evidence.f1:.2f}")


def test_the_registered_model_differs_in_inference_alone():
    assert (DreeamIsf.trains_as, DreeamIsf.inference) == ("dreeam", InferenceStageFusion)
    assert DreeamIsf.recipe is Dreeam.recipe
