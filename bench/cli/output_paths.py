"""Where a command is told to write, looked at before it does the work."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import UsageError


def check_file(path: Path, option: str) -> None:
    """Raise UsageError where no file can be written to `path`, given as `option`; its folder is to be there."""
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder; expected the name of a file")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {path}: there is no folder {path.parent}")
    _check_writable(path.parent, f"{option} {path}")


def check_folder(path: Path, option: str) -> None:
    """Raise UsageError where no files can be written to the folder `path`, which is made if it is not there."""
    there = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise UsageError(f"{option} {path}: {there} is no folder")
    _check_writable(there, f"{option} {path}")


def _check_writable(folder: Path, given: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{given}: nothing can be written in {folder} (permission denied)")
