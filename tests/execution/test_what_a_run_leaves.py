"""What a process holds when a run is over."""

from __future__ import annotations

import gc
import weakref

import pytest
from small_experiments import execute, plans

from bench.execution import context, stages
from bench.execution.executor import Executor
from bench.runs.interrupt import Interrupt
from bench.runs.run_folder import RunFolder, announce
from bench.training import trainer

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def no_chance():
    """Nobody looks for cycles by chance, which may come at any time, or never; whoever asks for it gets it."""
    thresholds = gc.get_threshold()
    gc.set_threshold(0)  # not disabled: `no_cycle_search` is to do what it does in a run
    yield
    gc.set_threshold(*thresholds)


@pytest.fixture
def made(monkeypatch, no_chance):
    """Weak references to what runs make: trainers, optimizers, models, signals, and what they read."""
    references: list[weakref.ref] = []

    def watch(module, name: str) -> None:
        make = getattr(module, name)

        def watched(*arguments, **options):
            thing = make(*arguments, **options)
            references.append(weakref.ref(thing))
            return thing

        monkeypatch.setattr(module, name, watched)

    for module, name in [
        (stages, "StageTrainer"),
        (stages, "untrained"),
        (stages, "_signals"),
        (trainer, "make_optimizer"),
        (trainer, "StepLog"),
        (context, "load_system"),
        (context, "Inputs"),
        (context, "encoded"),
    ]:
        watch(module, name)
    return references


@pytest.mark.parametrize(
    ("models", "change", "setting"),
    [
        ("atlop", "epochs=1", "human+distant"),
        ("kd_docre", "epochs=1", "human+distant"),
        ("atlop", "freeze_encoder=true", "human"),
    ],
    ids=["two stages", "a teacher", "a frozen encoder"],
)
def test_nothing_of_a_run_is_left_when_it_is_over(models, change, setting, made, tmp_path):
    planned = plans(models, change, seeds="2", settings=setting)
    assert execute(tmp_path, planned) == []
    alive = [reference() for reference in made if reference() is not None]
    assert len(made) > 6
    assert alive == []


def test_runs_that_share_their_inputs_read_them_once_and_those_of_others_are_let_go_of(monkeypatch, tmp_path):
    first, second = plans(seeds="2")
    (third,) = plans(dataset="sample")
    announce(tmp_path, [first, second, third])
    held: list[list[str]] = []
    opened: list[str] = []
    open_dataset = context.open_dataset
    monkeypatch.setattr(context, "open_dataset", lambda name: opened.append(name) or open_dataset(name))
    executor = Executor(tmp_path, Interrupt(), lambda folder, status: None, 1e9)
    evaluated = RunFolder.write_record

    def write_record(folder, record):
        held.append([key[0] for key in executor.context._inputs])
        evaluated(folder, record)

    monkeypatch.setattr(RunFolder, "write_record", write_record)
    assert executor.execute([first, second, third]) == []
    assert opened == ["small", "sample"]
    assert held == [["small"], ["small"], ["sample"]]
    assert executor.context._inputs == {}


def test_nothing_of_a_run_that_failed_is_left_either(made, monkeypatch, tmp_path):
    planned = plans(seeds="3")

    def fail(*arguments, **options):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(trainer.StageTrainer, "_evaluate", fail)
    assert execute(tmp_path, planned) == planned
    alive = [reference() for reference in made if reference() is not None]
    assert len(made) >= 3 * 3
    assert alive == []
