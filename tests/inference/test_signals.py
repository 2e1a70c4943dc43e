from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from small_experiments import Killed, document, execute, plans, register, results

from bench.data.batching import collate
from bench.data.catalog.dataset import add_dataset
from bench.execution import stages
from bench.execution.context import Context
from bench.filesystem import DamagedFileError
from bench.inference import document_arrays, signals
from bench.inference.load import signal_folder
from bench.inference.signals import SignalFile, make_signals
from bench.runs.interrupt import Interrupt
from bench.runs.plan import RunPlan, StagePlan
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder
from bench.runs.status import RunStatus

SHAPES = ((2, 3), (0, 3), (6, 3), (1, 7), (0, 5), (3, 1), (4, 4))
"""Pairs by numbers of a pair; documents without pairs among them, one of them a part of its own."""
PER_PART = 3


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "DOCUMENTS_PER_PART", PER_PART)
        yield


def said_of(i: int) -> np.ndarray:
    return np.random.default_rng(i).normal(size=SHAPES[i]).astype(np.float16)


class Teacher:
    """Says its numbers of each document, and remembers which it was asked about; silent after `patience` parts."""

    def __init__(self, patience: int = 99) -> None:
        self.patience = patience
        self.asked: list[list[int]] = []

    def __call__(self, rows: list[int]) -> list[np.ndarray]:
        if len(self.asked) == self.patience:
            raise InterruptedError
        self.asked.append(rows)
        return [said_of(i) for i in rows]


def made(folder: Path, teacher: Teacher | None = None) -> SignalFile:
    return make_signals(folder, SHAPES, teacher or Teacher())


def assert_as_said(found: SignalFile) -> None:
    assert len(found) == len(SHAPES)
    for i, shape in enumerate(SHAPES):
        assert found[i].shape == shape
        assert found[i].dtype == np.float32
        np.testing.assert_array_equal(found[i], said_of(i).astype(np.float32))


def test_what_was_said_is_read_back_with_its_shape_also_of_documents_without_pairs(tmp_path):
    assert_as_said(made(tmp_path))


def test_signals_are_kept_in_float16_and_mapped_into_memory_not_read(tmp_path):
    found = made(tmp_path)
    parts = [found._part(i) for i in range(3)]
    assert all(isinstance(part, np.memmap) for part in parts)
    assert [part.dtype for part in parts] == [np.float16] * 3
    stored = sum(path.stat().st_size for path in tmp_path.glob("*.npy"))
    assert stored == sum(2 * p * k for p, k in SHAPES) + 3 * 128  # of each part a header


def test_however_many_parts_there_are_few_are_open_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(document_arrays, "OPEN", 2)
    found = made(tmp_path)
    assert_as_said(found)
    assert found._part.cache_info().currsize == 2


def test_a_signal_wider_than_float16_is_rounded_to_it(tmp_path):
    found = make_signals(tmp_path, SHAPES[:1], lambda rows: [np.array([[1 / 3, 2000.25]])])
    np.testing.assert_array_equal(found[0], np.array([[1 / 3, 2000.25]]).astype(np.float16).astype(np.float32))


def test_a_part_of_documents_that_all_have_no_pairs(tmp_path):
    found = make_signals(tmp_path, SHAPES[:2], lambda rows: [np.zeros((0, 4), dtype=np.float16) for _ in rows])
    assert found[0].shape == found[1].shape == (0, 4)


def test_signals_that_are_there_are_not_made_again(tmp_path):
    made(tmp_path)
    teacher = Teacher()
    assert_as_said(made(tmp_path, teacher))
    assert teacher.asked == []


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_after_an_interruption_at_any_part_only_the_rest_is_made(parts, tmp_path):
    with pytest.raises(InterruptedError):
        made(tmp_path, Teacher(patience=parts))
    teacher = Teacher()
    assert_as_said(made(tmp_path, teacher))
    assert teacher.asked == [[0, 1, 2], [3, 4, 5], [6]][parts:]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def zero_keeping_size_and_time(path: Path) -> None:
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-10] + bytes(10))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped byte": flip_a_byte,
    "zeros, with the size and time of before": zero_keeping_size_and_time,
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-2]),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_damaged_part_is_made_again_and_no_other(suffix, damage, tmp_path):
    made(tmp_path)
    DAMAGES[damage](sorted(tmp_path.glob(f"*{suffix}"))[1])
    teacher = Teacher()
    assert_as_said(made(tmp_path, teacher))
    assert teacher.asked == [[3, 4, 5]]


def test_a_part_in_the_place_of_another_is_made_again(tmp_path):
    made(tmp_path)
    first, second, _ = sorted(tmp_path.glob("*.npy"))
    second.write_bytes(first.read_bytes())
    assert_as_said(made(tmp_path))


def test_it_is_told_how_many_documents_are_done(tmp_path):
    told: list[int] = []
    make_signals(tmp_path, SHAPES, Teacher(), told.append)
    assert told == [0, 3, 6, 7]


# As the runs make and use them


def kd_plans(*changes: str, settings: str = "human+distant", **options) -> list[RunPlan]:
    return plans("kd_docre", "axial_layers=1", "epochs=1", *changes, settings=settings, **options)


def student(plan: RunPlan) -> StagePlan:
    return next(stage for stage in plan.stages if stage.signal)


def signal_parts(out: Path) -> dict[str, int]:
    """The artifacts' parts, and when they were written."""
    return {f"{p.parent.name}/{p.name}": p.stat().st_mtime_ns for p in sorted(out.glob("signals/*/*.npy"))}


