from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from filelock import FileLock

from bench import locks
from bench.locks import (
    FIRST_WORD_SECONDS,
    NEXT_WORD_SECONDS,
    STALE_SECONDS,
    Announcer,
    Holder,
    Lock,
    LockHeldError,
    LostLockError,
    Waiting,
    flock_shows,
    held,
    waiting_for,
)


class Clock:
    """A clock that others set; to sleep is to set it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    monkeypatch.setattr(locks, "_seen", {})


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "folder" / "lock"


@pytest.fixture
def without_flock(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def other(path: Path, machine: str = "another", touched: int = 0) -> Holder:
    """A process of another machine holds the lock, by what is written; it has touched it at this second of 1970."""
    holder = replace(Holder.of_this_process(), host="far", machine=machine, pid=12, job="7_3", since=86400.0)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    written = path.with_name("lock.holder")
    written.write_text(json.dumps(asdict(holder)))
    os.utime(written, (touched, touched))
    return holder


def touch(path: Path, second: int) -> None:
    os.utime(path.with_name("lock.holder"), (second, second))


def is_held(lock: Lock) -> bool:
    """Whether the lock was not to be had; if it was, it is this one's."""
    try:
        lock.acquire()
    except LockHeldError:
        return True
    return False


def test_a_lock_that_is_held_says_by_whom_since_when_and_is_free_afterwards(path):
    with Lock(path), pytest.raises(LockHeldError, match=f"process {os.getpid()} on .* since 20..-..-.. ..:..:.."):
        Lock(path).acquire()
    with Lock(path):
        pass
    assert [file.name for file in path.parent.iterdir()] == ["lock"]


def test_a_folder_in_the_place_of_a_holder_is_told_and_not_waited_for(path, clock):
    holder = path.with_name("lock.holder")
    holder.mkdir(parents=True)
    assert held(path) is None
    with pytest.raises(IsADirectoryError) as raised, waiting_for(path, Waiting(clock=clock, sleep=clock.sleep)):
        pass
    assert raised.value.filename == str(holder)


def test_a_holder_that_is_no_text_is_nobody_and_gives_way_when_it_is_not_touched(path, clock):
    path.parent.mkdir()
    path.with_name("lock.holder").write_bytes(b'{"host": "\xff"}')
    with waiting_for(path, Waiting(clock=clock, sleep=clock.sleep)):
        assert clock.now - 1000 >= STALE_SECONDS


def test_a_job_of_slurm_is_named(path):
    other(path)
    assert f"{path}: held by process 12 on far (job 7_3) since 1970-01-0" in str(held_by(path))


def held_by(path: Path) -> LockHeldError:
    with pytest.raises(LockHeldError) as found:
        Lock(path).acquire()
    return found.value


def test_a_lock_of_the_version_before_is_respected_though_it_does_not_say_whose_it_is(path):
    path.parent.mkdir()
    with FileLock(path):
        assert str(held_by(path)) == f"{path}: held by another process"
        assert held(path) is not None


@pytest.mark.waits
def test_a_lock_of_a_killed_process_of_this_machine_is_free_at_once(path):
    context = multiprocessing.get_context("forkserver")
    ready = context.Event()
    process = context.Process(target=hold, args=(path, ready))
    process.start()
    ready.wait()
    assert f"process {process.pid} " in str(held_by(path))
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert path.with_name("lock.holder").exists()
    assert held(path) is None
    with Lock(path):
        pass


def hold(path: Path, ready) -> None:
    with Lock(path):
        ready.set()
        signal.pause()


@pytest.mark.parametrize("touched", [0, 2**33])
def test_a_lock_of_another_machine_is_taken_over_when_it_was_not_touched_for_long_by_the_clock_of_who_waits(
    touched, path, clock
):
    other(path, touched=touched)  # whatever its own clock says
    lock = Lock(path, clock)
    assert is_held(lock)
    clock.now += STALE_SECONDS - 1
    assert is_held(lock)
    touch(path, touched + 1)
    clock.now += 2
    assert is_held(lock)
    clock.now += STALE_SECONDS
    assert not is_held(lock)
    lock.release()


def test_what_another_machine_that_is_gone_seems_to_hold_for_ever_is_taken_over(path, clock):
    other(path)
    with FileLock(path):  # as an NFS server does that has not heard of its end
        assert is_held(Lock(path, clock))
        clock.now += STALE_SECONDS
        with Lock(path, clock):
            assert is_held(Lock(path, clock))


def test_a_process_of_this_machine_that_was_stopped_for_long_keeps_its_lock(path, clock):
    with Lock(path):
        touch(path, 0)
        assert is_held(Lock(path, clock))
        clock.now += 10 * STALE_SECONDS
        assert is_held(Lock(path, clock))


