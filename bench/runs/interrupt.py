"""Stopping at a safe place: signals ask, the trainer answers at its next step."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bench.locks import Lock

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Ctrl-C, an operator's or a scheduler's stop, and SLURM's warning before a time limit or preemption."""


class Interrupted(Exception):  # noqa: N818 - it is a request, not an error
    """Training stopped because a signal asked for it; what was done so far is on disk."""


class Interrupt:
    """Whether to stop. A second Ctrl-C stops at once, as Python would."""

    def __init__(self) -> None:
        self.requested: signal.Signals | None = None
        self._locks: list[Lock] = []

    def asked(self) -> signal.Signals | None:
        """The signal that has come, if one has. Raises LostLockError where a lock that is guarded is another's."""
        for lock in self._locks:
            lock.check()
        return self.requested

    @contextmanager
    def guarding(self, path: Path) -> Iterator[None]:
        """Hold the lock at `path`, and find out when asked that another process has taken it over.

        Raises LockHeldError where another process holds it.
        """
        with Lock(path) as lock:
            self._locks.append(lock)
            try:
                yield
            finally:
                self._locks.remove(lock)

    def check(self) -> None:
        """Raise `Interrupted` if a signal has come."""
        if (number := self.asked()) is not None:
            raise Interrupted(number.name)

    def request(self, number: int, frame: FrameType | None = None) -> None:
        """The signal handler."""
        if self.requested == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = signal.Signals(number)


@contextmanager
def handling_signals(interrupt: Interrupt | None = None) -> Iterator[Interrupt]:
    """Within this block the signals ask `interrupt` (or a new one) for a stop instead of killing the process."""
    interrupt = interrupt or Interrupt()
    previous = {number: signal.signal(number, interrupt.request) for number in SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_at_end_of_input(interrupt: Interrupt) -> None:
    """Have `interrupt` ask for a stop when standard input ends: a pipe from the process that started this one."""

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin: a thread that waits in it would hold up the exit
            pass
        interrupt.request(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
