from __future__ import annotations

import made_records
import pytest
from fake_slurm import write_plan
from filelock import FileLock

from bench.inference.load import signal_folder
from bench.runs.outline import outlines
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder
from bench.slurm.profiles import make_profile
from bench.slurm.submit import submit

COUNTS = [[1, 2, 4, 0]] * 3


def two_stages(model: str) -> RunPlan:
    """A run whose first stage is that of every other, and whose second is taught by it."""
    plan = made_records.plan(model, setting="human+distant")
    first = made_records.plan("shared").stages[0]
    second = plan.stages[0].model_copy(update={"position": 1, "teacher": first.key, "signal": "logits"})
    return plan.model_copy(update={"stages": (first, second)})


@pytest.fixture
def pair(tmp_path) -> list[RunPlan]:
    """Two finished runs with one stage and one teacher's signals in common."""
    planned = [two_stages("a"), two_stages("b")]
    for plan in planned:
        made_records.write(tmp_path, plan, COUNTS)
        for stage in plan.stages:
            stage_folder(tmp_path, stage).mkdir(parents=True, exist_ok=True)
            (stage_folder(tmp_path, stage) / "selected.safetensors").write_bytes(b"x" * 1500)
        signals = signal_folder(tmp_path, plan.stages[1])
        signals.mkdir(parents=True, exist_ok=True)
        (signals / "part").write_bytes(b"y" * 2_500_000)
    return planned


def left(out) -> set[str]:
    return {path.name for part in ("runs", "stages", "signals") for path in (out / part).iterdir()}


def test_a_run_goes_with_what_no_other_needs_and_what_is_shared_stays(pair, tmp_path, bench):
    one, other = pair
    status, printed, _ = bench("remove", one.folder, "--yes", "--out", tmp_path)
    assert status == 0
    assert f"stages/{one.stages[1].folder} (2 kB): no other run needs it" in printed
    assert f"kept: {stage_folder(tmp_path, one.stages[0])}: other runs need it" in printed
    assert "removed: 2 folders, " in printed
    signals = signal_folder(tmp_path, other.stages[1])
    assert left(tmp_path) == {other.folder, one.stages[0].folder, other.stages[1].folder, signals.name}
    assert RunFolder.of(tmp_path, other).record() is not None


def test_the_last_run_takes_shared_stages_and_signals_with_it(pair, tmp_path, bench):
    status, printed, _ = bench("remove", *(plan.folder for plan in pair), "--yes", "--out", tmp_path)
    assert status == 0
    assert "(2.5 MB): no other run needs it" in printed
    assert left(tmp_path) == set()


def test_a_run_named_twice_and_for_short_is_removed_once(pair, tmp_path, bench):
    status, printed, _ = bench("remove", "a-d", pair[0].folder, "--yes", "--out", tmp_path)
    assert status == 0
    assert "removed: 2 folders, " in printed


def test_a_dry_run_removes_nothing(pair, tmp_path, bench):
    before = left(tmp_path)
    status, printed, _ = bench("remove", pair[0].folder, "--dry-run", "--out", tmp_path)
    assert status == 0
    assert "would be removed: 2 folders, " in printed
    assert left(tmp_path) == before


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_terminal_is_asked(answer, gone, pair, tmp_path, bench, monkeypatch):
    import io

    terminal = io.TextIOWrapper(io.BytesIO(answer.encode()))
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    status, printed, _ = bench("remove", pair[0].folder, "--out", tmp_path)
    assert "Remove 2 folders, " in printed
    assert status == (0 if gone else 2)
    assert (pair[0].folder not in left(tmp_path)) == gone


def test_where_nobody_can_be_asked_nothing_is_removed_without_yes(pair, tmp_path, bench, monkeypatch):
    before = left(tmp_path)
    status, _, error = bench("remove", pair[0].folder, "--out", tmp_path)
    assert status == 2
    assert "nothing was removed: there is nobody to ask. --yes removes 2 folders" in error
    assert left(tmp_path) == before


@pytest.mark.parametrize("held", ["run", "stage"])
def test_what_another_process_is_at_is_not_removed(held, pair, tmp_path, bench):
    before = left(tmp_path)
    folder = RunFolder.of(tmp_path, pair[0]).path if held == "run" else stage_folder(tmp_path, pair[0].stages[1])
    with FileLock(folder / "lock"):
        status, _, error = bench("remove", pair[0].folder, "--yes", "--out", tmp_path)
    assert status == 2
    assert f"{folder / 'lock'}: held by another process; nothing was thrown away" in error
    assert left(tmp_path) == before


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUSPENDED"])
def test_a_run_whose_job_is_in_the_queue_is_not_removed(state, slurm, out, bench):
    name = write_plan(out, "m", "human+distant", 0, "distant", "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.queue_submitted(state)
    status, _, error = bench("remove", name, "--yes", "--out", out)
    assert status == 2
    assert "under way (`bench cancel RUN` stops a run, or gives its job up)" in error
    assert (out / "runs" / name / "run.json").exists()


def test_nothing_is_removed_while_slurm_does_not_say_what_is_under_way(slurm, out, bench):
    name = write_plan(out, "m", "human", 0, "human")
    submit(list(outlines(out)), out, make_profile("p", {}, "here"), 60.0)
    slurm.down()
    status, _, error = bench("remove", name, "--yes", "--out", out)
    assert status == 2
    assert "SLURM cannot be asked what is under way" in error


def test_stages_stay_where_a_plan_that_cannot_be_read_may_need_them(pair, tmp_path, bench):
    one, other = pair
    (RunFolder.of(tmp_path, other).path / "run.json").write_text("{")
    status, printed, _ = bench("remove", one.folder, "--yes", "--out", tmp_path)
    assert status == 0
    assert f"{other.folder}/run.json cannot be read, and may need it" in printed
    assert {one.stages[0].folder, one.stages[1].folder, other.folder} <= left(tmp_path)
    assert one.folder not in left(tmp_path)


@pytest.mark.parametrize("content", ["{", '{"surprise": 1}'])
def test_a_run_whose_plan_cannot_be_read_is_removed_without_its_stages(content, pair, tmp_path, bench):
    (RunFolder.of(tmp_path, pair[0]).path / "run.json").write_text(content)
    status, printed, _ = bench("remove", pair[0].folder, "--yes", "--out", tmp_path)
    assert status == 0
    assert f"kept: stages of {pair[0].folder}: which those are cannot be read any more" in printed
    assert pair[0].folder not in left(tmp_path)


def test_somebody_has_to_say_which(tmp_path, bench):
    status, _, error = bench("remove", "--out", tmp_path)
    assert status == 2
    assert "which runs? Name them" in error