@pytest.mark.usefixtures("without_flock")
def test_without_flock_one_excludes_the_other_and_a_dead_one_is_taken_over(path, clock):
    with Lock(path):
        assert is_held(Lock(path, clock))
    other(path, machine=locks.machine())
    lock = Lock(path, clock)
    assert is_held(lock)
    clock.now += STALE_SECONDS
    assert not is_held(lock)
    lock.release()
    assert held(path) is None


def test_of_two_that_find_a_lock_abandoned_one_takes_it(path, clock):
    dead = other(path)
    first, second = Lock(path, clock), Lock(path, clock)
    assert is_held(first)
    clock.now += STALE_SECONDS
    with first:
        with pytest.raises(LockHeldError):
            second._remove(dead)  # what it would do next if it had looked before the first took it
        first.check()
        assert first._is_mine()


def test_who_has_lost_a_lock_finds_out_and_leaves_it_to_the_other(path):
    lock = Lock(path)
    lock.acquire()
    theirs = other(path)
    lock._look()
    with pytest.raises(LostLockError):
        lock.check()
    lock.release()
    assert json.loads(path.with_name("lock.holder").read_text()) == asdict(theirs)


def test_who_was_stopped_for_long_looks_before_it_goes_on(path, clock):
    lock = Lock(path, clock)
    lock.acquire()
    other(path)
    lock.check()
    clock.now += STALE_SECONDS
    with pytest.raises(LostLockError):
        lock.check()
    lock.release()


def test_a_holder_touches_its_lock(path):
    with Lock(path) as lock:
        touch(path, 0)
        lock._look()
        assert path.with_name("lock.holder").stat().st_mtime > 0


def test_a_lock_of_another_machine_is_seen_as_held_for_as_long_as_it_is_touched_and_nothing_is_written(path):
    other(path)
    assert held(path) is None
    path.with_name("lock.holder").touch()
    assert "far" in str(held(path))
    assert sorted(file.name for file in path.parent.iterdir()) == ["lock", "lock.holder"]


def test_who_waits_says_so_soon_and_then_seldom(path, clock):
    other(path)
    said = []

    def check() -> None:
        touch(path, int(clock.now))  # it lives
        if clock.now > 1000 + 2 * NEXT_WORD_SECONDS:
            path.with_name("lock.holder").unlink()

    with waiting_for(
        path, Waiting(check, clock=clock, sleep=clock.sleep, say=lambda text: said.append((clock.now, text)))
    ):
        pass
    assert [round(when - 1000) for when, _ in said] == [FIRST_WORD_SECONDS, FIRST_WORD_SECONDS + NEXT_WORD_SECONDS]
    assert {text for _, text in said} == {f"bench: waiting for {LockHeldError(path, other(path))}"}


@pytest.mark.parametrize("seconds", [0.0, 30.0])
def test_waiting_ends_when_it_may_take_no_longer(seconds, path, clock):
    other(path)
    with (
        pytest.raises(LockHeldError),
        waiting_for(path, Waiting(seconds=seconds, clock=clock, sleep=clock.sleep, say=lambda text: None)),
    ):
        pass
    assert seconds <= clock.now - 1000 <= seconds + 2 * locks.POLL_SECONDS


def test_waiting_for_a_process_of_the_same_command_is_no_news_and_has_no_end(path, clock):
    siblings = os.getppid()
    holder = Lock(path)
    holder.acquire()

    def check() -> None:
        if clock.now > 1000 + NEXT_WORD_SECONDS:
            holder.release()

    said: list[str] = []
    with waiting_for(path, Waiting(check, 1.0, siblings, clock, clock.sleep, said.append)):
        assert clock.now > 1000 + NEXT_WORD_SECONDS
    assert said == []


def test_each_lock_that_is_waited_for_is_told(tmp_path, clock):
    said: list[str] = []
    announcer = Announcer(None, clock, said.append)
    for _ in range(3):
        for name in ("a", "b"):
            announcer.waits_for(LockHeldError(tmp_path / name, None))
        clock.now += FIRST_WORD_SECONDS
    assert said == [f"bench: waiting for {tmp_path / name}: held by another process" for name in ("a", "b")]


def test_an_unusual_error_of_flock_is_not_taken_for_a_held_lock(path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match="Input/output"):
        Lock(path).acquire()


def test_what_flock_alone_shows_of_a_lock_is_told(path):
    with Lock(path):
        assert flock_shows(path) is True
    assert flock_shows(path) is False


@pytest.mark.usefixtures("without_flock")
def test_where_there_is_no_flock_it_shows_nothing(path):
    with Lock(path):
        assert flock_shows(path) is None
        assert held(path) is not None
