from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from small_experiments import SMALL, BenchProcess, Killed, documents, execute, plans, register, results, stopped

from bench.analysis.aggregate import load_cells
from bench.data.catalog.dataset import add_dataset
from bench.data.formats.docred import write_documents
from bench.execution.executor import Executor
from bench.launch.status import run_views
from bench.locks import Lock, LostLockError
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder
from bench.runs.status import RunStatus

pytestmark = [pytest.mark.usefixtures("small"), pytest.mark.waits]

LONG, ENDLESS = "epochs=25", "epochs=100000"
"""Enough updates to be stopped in the middle of them."""


def arguments(out: Path, *options: str, launcher: str = "inline", changes: tuple[str, ...] = ()) -> list[str]:
    """Of a `bench run` of the small experiment that `plans` plans, with as many checkpoints as there can be."""
    sets = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    small = ["--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", "1"]
    return ["run", *small, "--launcher", launcher, "--out", str(out), "--checkpoint-seconds", "0", *sets, *options]


def newest_checkpoint(out: Path) -> int:
    """Its update; 0 without one."""
    return max((int(path.stem[5:]) for path in out.glob("stages/*/checkpoints/step-*.json")), default=0)


def record_of(out: Path, plan: RunPlan):
    return RunFolder.of(out, plan).record()


