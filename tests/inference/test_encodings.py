from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import safetensors.torch
import torch
from small_experiments import documents, execute, plans, results, stopped

from bench.inference import encodings
from bench.inference.encodings import SWITCH, encoded
from bench.inference.reader import Reader
from bench.nn.encoder_source import find_encoder
from bench.runs.interrupt import Interrupt
from bench.runs.plan import StagePlan
from bench.runs.recipe import Training
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder

FROZEN = "freeze_encoder=true"
MODELS = {
    "atlop": (),
    "ttmre": ("memory=4", "heads=2", "layers=1"),
    "dreeam": (),
    "kd_docre": ("axial_heads=2", "axial_layers=1"),
    "pubmedbert,atlop": (),  # reads states alone; the other takes the changes that all small experiments have
}


@pytest.fixture(autouse=True)
def home(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for each test, with the data set but nothing encoded."""
    shutil.copytree(small, tmp_path / "home")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    shutil.rmtree(tmp_path / "home" / "encodings", ignore_errors=True)
    return tmp_path / "home"


def artifacts(home: Path) -> list[Path]:
    return sorted((home / "encodings").glob("*"))


def count_encoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for every document that is encoded."""
    asked: list[int] = []
    original = encodings.encode_alone
    monkeypatch.setattr(encodings, "encode_alone", lambda *args: asked.append(1) or original(*args))
    return asked


@pytest.mark.parametrize("model", MODELS)
def test_results_are_the_same_to_the_byte_whether_encodings_are_kept_or_not(model, home, tmp_path, monkeypatch):
    planned = plans(model, FROZEN, *MODELS[model])
    assert execute(tmp_path / "kept", planned) == []
    assert len(artifacts(home)) == 3 * len(model.split(","))  # train, dev, test
    monkeypatch.setenv(SWITCH, "0")
    assert execute(tmp_path / "not kept", planned) == []
    assert results(tmp_path / "kept", planned) == results(tmp_path / "not kept", planned)


def test_a_student_and_its_frozen_teacher_learn_the_same_from_kept_encodings(tmp_path, monkeypatch):
    planned = plans("dreeam", FROZEN, settings="human+distant")
    assert execute(tmp_path / "kept", planned) == []
    monkeypatch.setenv(SWITCH, "0")
    assert execute(tmp_path / "not kept", planned) == []
    assert results(tmp_path / "kept", planned) == results(tmp_path / "not kept", planned)


def test_the_encoder_keeps_its_weights_and_the_new_layers_learn(tmp_path):
    before, after = plans("atlop", FROZEN, "epochs=1"), plans("atlop", FROZEN, "epochs=3", "select=last")
    execute(tmp_path, [*before, *after])
    one, two = (
        safetensors.torch.load_file(stage_folder(tmp_path, plan.stages[0]) / "selected.safetensors")
        for plan in (*before, *after)
    )
    encoder = [name for name in one if name.startswith("encoder.")]
    assert encoder
    assert all(torch.equal(one[name], two[name]) for name in encoder)
    assert not torch.equal(one["model.classifier.weight"], two["model.classifier.weight"])


def test_seeds_models_and_label_sets_share_what_was_encoded_once(home, tmp_path, monkeypatch):
    asked = count_encoding(monkeypatch)
    execute(tmp_path, plans("atlop", FROZEN))
    assert len(asked) == 10 + 4  # the documents, and each time one to learn the size: dev is looked at twice
    before = artifacts(home)
    del asked[:]
    planned = plans("ssrpu", FROZEN, seeds="2") + plans("atlop", FROZEN, settings="ext")
    assert execute(tmp_path, planned) == []
    assert artifacts(home) == before
    assert len(asked) == 4 * 3


def test_the_mean_of_more_layers_is_another_artifact(home, tmp_path):
    execute(tmp_path, plans("atlop", FROZEN) + plans("dreeam", FROZEN))
    assert len(artifacts(home)) == 6


def test_the_same_weights_in_another_configuration_are_another_artifact(home, tmp_path):
    encoder = find_encoder("tiny", documents("train", 3)).build(1)
    features = SimpleNamespace(digest=lambda *names: "")
    key = encodings._key(encoder, features, torch.device("cpu"), "auto")
    assert encodings._key(encoder, features, torch.device("cpu"), "auto") == key
    encoder.model.config.layer_norm_eps *= 2
    assert encodings._key(encoder, features, torch.device("cpu"), "auto") != key


def test_an_encoder_that_was_trained_before_it_was_frozen_is_another(home, tmp_path):
    planned = plans("atlop", "human.freeze_encoder=true", settings="human+distant")
    assert execute(tmp_path, planned) == []
    execute(tmp_path, plans("atlop", FROZEN))
    assert len(artifacts(home)) == 6


@pytest.mark.parametrize("question", [2, 6, 12, 20])
def test_a_frozen_run_stopped_anywhere_even_while_it_encodes_goes_on_to_the_same_bytes(question, tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "DOCUMENTS_PER_PART", 2)
    planned = plans("atlop", FROZEN)
    assert stopped(tmp_path / "parts", planned, question)
    assert execute(tmp_path / "parts", planned) == []
    monkeypatch.setenv(SWITCH, "0")
    execute(tmp_path / "whole", planned)
    assert results(tmp_path / "parts", planned) == results(tmp_path / "whole", planned)


def test_a_damaged_part_is_encoded_again(home, tmp_path, monkeypatch):
    planned = plans("atlop", FROZEN)
    execute(tmp_path / "first", planned)
    for part in (home / "encodings").rglob("*.npy"):
        part.write_bytes(part.read_bytes()[:-8] + b"damaged!")
    execute(tmp_path / "again", planned)
    assert results(tmp_path / "first", planned) == results(tmp_path / "again", planned)


def test_encodings_with_zeros_in_them_are_made_again_though_size_and_time_are_kept(home, tmp_path):
    planned = plans("atlop", FROZEN)
    execute(tmp_path / "first", planned)
    contents = {part: part.read_bytes() for part in (home / "encodings").rglob("*.npy")}
    for part, content in contents.items():
        before = part.stat()
        part.write_bytes(content[:-400] + bytes(400))
        os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    execute(tmp_path / "again", planned)
    assert {part: part.read_bytes() for part in contents} == contents
    assert results(tmp_path / "first", planned) == results(tmp_path / "again", planned)


def test_a_disk_that_is_too_small_is_told_with_the_sizes_before_anything_is_encoded(home, tmp_path, monkeypatch):
    monkeypatch.setattr(encodings.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    planned = plans("atlop", FROZEN)
    assert execute(tmp_path, planned) == planned
    error = RunFolder.of(tmp_path, planned[0]).error()
    assert "of 5 documents takes 0 MB" in error
    assert "has 0 MB left" in error
    assert SWITCH in error
    assert list((home / "encodings").rglob("*.npy")) == []


def test_the_size_that_is_told_is_the_size_that_is_taken(home, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(encodings, "_check_space", lambda folder, size, documents: told.append((folder, size)))
    execute(tmp_path, plans("atlop", FROZEN))
    for folder, size in told:
        assert sum(path.stat().st_size - 128 for path in folder.glob("*.npy")) == size


def test_a_frozen_experiment_is_another_run_and_one_that_is_not_keeps_its_key():
    (frozen,), (plain,), (said,) = plans("atlop", FROZEN), plans("atlop"), plans("atlop", "freeze_encoder=false")
    assert frozen.key != plain.key
    assert said.stages[0].key == plain.stages[0].key


def test_a_model_without_an_encoder_cannot_have_it_frozen(bench):
    status, _, error = bench("run", "--models", "bran", "--freeze-encoder", "--dataset", "small", "--encoder", "tiny")
    assert status == 2
    assert "no encoder to be frozen" in error


def test_encodings_are_not_asked_of_an_encoder_that_learns():
    features, learning = object(), SimpleNamespace(encoder=object(), frozen=False)
    stage = StagePlan.model_construct(training=Training())
    reader = Reader(learning, stage, source=None, device=torch.device("cpu"), interrupt=Interrupt())
    assert encoded(features, reader) is features
