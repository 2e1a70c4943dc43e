"""What `bench run --again` and `bench remove` print of what they throw away."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from bench.launch.discard import Discarded

UNITS = ("B", "kB", "MB", "GB", "TB")


def print_discarded(console: Console, discarded: Sequence[Discarded], out: Path, kept: Sequence[str] = ()) -> None:
    """A line for each folder that goes, or of which files go, and for each that is kept although a run has used it."""
    lines = [f"kept: {line}" for line in kept]
    for (folder, why), together in groupby(discarded, key=lambda one: (one.folder, one.why)):
        gone = list(together)
        files = ", ".join(one.path.name for one in gone if one.path != folder)
        size = in_bytes(sum(one.size for one in gone))
        lines.append(f"{folder.relative_to(out)}{f': {files}' if files else ''} ({size}): {why}")
    for line in lines:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)


def in_bytes(size: float) -> str:
    """A size as a person reads it: `12 kB`, `1.4 GB`."""
    unit = 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {UNITS[unit]}" if unit > 1 else f"{size:.0f} {UNITS[unit]}"
