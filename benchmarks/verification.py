"""What it costs to compare cached parts with their checksums, which a process does the first time it opens them.

    python benchmarks/verification.py --documents distant.json --gigabytes 4

Checksums in memory, beside each other; the features of a DocRED-form file, opened by a process that has opened nothing
of them before; and `--gigabytes` of arrays in parts, such as a teacher's signals or a frozen encoder's states are. Each
with the parts in the page cache and, where the system lets go of them, from the disk.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from features import build, relations_of

from bench import filesystem
from bench.filesystem import part_state, write_part
from bench.nn.encoder_source import find_encoder

PART = 64 << 20
REPEATS = 3


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def forget(paths: Iterable[Path]) -> None:
    """Have the system let go of what it keeps of these files in memory."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_time(paths: list[Path], work: Callable[[], Any], from_disk: bool) -> float:
    """Seconds of `work` as in a process that has seen none of `paths` before; median."""
    taken = []
    for _ in range(REPEATS):
        filesystem._sha256.cache_clear()
        if from_disk:
            forget(paths)
        taken.append(seconds(work))
    return statistics.median(taken)


def checksums() -> None:
    content = os.urandom(PART)
    for name, of in (("sha256", hashlib.sha256), ("blake2b", hashlib.blake2b), ("crc32", zlib.crc32)):
        taken = statistics.median(seconds(lambda: of(content)) for _ in range(REPEATS))  # noqa: B023
        print(f"{name} in memory: {PART / taken / 1e9:.2f} GB/s", flush=True)


def features(documents: Path, encoder: str) -> None:
    source, relations = find_encoder(encoder, ()), relations_of(documents)
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        folder = Path(scratch)
        count = len(build(documents, source, relations, folder))
        parts = sorted(folder.rglob("*.arrow"))
        size = sum(path.stat().st_size for path in parts)
        again = seconds(lambda: build(documents, source, relations, folder))
        cached, disk = (
            first_time(parts, lambda: [part_state(path) for path in parts], from_disk) for from_disk in (False, True)
        )
    print(
        f"features of {count:,} documents, {len(parts)} parts, {size / 1e9:.3f} GB: compared in {cached:.2f} s, from "
        f"the disk in {disk:.2f} s; opened again by the same process in {again:.2f} s, the checksum of the "
        "documents' file included",
        flush=True,
    )


def arrays(gigabytes: float) -> None:
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        parts = [Path(scratch) / f"{i:07d}.npy" for i in range(max(1, int(gigabytes * 1e9 / PART)))]
        content = os.urandom(PART)
        for path in parts:
            write_part(path, content)
        size = len(parts) * PART
        cached, disk = (
            size / first_time(parts, lambda: [part_state(path) for path in parts], from_disk) / 1e9
            for from_disk in (False, True)
        )
    print(f"arrays, {size / 1e9:.1f} GB: compared at {cached:.2f} GB/s, from the disk at {disk:.2f} GB/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--gigabytes", type=float, default=4.0)
    options = parser.parse_args()
    checksums()
    arrays(options.gigabytes)
    if options.documents:
        features(options.documents, options.encoder)


if __name__ == "__main__":
    main()
