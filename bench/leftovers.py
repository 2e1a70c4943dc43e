"""Temporary files that a killed process has left: a large encoder's weights are gigabytes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from bench.errors import plural
from bench.filesystem import home
from bench.processes import is_gone

TEMPORARY = re.compile(r"\..+\.(?:(?P<mark>[0-9a-f]{8}-\d+)-)?[a-z0-9_]{8}\.tmp")
"""What `write_atomically` calls them; the version before did not mark them with their writer."""
LONG = 24 * 3600.0
"""Seconds after which a file is no longer being written that another machine has begun. It is written in one go."""
OF_HOME = ("features", "encodings", "probes", "datasets", "sample", "statistics", "memory-figures", "cards")
OF_OUTPUT = ("runs", "stages", "signals", "tables", "slurm")
"""The folders that this program writes to: others may be anything of the user's."""


def remove_leftovers(out: Path) -> str:
    """Remove what killed processes have left in BENCH_HOME and an output folder; what that was, in words, or ""."""
    folders = [*(home() / name for name in OF_HOME), *(out / name for name in OF_OUTPUT)]
    removed = [size for folder in folders for size in _removed(folder, LONG)]
    if not removed:
        return ""
    files = plural(len(removed), "temporary file")
    return f"removed {files} ({sum(removed) / 1e6:,.0f} MB) that killed processes had left"


def remove_leftovers_of(folder: Path) -> None:
    """Remove them from a folder, of which this process holds the lock: whoever has begun one there is gone."""
    for _ in _removed(folder, 0.0):
        pass


def _removed(folder: Path, age: float) -> Iterator[int]:
    """The bytes of each file that was removed. age: in seconds, of one whose writer cannot be looked for from here."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if (found := TEMPORARY.fullmatch(name)) is None:
                continue
            path = Path(parent, name)
            try:
                stat = path.stat()
                gone = is_gone(found["mark"]) if found["mark"] else None
                if gone or (gone is None and time.time() - stat.st_mtime >= age):
                    path.unlink()
                    yield stat.st_size
            except OSError:
                continue  # its writer was done just now, or it is somebody else's
