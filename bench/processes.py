"""Which process this is, to others of this machine and of other machines that share a file system.

Also how old it is, and how it gives back memory.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
import platform
import time
import uuid
from functools import cache
from pathlib import Path

_LOADED = time.monotonic()


@cache
def machine() -> str:
    """This machine since it was started (16 hex digits): not its name, which containers of two machines may share."""
    return _digest(_boot())[:16]


def writers_mark() -> str:
    """What this process marks its temporary files with, for `is_gone`."""
    return f"{_place()}-{os.getpid()}"


def is_gone(mark: str) -> bool | None:
    """Whether the process of a `writers_mark` has ended; None where that cannot be seen from here.

    A number that another process has been given since counts as that process.
    """
    place, _, number = mark.partition("-")
    if place != _place():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # somebody else's, so it lives
    return False


def age() -> float:
    """The seconds since this process was started, loading its libraries included; where Linux says it (`/proc`)."""
    try:
        # Behind the name, which may hold anything, fields count from the third: the start, in ticks, is the 22nd.
        started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, up - started / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.monotonic() - _LOADED


def give_back_memory() -> None:
    """Let go of what nothing but itself refers to, and give unused memory back, where the C library can (glibc).

    By itself Python may keep a model and its optimizer for hours, after an error above all, and the C library what they
    took, a gigabyte and more, for as long as the process lives. Takes tenths of a second.
    """
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@cache
def _place() -> str:
    # Process numbers mean something within one namespace of them alone.
    namespace = Path("/proc/self/ns/pid")
    return _digest(_boot() + (os.readlink(namespace) if namespace.exists() else ""))[:8]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        return f"{platform.node()} {uuid.getnode()}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
