from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bench.filesystem import write_atomically
from bench.leftovers import LONG, remove_leftovers, remove_leftovers_of
from bench.processes import is_gone, writers_mark


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def begin_to_write(path: Path, begun) -> None:
    """Write half of a file, and go no further."""
    os.fsync = lambda descriptor: (begun.set(), signal.pause())
    write_atomically(path, b"half")


def temporary_files(folder: Path) -> list[Path]:
    return list(folder.rglob("*.tmp"))


@pytest.mark.waits
def test_what_a_killed_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(home, tmp_path):
    context = multiprocessing.get_context("forkserver")
    files = [home / "encodings" / "k" / "0.npy", tmp_path / "out" / "stages" / "s" / "checkpoints" / "x.safetensors"]
    begun = [context.Event() for _ in files]
    processes = [context.Process(target=begin_to_write, args=each) for each in zip(files, begun, strict=True)]
    for process, event in zip(processes, begun, strict=True):
        process.start()
        event.wait()
    assert remove_leftovers(tmp_path / "out") == ""
    assert len(temporary_files(tmp_path)) == 2
    for process in processes:
        process.kill()
        process.join()
    assert remove_leftovers(tmp_path / "out") == "removed 2 temporary files (0 MB) that killed processes had left"
    assert temporary_files(tmp_path) == []


OF_ANOTHER = ".selected.safetensors.0123abcd-77-a1b2c3d4.tmp"
OF_THE_VERSION_BEFORE = ".selected.safetensors.a1b2c3d4.tmp"


@pytest.mark.parametrize("name", [OF_ANOTHER, OF_THE_VERSION_BEFORE])
def test_where_the_writer_cannot_be_looked_for_only_what_is_old_is_removed(name, home, tmp_path):
    path = tmp_path / "out" / "stages" / "s" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    assert remove_leftovers(tmp_path / "out") == ""
    os.utime(path, (time.time() - 2 * LONG,) * 2)
    assert "1 temporary file " in remove_leftovers(tmp_path / "out")


def test_a_half_written_card_of_a_model_is_removed(home, tmp_path):
    path = home / "cards" / OF_ANOTHER
    path.parent.mkdir(parents=True)
    path.touch()
    os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path) != ""
    assert not path.exists()


def test_who_holds_the_lock_of_a_folder_removes_what_anyone_but_a_living_process_here_has_begun(tmp_path):
    mine = tmp_path / f".a.json.{writers_mark()}-a1b2c3d4.tmp"
    for name in (OF_ANOTHER, OF_THE_VERSION_BEFORE, mine.name):
        (tmp_path / name).touch()
    remove_leftovers_of(tmp_path)
    assert temporary_files(tmp_path) == [mine]


def test_what_was_not_written_by_this_program_is_left_alone(home, tmp_path):
    kept = [tmp_path / "out" / "mine" / OF_ANOTHER, tmp_path / "out" / "runs" / "r" / "notes.tmp", home / OF_ANOTHER]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    assert remove_leftovers(tmp_path / "out") == ""
    assert all(path.exists() for path in kept)


def test_a_process_of_another_machine_is_neither_dead_nor_alive():
    assert is_gone(writers_mark()) is False
    assert is_gone(f"0123abcd-{os.getpid()}") is None
