"""The page of errors where something of one run is damaged: the others are on it, and it says what is not, and why."""

from __future__ import annotations

import json
import math

import explored_runs
import pytest

from bench.errors import BenchError
from bench.explorer.encoding import encode
from bench.explorer.page import render
from bench.explorer.runs import explore
from bench.filesystem import write_checksum
from bench.inference.trust import Trust
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import scores_path


@pytest.fixture
def out(tmp_path, monkeypatch):
    """An output folder with two runs of one data set, in a BENCH_HOME that knows it: atlop, ssrpu."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    dataset = explored_runs.register(tmp_path / "data")
    for model in ("atlop", "ssrpu"):
        explored_runs.write_run(tmp_path / "out", dataset, model, 3)
    return tmp_path / "out"


def folder_of(out, model):
    (path,) = (out / "runs").glob(f"{model}-*")
    return RunFolder(out, path.name)


def rows_with(**changed):
    """Predictions of which the first has other values."""
    return lambda text: json.dumps([json.loads(text)[0] | changed, *json.loads(text)[1:]])


DAMAGES = {
    "cut": (lambda text: text[: len(text) // 2], "not JSON"),
    "no list": (lambda text: "{}", "expected a list"),
    "NaN": (rows_with(score=math.nan), "expected a finite number"),
    "another document": (rows_with(title="of no document"), "which no document of the data set has"),
    "an unknown relation": (rows_with(r="P999"), "of a relation that the data set lacks"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_run_with_damaged_predictions_is_left_out_with_the_reason_and_the_other_is_shown(kind, out, bench):
    damage, reason = DAMAGES[kind]
    damaged = folder_of(out, "atlop")
    path = damaged.path / "predictions-test.json"
    path.write_text(damage(path.read_text()))
    status, printed, error = bench("explore", "--out", out)
    assert status == 0
    assert "documents, 1 run, " in printed
    assert f"{damaged.name}: left out: " in error
    assert reason in error
    assert f"`bench run --again {damaged.name} --out {out}` makes it anew" in error
    page = (out / "report" / "explorer.html").read_text()
    assert f"Left out: <b>{damaged.name}</b>" in page
    assert reason in page


def test_predictions_that_are_missing_are_such_damage(out):
    damaged = folder_of(out, "ssrpu")
    (damaged.path / "predictions-test.json").unlink()
    exploration = explore([folder_of(out, "atlop"), damaged], "test", on_message=lambda note: None)
    assert [run.folder for run in exploration.runs] == [folder_of(out, "atlop").name]
    (left_out,) = exploration.left_out
    assert "cannot be read: No such file" in left_out.why


def test_predictions_of_which_a_digit_has_changed_are_such_damage(out):
    damaged = folder_of(out, "ssrpu")
    path = damaged.path / "predictions-test.json"
    write_checksum(path)
    text = path.read_text()
    path.write_text(text.replace('"h_idx": 0', '"h_idx": 1', 1))
    assert path.read_text() != text
    exploration = explore([folder_of(out, "atlop"), damaged], "test", on_message=lambda note: None)
    assert [run.folder for run in exploration.runs] == [folder_of(out, "atlop").name]
    assert f"{path}: not what was written (checksum)" in exploration.left_out[0].why


def test_a_run_whose_record_is_damaged_is_left_out_where_it_is_named(out, bench):
    damaged = folder_of(out, "ssrpu")
    path = damaged.path / "record.json"
    path.write_text(path.read_text()[:-20])
    status, printed, error = bench("explore", "atlop", "ssrpu", "--out", out)
    assert (status, "1 run, " in printed) == (0, True)
    assert f"{damaged.name}: left out: damaged: record.json" in error


def test_where_no_run_can_be_shown_no_page_is_written(out, bench):
    for model in ("atlop", "ssrpu"):
        (folder_of(out, model).path / "predictions-test.json").write_text("[")
    status, _, error = bench("explore", "--out", out)
    assert status == 1
    assert "none of the runs can be shown" in error
    assert not (out / "report").exists()
    with pytest.raises(BenchError, match="none of the runs"):
        explore([folder_of(out, "atlop")], "test", on_message=lambda note: None)


@pytest.mark.parametrize("part", ["safetensors", "json"])
def test_damaged_scores_are_said_to_be_and_the_run_is_shown_without(part, out):
    damaged = folder_of(out, "atlop")
    path = scores_path(damaged.path, "test").with_suffix(f".{part}")
    path.write_bytes(path.read_bytes()[:-9])
    told: list[str] = []
    encoded = encode(explore([damaged, folder_of(out, "ssrpu")], "test", on_message=told.append))
    assert "the scores beside its predictions are damaged; making them from its weights" in told[0]
    assert "the code of atlop has changed" in encoded["runs"][0]["unscored"]  # its plan names no code that there is
    assert encoded["runs"][1]["unscored"] == ""
    without = encode(explore([damaged], "test", make_scores=False))
    assert without["runs"][0]["unscored"] == "the scores beside its predictions are damaged"


def test_scores_of_other_documents_are_not_shown(out):
    theirs = folder_of(out, "atlop")
    relations = ("knows", "leads", "of another data set")
    explored_runs.write_scores(theirs.path, explored_runs.all_documents(40), relations, [], True)
    (run,) = explore([theirs], "test", make_scores=False).runs
    assert run.scores is None
    assert run.unscored == "the scores beside its predictions are of other documents"


def test_a_run_whose_model_is_gone_is_shown_without_scores_beside_the_other(out):
    gone = folder_of(out, "ssrpu")
    scores_path(gone.path, "test").unlink()
    plan = gone.plan()
    stage = plan.stages[0].model_copy(update={"reference": "/gone/mine.py:Mine"})
    (gone.path / "run.json").write_text(plan.model_copy(update={"stages": (stage,)}).model_dump_json())
    told: list[str] = []
    exploration = explore([folder_of(out, "atlop"), gone], "test", on_message=told.append, trust=Trust(everything=True))
    assert [run.scores is None for run in exploration.runs] == [False, True]
    assert "no file /gone/mine.py" in exploration.runs[1].unscored
    assert "no file /gone/mine.py" in render(encode(exploration))


def test_a_page_of_runs_that_are_all_there_says_nothing_of_others(out):
    page = render(encode(explore([folder_of(out, "atlop")], "test")))
    assert "Left out" not in page
