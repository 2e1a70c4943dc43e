"""What a stage computes in is settled when it begins, and stays so wherever it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_experiments import execute, plans, results, stopped

from bench.execution import stages
from bench.inference.load import predictor_of
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import PRECISION, precision_of, stage_folder

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def machine(monkeypatch):
    """Makes this a machine on which "auto" means what is said; how often it was asked."""
    asked = []

    def becomes(precision: str) -> list[str]:
        def settled(asked_for: str, device: object, encoder_size: int) -> str:
            if asked_for in ("fp32", "bf16"):
                return asked_for
            return asked.append(precision) or precision

        monkeypatch.setattr(stages, "settled_precision", settled)
        return asked

    return becomes


def recorded(out: Path, plan: RunPlan) -> list[str | None]:
    record = RunFolder.of(out, plan).record()
    return [stage.precision for stage in record.stages]


@pytest.mark.parametrize(("asked", "computed"), [("auto", "fp32"), ("fp32", "fp32"), ("bf16", "bf16")])
def test_a_record_says_what_was_computed_in(asked, computed, tmp_path):
    planned = plans("atlop", f"precision={asked}")
    assert execute(tmp_path, planned) == []
    assert recorded(tmp_path, planned[0]) == [computed]


@pytest.mark.parametrize("question", [3, 6, 9])
def test_a_run_goes_on_in_what_it_began_with_on_a_machine_that_would_take_another(question, machine, tmp_path):
    planned = plans("atlop")
    machine("bf16")
    execute(tmp_path / "whole", planned)
    assert stopped(tmp_path / "moved", planned, question)
    machine("fp32")
    assert execute(tmp_path / "moved", planned) == []
    assert recorded(tmp_path / "moved", planned[0]) == ["bf16"]
    assert results(tmp_path / "moved", planned) == results(tmp_path / "whole", planned)


def test_a_stage_computes_in_what_the_stage_before_it_did(machine, tmp_path):
    distant, both = plans("atlop", settings="distant,human+distant")
    asked = machine("bf16")
    execute(tmp_path, [distant])
    machine("fp32")
    assert execute(tmp_path, [both]) == []
    assert recorded(tmp_path, both) == ["bf16", "bf16"]
    assert asked == ["bf16"]


def test_what_is_asked_for_a_stage_is_not_that_of_the_one_before(machine, tmp_path):
    machine("fp32")
    (plan,) = plans("atlop", "distant.precision=bf16", settings="human+distant")
    assert execute(tmp_path, [plan]) == []
    assert recorded(tmp_path, plan) == ["bf16", "fp32"]


def test_a_finished_run_predicts_in_what_it_was_trained_in(machine, tmp_path):
    (plan,) = plans("atlop")
    machine("bf16")
    execute(tmp_path, [plan])
    machine("fp32")
    assert predictor_of(tmp_path, plan, Interrupt()).reader.stage.training.precision == "bf16"


@pytest.mark.parametrize("left", [None, "", '{"precision": "bf16", "sha256": ""}'])
def test_a_stage_from_before_that_was_written_down_is_read_as_it_was_then(left, tmp_path):
    (plan,) = plans("atlop")
    execute(tmp_path, [plan])
    path = stage_folder(tmp_path, plan.stages[0]) / PRECISION
    path.unlink()
    if left is not None:
        path.write_text(left)
    assert precision_of(path.parent) is None
    assert predictor_of(tmp_path, plan, Interrupt()).reader.stage == plan.stages[0]
