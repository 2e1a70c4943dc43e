from __future__ import annotations

import json
from pathlib import Path

import made_records
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.filesystem import write_json
from bench.launch.status import run_views
from bench.runs.record import DocumentCounts, RunRecord, Scores, SplitRecord, read_record
from bench.runs.run_folder import PLAN_IS_LOST, RunFolder, run_folders

PLAN = made_records.plan()
TITLES = ["é", "日本", "a \N{LINE SEPARATOR} b"]


def record(**changed) -> RunRecord:
    scores = Scores(f1=100 / 3, ign_f1=0.1 + 0.2, precision=50.0, recall=25.0)
    split = SplitRecord(
        scores=scores,
        macro_f1=1.0,
        slices={"strict": {"top_10": scores}, "released": {"top_10": scores}},
        relations={"knows": (1, 2, 3)},
        documents=DocumentCounts(
            titles=TITLES, correct=[1] * 3, predicted=[2] * 3, gold=[3] * 3, correct_in_facts=[0] * 3
        ),
        mentions_cut=0,
    )
    facts = {"computed from": "train", "sha256": "0"}
    made = made_records.record(PLAN, [[1, 2, 3, 0]]).model_dump()
    return RunRecord(**made | {"facts": facts, "splits": {"dev": split, "test": split}} | changed)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.of(tmp_path, PLAN)
    folder.announce(PLAN)
    folder.write_record(record())
    return folder


def test_a_record_comes_back_as_it_was_written(folder):
    assert folder.record() == record()


def test_the_same_record_is_the_same_bytes(folder):
    first = (folder.path / "record.json").read_bytes()
    folder.write_record(record())
    assert (folder.path / "record.json").read_bytes() == first


def test_writing_leaves_nothing_else_behind(folder):
    assert sorted(path.name for path in folder.path.iterdir()) == ["record.json", "run.json"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_detected_or_harmless(data, folder):
    path = folder.path / "record.json"
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) * 8 - 1))
    flipped = bytearray(content)
    flipped[at // 8] ^= 1 << at % 8
    path.write_bytes(bytes(flipped))
    try:
        assert folder.record() in (None, record())
    finally:
        path.write_bytes(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.data())
def test_a_truncated_record_is_none(data, folder):
    path = folder.path / "record.json"
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 2))])
    try:
        assert folder.record() is None
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("content", ["", "null", "[]", "7", '{"sha256": null}', "[" * 100_000, '{"record": "\\ud800"}'])
def test_a_file_that_is_something_else_is_no_record_and_no_crash(content, folder):
    (folder.path / "record.json").write_text(content)
    assert folder.record() is None
    assert folder.verdict().why == "damaged: record.json: not what was written (checksum)"


def test_a_record_that_does_not_say_its_schema_is_of_the_first():
    content = record().model_dump(mode="json")
    assert content.pop("schema_version") == 1
    assert read_record(content) == record()


@pytest.mark.parametrize("name", ["run.json", "status.json", "error.json"])
@pytest.mark.parametrize("content", ["", "[]", "7", "{}", "{", '{"message": {}}', '{"state": [1]}', '{"epoch": 1}'])
def test_status_reads_whatever_is_left_of_a_folder(name, content, folder, tmp_path):
    (folder.path / "record.json").unlink()
    (folder.path / name).write_text(content)
    (view,) = run_views(tmp_path)
    assert view.state in ("waiting", "failed", "damaged", "interrupted")


def test_a_plan_that_cannot_be_read_is_damaged_and_written_again(folder, tmp_path):
    (folder.path / "run.json").write_text("{")
    assert [view.state for view in run_views(tmp_path)] == ["damaged"]
    folder.announce(PLAN)
    assert folder.plan() == PLAN


def test_announcing_again_leaves_the_plan_alone(folder):
    before = (folder.path / "run.json").stat().st_mtime_ns
    folder.announce(PLAN)
    assert (folder.path / "run.json").stat().st_mtime_ns == before


def test_a_damaged_record_is_told(folder, tmp_path):
    (folder.path / "record.json").write_text("{")
    (view,) = run_views(tmp_path)
    advice = f"`bench run --again {folder.name} --out {tmp_path}` makes it anew"
    assert (view.state, view.detail) == ("damaged", f"record.json: not what was written (checksum); {advice}")


@pytest.mark.parametrize(("written", "changed"), [('"seed": 0', '"seed": 1'), ('"epochs": 3', '"epochs": 2')])
def test_a_plan_of_which_a_digit_has_changed_is_damaged_before_there_is_a_record(written, changed, folder, tmp_path):
    (folder.path / "record.json").unlink()
    text = (folder.path / "run.json").read_text()
    assert written in text
    (folder.path / "run.json").write_text(text.replace(written, changed))
    (view,) = run_views(tmp_path)
    assert view.state == "damaged"
    assert "run.json: not what was written (checksum); what was planned is lost" in view.detail
    folder.announce(PLAN)
    assert folder.plan() == PLAN


def test_a_plan_of_the_version_before_has_no_checksum_and_is_read(folder):
    write_json(folder.path / "run.json", PLAN.model_dump(mode="json"))
    assert folder.plan() == PLAN
    assert folder.record() == record()


def test_a_plan_of_a_newer_version_may_be_checked_otherwise(folder):
    write_json(folder.path / "run.json", {"schema_version": 2, "checksum": "of another kind"})
    assert folder.verdict().newer == "run.json: schema_version 2, this version reads 1 and lower"


@pytest.mark.parametrize("name", ["record.json", "status.json", "error.json", "provenance.json"])
def test_a_folder_with_a_file_of_a_run_is_one_whose_plan_is_gone(name, folder, tmp_path):
    for path in folder.path.iterdir():
        path.unlink()
    (folder.path / name).write_text("{}")
    (view,) = run_views(tmp_path)
    assert (view.state, view.detail) == ("damaged", f"{folder.name}: run.json: missing; {PLAN_IS_LOST}")


@pytest.mark.parametrize("name", ["run.json", "record.json", "status.json", "error.json"])
def test_a_folder_in_the_place_of_a_file_is_damage_to_that_run_and_to_no_other(name, folder, tmp_path):
    other = RunFolder.of(tmp_path, made_records.plan("n", 0))
    other.announce(made_records.plan("n", 0))
    (folder.path / name).unlink(missing_ok=True)
    (folder.path / name).mkdir()
    states = {view.run: view.state for view in run_views(tmp_path)}
    assert states[folder.name] == ("damaged" if name in ("run.json", "record.json") else "done")
    assert states[other.name] == "waiting"


def test_a_folder_without_a_plan_is_no_run(folder, tmp_path):
    (tmp_path / "runs" / "other").mkdir()
    (tmp_path / "runs" / "file").write_text("")
    assert [run.name for run in run_folders(tmp_path)] == [folder.name]


def test_an_error_is_kept_until_it_is_cleared(folder):
    folder.write_error("it broke [here]", "Traceback ...")
    assert folder.error() == "it broke [here]"
    folder.clear_error()
    folder.clear_error()
    assert folder.error() is None


def test_the_headline_is_of_test_or_of_dev_where_test_has_no_labels():
    both = record()
    assert both.headline == "test F1 33.33"
    assert both.model_copy(update={"splits": {"dev": both.splits["dev"]}}).headline == "dev F1 33.33"


def test_the_stored_form_is_checksum_and_record(folder):
    assert set(json.loads((folder.path / "record.json").read_text())) == {"sha256", "record"}
