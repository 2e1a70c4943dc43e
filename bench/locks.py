"""Locks between processes, also of several machines: they say who holds them, and outlive their holder for a minute.

A lock is `flock` on a file, where the file system has that, and beside it a file that names the holder and that the
holder touches every few seconds. Among the processes of one machine `flock` decides, which knows when one has died.
What another machine holds `flock` may not show (some NFS), or go on showing when that machine is gone: there the
touches decide. A waiter takes a lock over that it has not seen touched for `STALE_SECONDS` of its own clock; clocks of
two machines are not compared.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

from bench.errors import BenchError
from bench.filesystem import naming
from bench.processes import machine, writers_mark

try:
    import fcntl
except ImportError:  # Windows: the touches decide
    fcntl = None  # type: ignore[assignment]

BEAT_SECONDS = 5.0
"""Between two touches of a holder."""
STALE_SECONDS = 60.0
"""Untouched for so long, a lock of another machine is taken over."""
FIRST_WORD_SECONDS = 5.0
NEXT_WORD_SECONDS = 600.0
"""When a process that waits says for whom, and how often it says so again."""
POLL_SECONDS = 0.3
"""Between two looks at a lock that is waited for."""
_NOT_HERE = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What `flock` raises where the file system has none."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock. since: in seconds since 1970, by its clock.   job: of SLURM, "" outside of one.

    machine: `processes.machine` of its machine.   parent: the number of the process that started it.   token: of this
    one holding.
    """

    host: str
    machine: str
    pid: int
    parent: int
    job: str
    since: float
    token: str

    @classmethod
    def of_this_process(cls) -> Holder:
        """This process, about to hold a lock."""
        job = os.environ.get("SLURM_ARRAY_JOB_ID", "")
        job = f"{job}_{os.environ.get('SLURM_ARRAY_TASK_ID', '')}" if job else os.environ.get("SLURM_JOB_ID", "")
        return cls(platform.node(), machine(), os.getpid(), os.getppid(), job, time.time(), uuid.uuid4().hex)

    def __str__(self) -> str:
        job = f" (job {self.job})" if self.job else ""
        since = datetime.fromtimestamp(self.since).strftime("%Y-%m-%d %H:%M:%S")
        return f"process {self.pid} on {self.host}{job} since {since}"


