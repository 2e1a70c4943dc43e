from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from small_experiments import execute, plans, results
from spoiled_records import IMPOSSIBLE, NEWER, edit_plan, edit_record

from bench.filesystem import write_sealed
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import RESULT, SELECTED, stage_folder

pytestmark = pytest.mark.usefixtures("small")

AGAIN = ("--launcher", "inline")


@pytest.fixture(scope="module")
def planned(small_home) -> list[RunPlan]:
    """Two runs whose first stage is the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        return plans(settings="distant,human+distant")


@pytest.fixture(scope="module")
def finished(planned, small_home, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        out = tmp_path_factory.mktemp("finished")
        assert execute(out, planned) == []
    return out


@pytest.fixture
def out(finished, tmp_path) -> Path:
    """An output folder of one's own with both runs."""
    return shutil.copytree(finished, tmp_path / "it's out")


@pytest.fixture
def both(out, planned) -> RunFolder:
    """The run of two stages."""
    return RunFolder.of(out, planned[1])


def stage_files(out: Path, plan: RunPlan, number: int) -> dict[str, tuple[int, bytes]]:
    folder = stage_folder(out, plan.stages[number])
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.glob("*.*")}


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


@pytest.mark.parametrize("what", ["nothing", "record", "record under a right checksum", "predictions", "scores"])
def test_a_run_is_made_anew_from_its_stages_which_stay_as_they_are(what, out, both, planned, finished, bench):
    before = [stage_files(out, planned[1], number) for number in range(2)]
    match what:
        case "record":
            damage(both.path / "record.json")
        case "record under a right checksum":
            edit_record(both, IMPOSSIBLE["not a number"][0])
        case "predictions":
            (both.path / "predictions-test.json").write_text("[")
        case "scores":
            damage(both.path / "scores-test.safetensors")
    status, printed, error = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert (status, error) == (0, "")
    thrown = printed.partition("thrown away:\n")[2].splitlines()[0]
    assert thrown.strip().startswith(
        f"runs/{both.name}: predictions-dev.json, predictions-dev.json.sha256, predictions-test.json, "
        "predictions-test.json.sha256, provenance.json, "
    )
    assert "record.json" in thrown
    assert "stages/" not in printed
    assert [stage_files(out, planned[1], number) for number in range(2)] == before
    assert results(out, planned) == results(finished, planned)


@pytest.mark.parametrize("file", [SELECTED, RESULT, "selected.json"])
def test_a_stage_of_which_something_is_damaged_is_trained_again_and_the_others_are_not(
    file, out, both, planned, finished, bench
):
    first = stage_files(out, planned[1], 0)
    damage(stage_folder(out, planned[1].stages[1]) / file)
    status, printed, _ = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert status == 0
    assert f"stages/{planned[1].stages[1].folder} (" in printed
    assert "its model is damaged: trained again" in printed
    assert stage_files(out, planned[1], 0) == first
    assert results(out, planned) == results(finished, planned)


def test_an_encoder_that_cannot_be_read_is_written_again_beside_the_same_model(out, both, planned, bench, tmp_path):
    stage = stage_folder(out, planned[1].stages[1])
    model = (stage / SELECTED).stat().st_mtime_ns
    (stage / "encoder" / "config.json").write_text("{")
    status, printed, _ = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert status == 0
    assert f"stages/{stage.name}: encoder (" in printed
    assert (stage / SELECTED).stat().st_mtime_ns == model
    assert (stage / "encoder" / "config.json").read_text() != "{"