def test_a_killed_bench_run_and_the_same_command_again_give_the_bytes_of_an_uninterrupted_one(tmp_path):
    planned = plans("atlop", LONG)
    execute(tmp_path / "whole", planned)
    out = tmp_path / "it's killed é"
    command = [sys.executable, "-m", "bench", *arguments(out, changes=(LONG,))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while not newest_checkpoint(out):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert record_of(out, planned[0]) is None
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_every_signal_stops_with_a_checkpoint_and_what_to_do_and_changes_nothing_in_the_end(tmp_path):
    planned = plans("atlop", LONG)
    execute(tmp_path / "whole", planned)
    out = tmp_path / "parts"
    for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
        process = BenchProcess(tmp_path, *arguments(out, changes=(LONG,)))
        before = newest_checkpoint(out)
        process.wait_for(lambda before=before: newest_checkpoint(out) > before)
        os.kill(process.pid, number)
        status, _, error = process.end()
        assert status == 1
        assert error == f"bench: stopped ({number.name}). Run the same command again to go on where it stopped\n"
        assert record_of(out, planned[0]) is None
    status, _, error = BenchProcess(tmp_path, *arguments(out, changes=(LONG,))).end()
    assert (status, error) == (0, "")
    assert results(out, planned) == results(tmp_path / "whole", planned)


def test_two_processes_on_one_folder_do_each_run_once(tmp_path):
    planned = plans(settings="distant,human+distant", seeds="2")
    options = ("--settings", "distant,human+distant", "--seeds", "2")
    both = [BenchProcess(tmp_path, *arguments(tmp_path / "shared", *options)) for _ in range(2)]
    ends = [process.end() for process in both]
    assert [status for status, _, _ in ends] == [0, 0], ends
    assert sum(output.count(": finished") for _, output, _ in ends) == len(planned)
    assert len(list((tmp_path / "shared" / "stages").iterdir())) == 4
    execute(tmp_path / "alone", planned)
    assert results(tmp_path / "shared", planned) == results(tmp_path / "alone", planned)


def workers_of(process: BenchProcess) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")


@needs_proc
def test_a_killed_worker_is_told_and_the_run_can_go_on(tmp_path):
    process = BenchProcess(tmp_path, *arguments(tmp_path, launcher="local", changes=(ENDLESS,)))
    process.wait_for(lambda: newest_checkpoint(tmp_path) > 0)
    (worker,) = workers_of(process)
    os.kill(worker, signal.SIGKILL)
    status, _, error = process.end()
    assert status == 1
    assert "its process ended without a word (killed by SIGKILL)" in error, error
    (view,) = run_views(tmp_path)
    assert view.state == "failed"
    assert view.detail.startswith("its process ended without a word (killed by SIGKILL); `bench retry` goes on from")


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(number, tmp_path):
    process = BenchProcess(tmp_path, *arguments(tmp_path, launcher="local", changes=(ENDLESS,)))
    process.wait_for(lambda: newest_checkpoint(tmp_path) > 0)
    workers = workers_of(process)
    os.kill(process.pid, number)
    status, _, _ = process.end()
    assert status == (1 if number == signal.SIGINT else -signal.SIGKILL)
    while any(map(is_alive, workers)):  # however long the machine takes: that they end is what is claimed
        time.sleep(0.05)


def test_a_finished_run_is_not_done_again(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    before = (RunFolder.of(tmp_path, planned[0]).path / "record.json").stat().st_mtime_ns
    told = []
    execute(tmp_path, planned, listener=lambda folder, status: told.append(status))
    assert told == []
    assert (RunFolder.of(tmp_path, planned[0]).path / "record.json").stat().st_mtime_ns == before


def test_a_damaged_record_is_evaluated_again_without_training(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    expected = results(tmp_path, planned)
    (RunFolder.of(tmp_path, planned[0]).path / "record.json").write_text("{")
    doing = []
    execute(tmp_path, planned, listener=lambda folder, status: doing.append(status.doing))
    assert "training" not in doing
    assert results(tmp_path, planned) == expected


def test_provenance_lies_beside_the_record_and_not_in_it(tmp_path):
    planned = plans()
    execute(tmp_path, planned)
    folder = RunFolder.of(tmp_path, planned[0]).path
    provenance = json.loads((folder / "provenance.json").read_text())
    assert {"started", "seconds", "host", "device", "threads", "versions"} <= provenance.keys()
    assert not {"started", "seconds", "host"} & json.loads((folder / "record.json").read_text())["record"].keys()


def test_a_run_that_another_process_is_at_is_put_off_and_then_found_done(tmp_path, monkeypatch):
    planned = plans(seeds="2")
    announce(tmp_path, planned)
    lock = FileLock(RunFolder.of(tmp_path, planned[0]).path / "lock")
    lock.acquire()
    monkeypatch.setattr("bench.execution.executor.time.sleep", lambda seconds: lock.release())
    finished = []
    execute(
        tmp_path,
        planned,
        listener=lambda folder, status: finished.append(folder.name) if status.state == "done" else None,
    )
    assert finished == [planned[1].folder, planned[0].folder]


def test_a_stage_that_another_process_is_at_puts_the_run_off_and_does_not_fail_it(tmp_path, monkeypatch):
    planned = plans()
    folder = stage_folder(tmp_path, planned[0].stages[0])
    folder.mkdir(parents=True)
    lock = FileLock(folder / "lock")
    lock.acquire()
    monkeypatch.setattr("bench.execution.executor.time.sleep", lambda seconds: lock.release())
    assert execute(tmp_path, planned) == []
    assert record_of(tmp_path, planned[0]) is not None


def test_waiting_for_another_process_can_be_interrupted(tmp_path):
    planned = plans()
    announce(tmp_path, planned)
    with FileLock(RunFolder.of(tmp_path, planned[0]).path / "lock"):
        assert stopped(tmp_path, planned, after=1)


@pytest.mark.parametrize("held_by", ["run", "stage"])
def test_what_another_command_is_at_is_not_waited_for_where_that_is_asked_and_told_with_who_it_is(
    held_by, tmp_path, bench
):
    planned = plans(seeds="2")
    folder = RunFolder.of(tmp_path, planned[0]).path
    lock = Lock((folder if held_by == "run" else stage_folder(tmp_path, planned[0].stages[0])) / "lock")
    with lock:
        status, _, error = bench(*arguments(tmp_path, "--seeds", "2", "--wait-for-locks", "0"))
        assert status == 1
        told = f"{lock.path}: held by process {os.getpid()} on "
        assert f"bench: {folder.name} is left out: {told}" in error
        assert f"bench: 1 of 2 runs are not done:\n  {folder.name}: {told}" in error
    assert [record_of(tmp_path, plan) is not None for plan in planned] == [False, True]
    assert bench(*arguments(tmp_path, "--seeds", "2", "--wait-for-locks", "0"))[0] == 0


def test_workers_of_one_command_wait_for_each_other_however_short_others_are_waited_for(tmp_path):
    options = ("--settings", "distant,human+distant", "--jobs", "2", "--wait-for-locks", "0")
    process = BenchProcess(tmp_path, *arguments(tmp_path, *options, launcher="local"))
    status, _, error = process.end()
    assert (status, error) == (0, "")


def test_waiting_for_jobs_of_slurm_is_slurms_matter(tmp_path, bench):
    status, _, error = bench(*arguments(tmp_path, "--wait-for-locks", "0", launcher="slurm"))
    assert status == 2
    assert "--wait-for-locks is for --launcher local and inline" in error


def test_a_run_whose_lock_was_taken_over_stops_and_leaves_it_to_the_other(tmp_path, monkeypatch):
    planned = plans("atlop", LONG)
    looks = []

    def lose(lock: Lock) -> None:
        looks.append(lock.path)
        if len(looks) == 6:
            raise LostLockError(str(lock.path))

    monkeypatch.setattr(Lock, "check", lose)
    monkeypatch.setattr("bench.execution.executor.time.sleep", lambda seconds: None)
    assert execute(tmp_path, planned) == []  # the other is gone as well
    assert RunFolder.of(tmp_path, planned[0]).error() is None
    execute(tmp_path / "whole", planned)
    assert results(tmp_path, planned) == results(tmp_path / "whole", planned)


def test_a_command_says_what_it_removes_of_what_killed_ones_have_left(tmp_path, bench):
    left = stage_folder(tmp_path, plans()[0].stages[0]) / ".selected.safetensors.a1b2c3d4.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(3_000_000))
    os.utime(left, (0, 0))
    status, printed, _ = bench(*arguments(tmp_path))
    assert status == 0
    assert "removed 1 temporary file (3 MB) that killed processes had left" in printed
    assert not left.exists()


@pytest.fixture
def broken_model(tmp_path) -> Callable[[str, str], str]:
    def write(method: str, body: str) -> str:
        path = tmp_path / "broken.py"
        path.write_text(
            f"from baselines.atlop import Atlop\n\n\nclass Broken(Atlop):\n    def {method}:\n        {body}\n"
        )
        return f"{path}:Broken"

    return write


def test_a_run_that_raises_fails_with_its_error_and_the_others_finish(broken_model, tmp_path):
    reference = broken_model("loss(self, logits, labels)", "raise ValueError('no [loss] today')")
    planned = plans(f"{reference},atlop")
    assert execute(tmp_path, planned) == planned[:1]
    place = f"{reference.partition(':')[0]}, line 6, in loss"
    assert RunFolder.of(tmp_path, planned[0]).error() == f"ValueError: no [loss] today ({place})"
    assert record_of(tmp_path, planned[1]) is not None


@pytest.mark.parametrize(
    "method",
    [
        "__init__(self, hp, task)",
        "forward(self, pairs)",
        "batch_loss(self, logits, inputs, batch)",
        "decode(self, logits)",
        "tune(self, logits, labels)",
    ],
)
def test_wherever_a_model_fails_its_line_is_told(method, broken_model, tmp_path):
    reference = broken_model(method, "import torch; torch.zeros(2) @ torch.zeros(3)\n    tunes_decisions = True")
    planned = plans(reference)
    execute(tmp_path, planned)
    place = f"{reference.partition(':')[0]}, line 6, in {method.partition('(')[0]}"
    assert RunFolder.of(tmp_path, planned[0]).error().endswith(f" ({place})")


def test_a_failed_run_keeps_its_traceback(broken_model, tmp_path):
    planned = plans(broken_model("loss(self, logits, labels)", "raise ValueError('why')"))
    execute(tmp_path, planned)
    folder = RunFolder.of(tmp_path, planned[0])
    stored = json.loads((folder.path / "error.json").read_text())
    assert "in loss" in stored["traceback"]
    assert (folder.path / "error.txt").read_text() == f"{stored['traceback']}\n{stored['message']}\n"


def test_a_loss_that_is_not_a_number_fails_the_run(broken_model, tmp_path):
    reference = broken_model("loss(self, logits, labels)", "return {'nan': logits.sum() * float('nan')}")
    planned = plans(reference)
    execute(tmp_path, planned)
    assert "training diverged" in RunFolder.of(tmp_path, planned[0]).error()


def test_a_failed_run_is_tried_again_and_its_error_goes(broken_model, tmp_path):
    marker = tmp_path / "repaired"
    body = f"assert __import__('pathlib').Path({str(marker)!r}).exists(); return super().loss(logits, labels)"
    planned = plans(broken_model("loss(self, logits, labels)", body))
    assert execute(tmp_path, planned) == planned
    marker.touch()
    assert execute(tmp_path, planned) == []
    folder = RunFolder.of(tmp_path, planned[0])
    assert (folder.error(), folder.error_text()) == (None, "")
    assert not list(folder.path.glob("error.*"))


def test_a_failed_run_is_missing_from_the_mean_and_told(broken_model, tmp_path):
    planned = plans(broken_model("loss(self, logits, labels)", "raise ValueError('why')"))
    execute(tmp_path, planned)
    (cell,) = load_cells(tmp_path)
    assert (cell.expected, len(cell.records)) == (1, 0)
    assert cell.errors[0].startswith("seed 0: ValueError: why (")


def test_a_model_frozen_in_a_part_it_has_not_fails_with_the_name(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from baselines.atlop import Atlop\nfrom bench.interface import Recipe, Stage\n\n\nclass Mine(Atlop):\n"
        "    recipe = Recipe(stages={'human': (Stage(data='human', freeze=('memry',)),)})\n"
    )
    planned = plans(f"{tmp_path}/mine.py:Mine")
    execute(tmp_path, planned)
    assert "no parameter whose name begins with 'memry'" in RunFolder.of(tmp_path, planned[0]).error()


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_data_that_changed_after_planning_fail_the_run_instead_of_taking_its_name(split, tmp_path):
    register(tmp_path, "changing")
    planned = plans(dataset="changing")
    register(tmp_path, "changing", **{split: documents(split, 4)})
    execute(tmp_path / "out", planned)
    error = RunFolder.of(tmp_path / "out", planned[0]).error()
    assert "changed since this run was planned" in error
    assert "Run the same command again to plan it anew" in error


def test_code_that_changed_after_planning_fails_the_run(tmp_path):
    (plan,) = plans()
    plan = plan.model_copy(update={"stages": (plan.stages[0].model_copy(update={"code": "another"}),)})
    execute(tmp_path, [plan])
    assert "the code of atlop" in RunFolder.of(tmp_path, plan).error()


def test_a_test_file_without_labels_is_predicted_and_not_scored(tmp_path):
    register(tmp_path, "blind")
    write_documents(tmp_path / "test.json", documents("test", 3), labelled=False)
    paths = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    add_dataset("blind", paths, replace=True)
    planned = plans(dataset="blind")
    assert execute(tmp_path / "out", planned) == []
    record = record_of(tmp_path / "out", planned[0])
    assert set(record.splits) == {"dev"}
    assert (RunFolder.of(tmp_path / "out", planned[0]).path / "predictions-test.json").exists()


def test_the_state_of_a_run_is_told_as_it_goes(tmp_path):
    planned = plans()
    states = []
    execute(tmp_path, planned, listener=lambda folder, status: states.append((status.state, status.stage)))
    assert list(dict.fromkeys(states)) == [("running", "human"), ("running", "evaluation"), ("done", None)]
    assert [view.state for view in run_views(tmp_path)] == ["done"]


def test_a_run_at_work_is_running_and_one_that_died_is_interrupted(tmp_path):
    planned = plans()
    seen = []

    def die(folder: RunFolder, status: RunStatus) -> None:
        seen.append(run_views(tmp_path)[0].state)
        raise Killed

    with pytest.raises(Killed):
        execute(tmp_path, planned, listener=die)
    assert seen == ["running"]
    assert run_views(tmp_path)[0].state == "interrupted"


def test_a_run_that_is_cancelled_stops_and_the_others_go_on(tmp_path):
    planned = plans(seeds="2")
    interrupt = Interrupt()

    def cancel(folder: RunFolder, status: RunStatus) -> None:
        if folder.name == planned[0].folder and status.step is not None:
            folder.note_cancellation()
            interrupt.request(signal.SIGTERM)  # as `bench cancel` does, to the process that says it is at the run

    announce(tmp_path, planned)
    assert Executor(tmp_path, interrupt, cancel).execute(planned) == planned[:1]
    assert [view.state for view in run_views(tmp_path)] == ["cancelled", "done"]
    assert execute(tmp_path, planned) == []
    assert [view.state for view in run_views(tmp_path)] == ["done", "done"]


def test_a_run_that_is_cancelled_is_left_alone_by_processes_that_were_under_way_and_not_by_later_ones(tmp_path):
    planned = plans()
    announce(tmp_path, planned)
    under_way = Executor(tmp_path, Interrupt(), lambda folder, status: None)
    RunFolder.of(tmp_path, planned[0]).note_cancellation()
    assert under_way.execute(planned) == planned
    assert run_views(tmp_path)[0].state == "cancelled"
    assert execute(tmp_path, planned) == []


def test_a_run_that_waits_and_one_that_failed_are_told_apart(tmp_path):
    first, second = plans(seeds="2")
    announce(tmp_path, [first, second])
    RunFolder.of(tmp_path, first).write_error("it broke\nbadly", "")
    assert [(view.state, view.detail) for view in run_views(tmp_path)] == [("failed", "it broke"), ("waiting", "")]