class LockHeldError(BenchError):
    """Another process holds a lock. holder: None where that process does not say who it is."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        super().__init__(f"{path}: held by {holder or 'another process'}")
        self.path, self.holder = path, holder

    def is_by_child_of(self, parent: int | None) -> bool:
        """Whether it is held by a process that the one of this number, of this machine, has started."""
        return self.holder is not None and (self.holder.machine, self.holder.parent) == (machine(), parent)


class LostLockError(BaseException):
    """Another process has taken a lock over that this one held. Not an Exception: nothing is to be written for it."""


class Lock:
    """The lock at `path`, held within a block. clock: seconds, by which a holder's touches are judged."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._holder_path = _holder_path(path)
        self._descriptor: int | None = None
        self._mine: Holder | None = None
        self._released = threading.Event()
        self._looked, self._lost = 0.0, False

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock now; makes its folder. Raises LockHeldError where another holds it, and OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            got = _flock(self._descriptor)
            self._take(got)
        except BaseException:
            self._close()
            raise
        self._looked, self._lost = self._clock(), False
        self._released.clear()
        threading.Thread(target=self._touch_till_released, daemon=True).start()

    def release(self) -> None:
        """Let go of the lock. What another has taken over stays with it."""
        self._released.set()
        with suppress(OSError):  # a file system that is read-only or gone by now: it will be found untouched
            if self._is_mine():
                self._holder_path.unlink()
        self._mine = None
        self._close()

    def check(self) -> None:
        """Raise LostLockError if another process has taken the lock over: this one was stopped or cut off for long."""
        if self._clock() - self._looked > 2 * BEAT_SECONDS:  # this process was stopped, and the other thread with it
            self._look()
        if self._lost:
            raise LostLockError(str(self.path))

    def _take(self, got: bool | None) -> None:
        holder, touched = _read(self._holder_path)
        if touched is None:
            if got is False:
                raise LockHeldError(self.path, None)
        elif not self._is_abandoned(holder, touched, got):
            raise LockHeldError(self.path, holder)
        else:
            self._remove(holder)
        self._mine = Holder.of_this_process()
        try:
            with naming(self._holder_path), open(self._holder_path, "x", encoding="utf-8") as file:
                json.dump(asdict(self._mine), file)
        except FileExistsError:
            if self._holder_path.is_dir():  # nobody will ever let go of it
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(self._holder_path)) from None
            # Another machine's process was first.
            raise LockHeldError(self.path, _read(self._holder_path)[0]) from None
        except OSError:
            self._holder_path.unlink(missing_ok=True)
            raise
        _seen.pop(self.path, None)

    def _is_abandoned(self, holder: Holder | None, touched: int, got: bool | None) -> bool:
        """Whether the holder is dead. got: whether `flock` was to be had; None where there is none."""
        if holder is not None and holder.machine == machine() and got is not None:
            return got
        seen = (holder.token if holder else "", touched)
        before, since = _seen.get(self.path, (None, 0.0))
        if before != seen:
            _seen[self.path] = (seen, self._clock())
            return False
        return self._clock() - since >= STALE_SECONDS

    def _remove(self, judged: Holder | None) -> None:
        """Remove the file of a dead holder: that one, should another process have done so and taken the lock."""
        # A name by which it is known as left behind, should this process die here (`bench.leftovers`).
        aside = self._holder_path.with_name(f".{self._holder_path.name}.{writers_mark()}-{uuid.uuid4().hex[:8]}.tmp")
        try:
            self._holder_path.rename(aside)
        except FileNotFoundError:
            raise LockHeldError(self.path, None) from None
        holder = _read(aside)[0]
        if holder != judged:
            aside.rename(self._holder_path)
            raise LockHeldError(self.path, holder)
        aside.unlink()

    def _look(self) -> None:
        """Touch the file that says that this process holds the lock, if it still says so."""
        self._looked = self._clock()
        with suppress(OSError):  # the file system does not answer for a moment
            if self._is_mine():
                os.utime(self._holder_path)
            elif _read(self._holder_path)[0] is not None:
                self._lost = True

    def _is_mine(self) -> bool:
        return self._mine is not None and _read(self._holder_path)[0] == self._mine

    def _touch_till_released(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            self._look()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # lets go of `flock`
            self._descriptor = None


_seen: dict[Path, tuple[tuple[str, int], float]] = {}
"""What this process has last seen of locks that others hold, and since when by its clock it is so."""


def held(path: Path) -> LockHeldError | None:
    """That a lock is held, as an error to be shown; None if it is free. Takes nothing, and needs to write nothing.

    Of a lock of another machine that `flock` does not show, the time tells: for as long as two clocks differ it errs.
    """
    holder, touched = _read(_holder_path(path))
    try:
        shown = flock_shows(path)
    except OSError:
        return None
    if shown:
        return LockHeldError(path, holder)
    if touched is None or (shown is False and holder is not None and holder.machine == machine()):
        return None
    return LockHeldError(path, holder) if time.time() - touched / 1e9 < STALE_SECONDS else None


def flock_shows(path: Path) -> bool | None:
    """Whether `flock` shows here that another process holds a lock; None where the file system has no `flock`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        got = _flock(descriptor, shared=True)
    finally:
        os.close(descriptor)
    return None if got is None else not got


def _flock(descriptor: int, shared: bool = False) -> bool | None:
    """Whether the lock was to be had; None where there is no such thing."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        if error.errno in _NOT_HERE:
            return None
        raise
    return True


def _holder_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _read(path: Path) -> tuple[Holder | None, int | None]:
    """Who is written down as the holder, and when it last touched that (ns); None for what cannot be seen."""
    try:
        # Opened, not only looked at: on NFS that asks the server, whose answers of before may be a minute old.
        with open(path, "rb") as file:
            touched = os.fstat(file.fileno()).st_mtime_ns
            content = file.read()
    except OSError:
        return None, None
    try:
        return Holder(**json.loads(content)), touched
    except (ValueError, TypeError):  # being written
        return None, touched


class Announcer:
    """Says on standard error for whom this process waits: soon, and then seldom.

    siblings: the number of the process whose children share the work: that one waits for another is no news.
    """

    def __init__(
        self,
        siblings: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._siblings, self._clock = siblings, clock
        self._say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        self._next: dict[Path, float] = {}

    def waits_for(self, held: LockHeldError) -> None:
        """This process has found a lock held, and waits."""
        if held.is_by_child_of(self._siblings):
            return
        now = self._clock()
        if now >= self._next.setdefault(held.path, now + FIRST_WORD_SECONDS):
            self._next[held.path] = now + NEXT_WORD_SECONDS
            self._say(f"bench: waiting for {held}")


@dataclass(frozen=True)
class Waiting:
    """How to wait for a lock.

    check: may raise, to stop.   seconds: at most, None for as long as it takes.   siblings: the number of the process
    whose children share the work; for them it is waited as long as it takes, and without a word.
    """

    check: Callable[[], None] = lambda: None
    seconds: float | None = None
    siblings: int | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] | None = None


NO_HURRY = Waiting()
"""As long as it takes."""


@contextmanager
def waiting_for(path: Path, waiting: Waiting = NO_HURRY) -> Iterator[Lock]:
    """Hold the lock at `path`, when it can be had. Raises LockHeldError where that takes too long, and OSError."""
    announcer, began = Announcer(waiting.siblings, waiting.clock, waiting.say), waiting.clock()
    lock = Lock(path, waiting.clock)
    while True:
        waiting.check()
        try:
            lock.acquire()
            break
        except LockHeldError as error:
            too_long = waiting.seconds is not None and waiting.clock() - began >= waiting.seconds
            if too_long and not error.is_by_child_of(waiting.siblings):
                raise
            announcer.waits_for(error)
        waiting.sleep(POLL_SECONDS)
    try:
        yield lock
    finally:
        lock.release()