class Finished(NamedTuple):
    out: Path
    planned: list[RunPlan]
    trained: list[str]
    """The folders of the stages, as they were trained."""


@pytest.fixture(scope="module")
def finished(small_home, small_parts, tmp_path_factory) -> Finished:
    """A run of `human` and one of `human+distant`: four distant documents, two parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        trained: list[str] = []
        train = stages._train

        def watched(context, run, stage, folder):
            trained.append(stage.folder)
            return train(context, run, stage, folder)

        patch.setattr(stages, "_train", watched)
        out = tmp_path_factory.mktemp("finished")
        planned = kd_plans(settings="human,human+distant")
        assert execute(out, planned) == []
        return Finished(out, planned, trained)


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A copy of the finished runs to spoil, with their student and what comes after it yet to be trained."""
    shutil.copytree(finished.out, tmp_path, dirs_exist_ok=True)
    both = finished.planned[1]
    (RunFolder.of(tmp_path, both).path / "record.json").unlink()
    for stage in both.stages[1:]:
        (stage_folder(tmp_path, stage) / "result.json").unlink()
    return tmp_path


def test_parts_that_are_made_again_for_damage_are_told_in_one_line(tmp_path, capsys):
    made(tmp_path)
    paths = sorted(tmp_path.glob("*.npy"))
    for path in paths[:2]:
        flip_a_byte(path)
    made(tmp_path)
    said = f"bench: {paths[0]} and 1 more there: not what was written (checksum); made again\n"
    assert capsys.readouterr().err == said
    made(tmp_path)
    assert capsys.readouterr().err == ""


def test_damage_is_not_read_by_a_process_that_makes_nothing(tmp_path):
    """One that follows the leader of its team: the leader makes what is damaged."""
    made(tmp_path)
    zero_keeping_size_and_time(sorted(tmp_path.glob("*.npy"))[0])
    read = SignalFile(tmp_path, SHAPES)
    np.testing.assert_array_equal(read[PER_PART], said_of(PER_PART))
    with pytest.raises(DamagedFileError, match="Run the same command again"):
        read[0]


@pytest.mark.usefixtures("small")
def test_the_teacher_of_a_student_is_the_model_of_the_setting_without_distant_data_trained_once(finished):
    alone, both = finished.planned
    assert alone.stages[0].folder == both.stages[0].folder
    assert finished.trained == [stage.folder for stage in both.stages]


@pytest.mark.usefixtures("small")
def test_the_signals_of_a_run_are_the_logits_that_its_teacher_gives(finished):
    plan = finished.planned[1]
    context = Context(finished.out, Interrupt(), lambda folder, status: None)
    inputs = context.inputs(plan)
    features = inputs.features("distant")
    system = context.reader(plan.stages[0], inputs).system.eval()
    batch = collate(list(features), len(plan.stages[0].relations), inputs.source.pad_id)
    expected = system(batch).detach().split([len(d.pairs) for d in batch.documents])
    signals = SignalFile(signal_folder(finished.out, student(plan)), features)
    for i, logits in enumerate(expected):
        np.testing.assert_allclose(signals[i], logits.numpy(), rtol=2e-3, atol=1e-3)


@pytest.mark.usefixtures("small")
def test_two_students_of_one_teacher_share_its_signals(finished, copied):
    (other,) = kd_plans("human+distant.distant.head_lr=0.02")
    assert student(other).key != student(finished.planned[1]).key
    assert signal_folder(copied, student(other)) == signal_folder(copied, student(finished.planned[1]))
    before = signal_parts(copied)
    assert len(before) == 2
    assert execute(copied, [other]) == []
    assert signal_parts(copied) == before


@pytest.mark.usefixtures("small")
def test_another_teacher_speaks_into_another_folder(tmp_path):
    first, second = kd_plans(seeds="2")
    assert signal_folder(tmp_path, student(first)) != signal_folder(tmp_path, student(second))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("done", "parts"), [(0, 0), (3, 1), (4, 2)])
def test_a_run_killed_while_its_teacher_speaks_goes_on_to_the_same_bytes(done, parts, finished, copied):
    shutil.rmtree(copied / "signals")

    def kill(folder: RunFolder, status: RunStatus) -> None:
        if status.doing == "logits of the teacher" and status.step == done:
            raise Killed

    with pytest.raises(Killed):
        execute(copied, finished.planned, listener=kill)
    before = signal_parts(copied)
    assert len(before) == parts
    assert execute(copied, finished.planned) == []
    assert signal_parts(copied).items() >= before.items()
    assert results(copied, finished.planned) == results(finished.out, finished.planned)


@pytest.mark.usefixtures("small")
def test_signals_damaged_before_their_student_is_trained_are_made_anew(finished, copied):
    for path in copied.glob("signals/*/*.npy"):
        flip_a_byte(path)
    assert execute(copied, finished.planned) == []
    assert results(copied, finished.planned) == results(finished.out, finished.planned)


@pytest.mark.usefixtures("small")
def test_a_student_learns_beside_documents_without_pairs(tmp_path):
    lonely = replace(document("lonely"), entities=document("x").entities[:1], labels=())
    register(tmp_path, "with_lonely", train=[document("a"), lonely, document("b", 1), replace(lonely, title="c")])
    paths = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    add_dataset("with_lonely", {**paths, "distant": paths["train"]}, replace=True)
    assert execute(tmp_path / "out", kd_plans(dataset="with_lonely")) == []
