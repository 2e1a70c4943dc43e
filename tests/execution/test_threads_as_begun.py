"""With how many threads a run goes on and on what, and that its folder tells."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from small_experiments import StopAfter, execute, plans, results

from bench.execution import provenance
from bench.execution.executor import Executor
from bench.nn.devices import device_name
from bench.runs.interrupt import Interrupted
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.stage_folder import stage_folder
from bench.training.trainer import StageTrainer

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Two cores, and no word of the user on threads."""
    for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "usable_cores", lambda: 2)
    before = torch.get_num_threads()
    yield monkeypatch
    torch.set_num_threads(before)


def carry_out(out: Path, planned: Sequence[RunPlan], threads: int, stop_after: float = float("inf")) -> bool:
    """Whether it came to its end, and did not stop."""
    announce(out, planned)
    torch.set_num_threads(threads)
    try:
        Executor(out, StopAfter(stop_after, kill=False), lambda folder, status: None, 1e9).execute(planned)
    except Interrupted:
        return False
    finally:
        assert torch.get_num_threads() == threads  # what comes next is not held to it
    return True


def told(out: Path, plan: RunPlan) -> list[list[int]]:
    """The threads of every execution of the run, and of its stage."""
    folders = [RunFolder.of(out, plan).path, stage_folder(out, plan.stages[0])]
    files = (json.loads((folder / "provenance.json").read_text()) for folder in folders)
    return [[execution["threads"] for execution in file["executions"]] for file in files]


@pytest.mark.parametrize(("first", "then"), [(2, 1), (1, 2)])
def test_a_run_goes_on_with_the_threads_it_began_with_to_the_bytes_of_one_in_one_go(first, then, tmp_path, capfd):
    (plan,) = plans()
    assert carry_out(tmp_path / "whole", [plan], first)
    assert not carry_out(tmp_path / "parts", [plan], first, stop_after=3)
    assert capfd.readouterr().err == ""
    assert carry_out(tmp_path / "parts", [plan], then)
    assert told(tmp_path / "parts", plan) == [[first, first], [first, first]]
    assert f"goes on with {first} thread" in capfd.readouterr().err
    assert results(tmp_path / "parts", [plan]) == results(tmp_path / "whole", [plan])


def test_a_run_that_begins_has_the_threads_of_now_though_a_stage_of_another_goes_on_beside_it(tmp_path):
    first, second = plans(seeds="2")
    assert not carry_out(tmp_path, [first], 2, stop_after=3)
    assert carry_out(tmp_path, [first, second], 1)
    assert told(tmp_path, first)[1] == [2, 2]
    assert told(tmp_path, second) == [[1], [1]]


def asked(monkeypatch, out: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def allotted(monkeypatch, out: Path) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")


def smaller(monkeypatch, out: Path) -> None:
    monkeypatch.setattr(provenance, "usable_cores", lambda: 1)


def unreadable(out: Path) -> None:
    for path in out.glob("*/*/provenance.json"):
        content = json.loads(path.read_text())
        for execution in content["executions"]:
            execution["threads"] = "many"
        path.write_text(json.dumps(content))


@pytest.mark.parametrize("change", [asked, allotted, smaller])
def test_it_goes_on_with_the_threads_of_now_where_it_may_not_have_those_and_says_so(change, machine, tmp_path, capfd):
    (plan,) = plans()
    assert not carry_out(tmp_path, [plan], 2, stop_after=3)
    change(machine, tmp_path)
    assert carry_out(tmp_path, [plan], 1)
    assert told(tmp_path, plan) == [[2, 1], [2, 1]]
    assert f"{RunFolder.of(tmp_path, plan).path}: began with 2 threads and goes on with 1" in capfd.readouterr().err


def test_it_goes_on_with_the_threads_of_now_where_those_are_not_to_be_read(tmp_path, capfd):
    (plan,) = plans()
    assert not carry_out(tmp_path, [plan], 2, stop_after=3)
    unreadable(tmp_path)
    assert carry_out(tmp_path, [plan], 1)
    assert [threads[-1] for threads in told(tmp_path, plan)] == [1, 1]
    assert capfd.readouterr().err == ""


def begun_on(out: Path, device: str | int) -> None:
    """As if the first execution of all that is in `out` had been on another device."""
    for path in out.glob("*/*/provenance.json"):
        content = json.loads(path.read_text())
        content["executions"][0]["device"] = device
        path.write_text(json.dumps(content))


def test_a_run_that_goes_on_elsewhere_says_so_and_has_the_threads_of_now(tmp_path, capfd):
    (plan,) = plans()
    assert not carry_out(tmp_path, [plan], 2, stop_after=3)
    begun_on(tmp_path, "NVIDIA H200")
    assert carry_out(tmp_path, [plan], 1)
    assert told(tmp_path, plan) == [[2, 1], [2, 1]]
    said = capfd.readouterr().err
    assert f"began on NVIDIA H200 and goes on with {device_name(torch.device('cpu'))}" in said
    assert "to the same bits" not in said


# This machine; and what the first versions wrote of it.
@pytest.mark.parametrize("device", [device_name(torch.device("cpu")), platform.processor() or "cpu", "cpu", 7])
def test_a_run_that_may_have_begun_here_says_nothing_of_it(device, tmp_path, capfd):
    (plan,) = plans()
    assert not carry_out(tmp_path, [plan], 1, stop_after=3)
    begun_on(tmp_path, device)
    assert carry_out(tmp_path, [plan], 1)
    assert capfd.readouterr().err == ""


def test_what_is_killed_in_its_first_step_has_told_its_threads(tmp_path, monkeypatch):
    (plan,) = plans()
    announce(tmp_path, [plan])
    before: list[list[list[int]]] = []
    update = StageTrainer._update

    def first_update(trainer, *arguments):
        if not before:
            before.append(told(tmp_path, plan))
        update(trainer, *arguments)

    monkeypatch.setattr(StageTrainer, "_update", first_update)
    assert carry_out(tmp_path, [plan], 2)
    assert before == [[[2], [2]]]


def test_provenance_tells_how_many_cores_there_were_to_use(tmp_path):
    (plan,) = plans()
    execute(tmp_path, [plan])
    written = json.loads((RunFolder.of(tmp_path, plan).path / "provenance.json").read_text())
    assert (written["cores"], written["threads"]) == (2, 1)
