from __future__ import annotations

from pathlib import Path

import made_records
import pytest
from spoiled_records import COUNTS, IMPOSSIBLE, NEWER, edit_plan, edit_record

from bench.errors import NewerVersionError
from bench.filesystem import write_sealed
from bench.launch.status import run_views
from bench.runs.run_folder import RunFolder, kept_from_newer
from bench.runs.stage_folder import (
    RESULT,
    SELECTED,
    StageResult,
    newer_stage,
    stage_folder,
    stage_is_done,
    stage_is_trained,
    stage_result,
)

PLAN = made_records.plan()
STAGE = {"key": "k", "dev_f1": [1.0], "selected_epoch": 1, "selected_sha256": "s", "documents": 3, "mentions_cut": 0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """The folder of a finished run."""
    made_records.write(tmp_path, PLAN, COUNTS)
    return RunFolder.of(tmp_path, PLAN)


def test_a_run_as_it_was_written_has_its_record(folder):
    found = folder.verdict()
    assert (found.plan, found.record) == (PLAN, made_records.record(PLAN, COUNTS))
    assert (found.why, found.is_closed) == ("", True)


@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_a_record_that_cannot_be_right_is_damaged_and_says_what_is_wrong(kind, folder, tmp_path):
    edit, said = IMPOSSIBLE[kind]
    edit_record(folder, edit)
    found = folder.verdict()
    assert found.record is None
    assert found.damage.startswith("record.json: ")
    assert said in found.damage
    assert not found.is_closed
    (view,) = run_views(tmp_path)
    assert view.state == "damaged"
    assert view.detail == f"{found.damage}; `bench run --again {folder.name} --out {tmp_path}` makes it anew"


@pytest.mark.parametrize("kind", NEWER)
def test_a_record_of_a_newer_version_is_not_damaged_and_nothing_is_to_be_done_for_it(kind, folder, tmp_path):
    edit, said = NEWER[kind]
    edit_record(folder, edit)
    found = folder.verdict()
    assert (found.record, found.damage, found.newer) == (None, "", f"record.json: {said}")
    assert found.is_closed
    assert kept_from_newer(tmp_path, PLAN) == found.newer
    (view,) = run_views(tmp_path)
    assert (view.state, view.detail) == ("newer", found.newer)


def test_a_record_of_a_newer_version_whose_checksum_is_wrong_is_damaged(folder):
    edit_record(folder, NEWER["a higher schema"][0])
    path = folder.path / "record.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert folder.verdict().damage == "record.json: not what was written (checksum)"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda plan: plan.update(schema_version=2), "run.json: schema_version 2, this version reads 1 and lower"),
        (lambda plan: plan.update(surprise=1), "run.json: with surprise, unknown to this version"),
        (
            lambda plan: plan["stages"][0].update(surprise=1),
            "run.json: with stages.0.surprise, unknown to this version",
        ),
    ],
)
def test_a_plan_of_a_newer_version_is_kept_with_its_record_and_named(edit, said, folder, tmp_path):
    edit_plan(folder, edit)
    before = {path: path.read_bytes() for path in folder.path.iterdir()}
    assert folder.verdict().newer == said
    folder.announce(PLAN)
    assert {path: path.read_bytes() for path in folder.path.iterdir()} == before
    (view,) = run_views(tmp_path)
    assert (view.state, view.detail) == ("newer", f"{folder.name}: {said}")


@pytest.mark.parametrize(
    "edit",
    [
        lambda plan: plan.pop("seed"),
        lambda plan: plan.update(seee=plan.pop("seed")),  # one bit: no newer version
        lambda plan: plan.update(stages=[]),
        lambda plan: plan.update(setting="never"),
        lambda plan: plan.update(schema_version=-1),
    ],
)
def test_a_plan_that_is_damaged_is_told_and_written_again_by_whoever_plans_it(edit, folder, tmp_path):
    edit_plan(folder, edit)
    (view,) = run_views(tmp_path)
    assert view.state == "damaged"
    assert view.detail.startswith(f"{folder.name}: run.json: ")
    folder.announce(PLAN)
    assert folder.verdict().record == made_records.record(PLAN, COUNTS)


def test_a_plan_of_the_same_run_under_another_name_gives_way_where_there_is_no_record(folder):
    edit_plan(folder, lambda plan: plan.update(encoder="./e"))
    assert "encoder is 'e', in run.json './e'" in folder.verdict().damage
    folder.announce(PLAN)
    assert folder.verdict().record is not None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"schema_version": 2}, "schema_version 2, this version reads 1 and lower"),
        ({"surprise": 1}, "with surprise, unknown to this version"),
    ],
)
def test_a_stage_of_a_newer_version_is_not_trained_again_nor_are_runs_that_need_it(changed, said, folder, tmp_path):
    (folder.path / "record.json").unlink()
    stage = stage_folder(tmp_path, PLAN.stages[0])
    write_sealed(stage / RESULT, "result", {**STAGE, **changed})
    (stage / SELECTED).touch()
    assert stage_is_done(stage)
    assert stage_is_trained(stage)
    told = f"stages/{stage.name}/result.json: {said}"
    assert newer_stage(stage) == told
    with pytest.raises(NewerVersionError):
        stage_result(stage)
    assert kept_from_newer(tmp_path, PLAN) == told
    (view,) = run_views(tmp_path)
    assert (view.state, view.detail) == ("newer", told)


@pytest.mark.parametrize(
    "changed",
    [{"dev_f1": [float("nan")]}, {"dev_f1": []}, {"selected_epoch": 2}, {"documents": "3"}, {"schema_version": None}],
)
def test_a_stage_whose_result_cannot_be_right_is_not_done(changed, tmp_path):
    stage = tmp_path / "stages" / "s"
    write_sealed(stage / RESULT, "result", {**STAGE, **changed})
    (stage / SELECTED).touch()
    assert not stage_is_done(stage)
    assert newer_stage(stage) == ""


def test_the_result_of_a_stage_comes_back_as_it_was_written(tmp_path):
    stage = tmp_path / "stages" / "s"
    (stage / SELECTED).mkdir(parents=True)
    StageResult(**STAGE).write(stage)
    write_sealed((stage / SELECTED).with_suffix(".json"), "state", {"tensors_sha256": "s"})
    assert stage_result(stage) == StageResult(**STAGE)