def test_a_dry_run_says_what_would_go_and_leaves_it(out, both, bench):
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    status, printed, _ = bench("run", "--again", both.name, "--out", out, "--dry-run")
    assert status == 0
    assert printed.startswith("this would be thrown away:\n  runs/")
    assert {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("held", ["run", "damaged stage"])
def test_what_another_process_is_at_is_refused_before_anything_is_thrown_away(held, out, both, planned, bench):
    stage = stage_folder(out, planned[1].stages[1])
    damage(stage / SELECTED)
    before = {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()}
    with FileLock((both.path if held == "run" else stage) / "lock"):
        status, printed, error = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert status == 2
    assert "held by another process; nothing was thrown away" in error
    assert "thrown away" not in printed
    assert {path: path.read_bytes() for path in out.rglob("*.*") if path.is_file()} == before


def _newer_record(folder: RunFolder) -> None:
    edit_record(folder, NEWER["a higher schema"][0])


def _newer_plan(folder: RunFolder) -> None:
    edit_plan(folder, lambda plan: plan.update(surprise=1))


def _lost_plan(folder: RunFolder) -> None:
    (folder.path / "run.json").write_text("{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_newer_record, "was made by a newer version of docre-bench (record.json: schema_version 2"),
        (_newer_plan, "was made by a newer version of docre-bench (run.json: with surprise"),
        (_lost_plan, "what was planned is lost. The `bench run` that planned it writes it again"),
    ],
)
def test_what_cannot_be_made_anew_is_left_as_it_is(spoil, said, out, both, bench):
    spoil(both)
    before = {path: path.read_bytes() for path in both.path.iterdir()}
    status, _, error = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert status == 2
    assert said in error
    assert {path: path.read_bytes() for path in both.path.iterdir()} == before


def test_a_run_whose_code_has_changed_keeps_the_results_that_it_has(out, both, bench, monkeypatch):
    monkeypatch.setattr("bench.inference.changed_code.code_version", lambda cls: "another")
    before = {path: path.read_bytes() for path in both.path.iterdir()}
    status, _, error = bench("run", "--again", both.name, "--out", out, *AGAIN)
    assert status == 2
    assert "cannot be made anew, and is left as it is: changed since this run was planned: the code of atlop" in error
    assert {path: path.read_bytes() for path in both.path.iterdir()} == before


def test_a_run_of_an_older_version_is_not_made_by_todays(out, both, bench):
    edit_plan(both, lambda plan: [stage.update(harness=2) for stage in plan["stages"]])
    older = RunFolder(out, both.plan().folder)
    both.path.rename(older.path)
    (older.path / "record.json").unlink()
    status, _, error = bench("run", "--again", older.name, "--out", out, *AGAIN)
    assert status == 2
    assert "changed since this run was planned: the version of the harness (now 3)" in error
    assert bench("retry", "--out", out, *AGAIN)[0] != 0
    assert older.record() is None


def test_a_copy_by_another_name_is_not_taken_for_the_run(out, both, bench):
    shutil.copytree(both.path, both.path.with_name("copied"))
    status, _, error = bench("run", "--again", "copied", "--out", out, *AGAIN)
    assert status == 2
    assert f"is a copy, by another name, of {both.name}" in error


@pytest.mark.parametrize("option", [("--seeds", "3"), ("--set", "epochs=3"), ("--config", "x")])
def test_a_run_is_made_as_it_was_planned_and_no_other_way(option, out, both, bench):
    status, _, error = bench("run", "--again", both.name, *option, "--out", out)
    assert status == 2
    assert f"--again makes runs as they were planned: not with {option[0]}" in error


def test_what_a_newer_version_has_made_is_neither_done_again_nor_failed_and_the_rest_is_done(out, planned, bench):
    alone, both = (RunFolder.of(out, plan) for plan in planned)
    _newer_record(alone)
    kept = (alone.path / "record.json").read_bytes()
    (both.path / "record.json").unlink()
    from test_cli import CHANGES, RUN

    command = (*RUN, *CHANGES, "--settings", "distant,human+distant", "--out", out)
    status, printed, error = bench(*command)
    assert status == 3
    assert f"left as a newer version of docre-bench has made it: {alone.name} (record.json: schema_version 2" in printed
    assert "1 of 2 runs not done, and not failed: a newer version of docre-bench has made them" in error
    assert (alone.path / "record.json").read_bytes() == kept
    assert both.record() is not None
    _, printed, _ = bench(*command, "--dry-run")
    assert "left as a newer version of docre-bench has made it: 1 run" in printed


def test_runs_that_need_a_stage_of_a_newer_version_are_left_with_it(out, planned, bench):
    stage = stage_folder(out, planned[0].stages[0])
    write_sealed(stage / RESULT, "result", {"schema_version": 2})
    before = {path: path.read_bytes() for path in stage.glob("*.*")}
    for plan in planned:
        (RunFolder.of(out, plan).path / "record.json").unlink()
    assert execute(out, planned) == []
    assert [RunFolder.of(out, plan).error() for plan in planned] == [None, None]
    assert {path: path.read_bytes() for path in stage.glob("*.*")} == before
