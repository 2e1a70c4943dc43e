from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.filesystem import (
    checksum_path,
    explain_disk,
    fits_checksum,
    part_state,
    read_checked,
    read_json,
    write_atomically,
    write_checked,
    write_checksum,
    write_json,
    write_part,
)


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


def test_a_folder_in_the_place_of_a_file_holds_no_json_and_writing_there_says_what_to_do(tmp_path):
    (tmp_path / "a.json").mkdir()
    assert read_json(tmp_path / "a.json") is None
    with pytest.raises(IsADirectoryError) as raised:
        write_json(tmp_path / "a.json", {})
    assert explain_disk(raised.value) == (
        f"{tmp_path / 'a.json'}: a folder, where a file of this program belongs: remove it, or move it away"
    )


CONTENT = {"seed": 66, "model": "atlop", "nested": {"é": [1.5, None]}}


def test_an_object_is_read_as_it_was_written_with_its_checksum(tmp_path):
    write_checked(tmp_path / "a.json", CONTENT)
    assert read_checked(tmp_path / "a.json") == CONTENT
    assert read_json(tmp_path / "a.json").items() > CONTENT.items()


@pytest.mark.parametrize(("written", "changed"), [("66", "67"), ("atlop", "btlop"), ('"seed"', '"reed"'), ("é", "è")])
def test_an_object_of_which_a_letter_has_changed_is_none(written, changed, tmp_path):
    path = tmp_path / "a.json"
    write_checked(path, CONTENT)
    text = path.read_text()
    path.write_text(text.replace(written, changed))
    assert path.read_text() != text
    assert read_checked(path) is None


def test_an_object_of_the_version_before_is_read_although_it_has_no_checksum(tmp_path):
    write_json(tmp_path / "a.json", CONTENT)
    assert read_checked(tmp_path / "a.json") == CONTENT


@pytest.mark.parametrize("content", ["", "[]", "7", "{", '"seed"'])
def test_what_is_no_object_is_none(content, tmp_path):
    (tmp_path / "a.json").write_text(content)
    assert read_checked(tmp_path / "a.json") is None


def test_a_file_fits_the_checksum_beside_it_until_either_changes(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1]")
    assert fits_checksum(path)  # nothing is claimed of it
    write_checksum(path)
    assert fits_checksum(path)
    path.write_text("[2]")
    assert not fits_checksum(path)
    path.unlink()
    assert not fits_checksum(path)
    path.write_text("[1]")
    checksum_path(path).write_bytes(b"\xff")
    assert not fits_checksum(path)


def test_a_checksum_beside_a_file_is_one_that_sha256sum_takes(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    write_checksum(tmp_path / "a.json")
    expected = "080a9ed428559ef602668b4c00f114f1a11c3f6b02a435f0bdc154578e4d7f22  a.json\n"
    assert (tmp_path / "a.json.sha256").read_text() == expected
