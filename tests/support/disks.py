"""Disks that take nothing: folders that are read-only, files for which there is no room."""

from __future__ import annotations

import builtins
import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest


def make_read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Every call that would change something under `folder` raises what it does on a file system mounted read-only.

    Permissions would not do: they do not bind a user who is root.
    """
    plain_open, plain_os_open = io.open, os.open

    def refuse(path: Any) -> None:
        if isinstance(path, str | os.PathLike) and Path(path).is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))

    def guarded_open(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if set(mode) & set("wax+"):
            refuse(file)
        return plain_open(file, mode, *rest, **named)

    def guarded_os_open(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            refuse(path)
        return plain_os_open(path, flags, *rest, **named)

    def guarded(name: str) -> None:
        plain = getattr(os, name)

        def call(path: Any, *rest: Any, **named: Any) -> Any:
            if name != "mkdir" or not os.path.isdir(path):
                refuse(path)
            return plain(path, *rest, **named)

        monkeypatch.setattr(os, name, call)

    monkeypatch.setattr(builtins, "open", guarded_open)
    monkeypatch.setattr(io, "open", guarded_open)
    monkeypatch.setattr(os, "open", guarded_os_open)
    for name in ("mkdir", "unlink", "rename", "replace", "utime", "chmod"):
        guarded(name)


def fill_disk(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """There is no room for files whose path, while they are written, has one of `names` in it."""
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if any(name in path for name in names):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
