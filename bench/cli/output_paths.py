"""Where a command is told to write, looked at before it does the work."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import UsageError


def check_file(path: Path, option: str) -> None:
    """Raise UsageError where no file can be written to `path`, which the user gave as `option`.

    A file that is there is replaced, and a folder that is not there is made.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path}: it is a folder; expected the name of a file")
    _check(path.parent, f"{option} {path}")


def check_folder(path: Path, option: str) -> None:
    """Raise UsageError where no files can be written to the folder `path`, which is made if it is not there."""
    _check(path, f"{option} {path}")


def _check(folder: Path, given: str) -> None:
    there = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not there.is_dir():
        raise UsageError(f"{given}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{given}: nothing can be written in {there} (permission denied)")
