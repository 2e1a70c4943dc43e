from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.filesystem import explain_disk, part_state, write_atomically, write_part


@pytest.fixture
def part(tmp_path) -> Path:
    path = tmp_path / "parts" / "0.npy"
    write_part(path, os.urandom(4000), shapes=[[1, 2]])
    assert part_state(path) == "intact"
    return path


def test_zeros_in_a_part_are_seen_though_size_and_time_are_what_they_were(part):
    before = part.stat()
    with part.open("r+b") as file:
        file.seek(1000)
        file.write(bytes(400))
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (part.stat().st_size, part.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert part_state(part) == "damaged"


def test_a_part_is_read_once_by_a_process(part, monkeypatch):
    def refuse(path):
        raise AssertionError("read again")

    monkeypatch.setattr("bench.filesystem.sha256_of", refuse)
    assert part_state(part) == "intact"


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_part_without_its_checksum_or_a_checksum_without_its_part_is_none(suffix, part):
    part.with_suffix(suffix).unlink()
    assert part_state(part) == "absent"


def test_a_part_that_cannot_be_read_is_damaged(part, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "Input/output error")

    part.write_bytes(part.read_bytes())
    monkeypatch.setattr("bench.filesystem.sha256_of", fail)
    assert part_state(part) == "damaged"


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_names_the_file_and_leaves_the_old_one_and_no_other(step, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_atomically(path, b"new")
    assert raised.value.filename == str(path)
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], b"old")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_what_bench_home_lacks_and_cannot_take_is_told_with_what_to_do(number, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    path = str(tmp_path / "features" / "x.json")
    said = explain_disk(OSError(number, os.strerror(number), path))
    assert said is not None
    assert said.startswith(f"{path}: {os.strerror(number)}. What BENCH_HOME ({tmp_path}) lacks is made there")
    assert "set BENCH_HOME to a folder of your own" in said


def test_a_file_of_the_users_that_may_not_be_read_is_not_taken_for_a_disk_without_room():
    assert explain_disk(PermissionError(errno.EACCES, "Permission denied", "/data/train.json")) is None
