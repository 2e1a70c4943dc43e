"""Documents to features at scale: against the plain reader on one core, and a whole distant split, built and opened.

    python benchmarks/features.py --documents distant.json --encoder minilm --plain 500 --processes 1,2

`--documents`: a DocRED-form file, for instance what `recombined.py` makes. The first figures are of its first `--plain`
documents, both readers in turn in one process, in seconds of its CPU. Then the whole file, with an empty cache, in a
process of its own for each of `--processes`; peak memory is that of the process and its helpers together.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from plain import reader

from bench.data.batching import collate, training_order
from bench.data.features.cache import PartMaker, features_of
from bench.data.features.feature_file import FeatureFile
from bench.data.formats.chunks import FileChunks
from bench.data.formats.json_stream import elements
from bench.data.formats.scan import SourceReader
from bench.data.formats.sound import sound_document
from bench.nn.encoder_source import EncoderSource, find_encoder

MAX_LENGTH = 1024


def relations_of(path: Path) -> list[str]:
    return sorted({label["r"] for item, _ in elements(SourceReader(path)) for label in item.get("labels", ())})


def build(path: Path, source: EncoderSource, relations: list[str], folder: Path, processes: int = 1) -> FeatureFile:
    """The features of a file, made or opened, with no word tokenised before."""
    chunks = FileChunks(path, SourceReader(path).finish().sha256, sound_document, "")
    return features_of(
        chunks, "", PartMaker(folder, source.words(), source.fingerprint, tuple(relations), MAX_LENGTH), processes
    )


def cpu_seconds(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def against_plain(path: Path, count: int, encoder: str, repeats: int = 3) -> None:
    """Documents per second of both readers: from the file to numbers in memory, and to the cache."""
    source = find_encoder(encoder, ())
    plain, ours = [], []
    with tempfile.TemporaryDirectory() as scratch:
        few = Path(scratch) / "few.json"
        few.write_text(json.dumps([item for item, _ in islice(elements(SourceReader(path)), count)]))
        relations = relations_of(few)
        for repeat in range(repeats):
            plain.append(cpu_seconds(lambda: list(reader.read(few, source.tokenizer, relations, MAX_LENGTH))))
            folder = Path(scratch) / str(repeat)
            ours.append(cpu_seconds(lambda: build(few, source, relations, folder)))  # noqa: B023
    slow, fast = statistics.median(plain), statistics.median(ours)
    print(
        f"{count:,} documents, CPU seconds: plain reader {slow:.2f} ({count / slow:,.0f} documents/s), "
        f"features {fast:.3f} ({count / fast:,.0f} documents/s): {slow / fast:.1f} times",
        flush=True,
    )


def whole(path: Path, encoder: str, relations: list[str], folder: Path, processes: int) -> None:
    """Build all of it, open it again, collate the first batch; in this process, which prints what it took."""
    source = find_encoder(encoder, ())
    began = time.perf_counter()
    count = len(build(path, source, relations, folder, processes))
    built = time.perf_counter() - began
    began = time.perf_counter()
    again = build(path, source, relations, folder)
    opened = time.perf_counter() - began
    began = time.perf_counter()
    rows = training_order(again.lengths, 4, seed=0, epoch=0)[0]
    collate([again[int(i)] for i in rows], len(relations), 0)
    first = time.perf_counter() - began
    began = time.perf_counter()
    chosen = np.random.default_rng(0).permutation(count)[:4000]
    pieces = sum(len(again[int(i)].input_ids) for i in chosen)
    read = time.perf_counter() - began
    began = time.perf_counter()
    again.label_rates(len(relations))
    rates = time.perf_counter() - began
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(
        f"{processes} processes: {count:,} documents in {built:.1f} s ({count / built:,.0f} documents/s), "
        f"{size / 2**20:,.0f} MiB; opened in {opened:.2f} s (the file's checksum included), first batch "
        f"{1000 * first:.0f} ms, at random {len(chosen) / read:,.0f} documents/s "
        f"({pieces / len(chosen):.0f} pieces each), label rates {rates:.2f} s",
        flush=True,
    )


def resident(pid: int) -> int:
    """Bytes of memory of a process and those it started; pages of mapped files, which can be let go, left out."""
    total = 0
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        total += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
        children = [c for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    except OSError:
        return total
    return total + sum(resident(int(child)) for child in children)


def watched(process: multiprocessing.process.BaseProcess) -> int:
    """Wait for a process; the most memory it and its children had, looked at twenty times a second."""
    peak = 0
    while process.is_alive():
        peak = max(peak, resident(process.pid or 0))
        process.join(0.05)
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--plain", type=int, default=500, help="documents for the plain reader; 0 to leave it out")
    parser.add_argument("--processes", default="1,2", help="for the whole file; '' to leave it out")
    options = parser.parse_args()
    if options.plain:
        against_plain(options.documents, options.plain, options.encoder)
    relations = relations_of(options.documents) if options.processes else []
    for processes in map(int, filter(None, options.processes.split(","))):
        with tempfile.TemporaryDirectory() as scratch:
            arguments = (options.documents, options.encoder, relations, Path(scratch), processes)
            # Spawned, for a peak of its own; not daemonic, since it starts helpers.
            process = multiprocessing.get_context("spawn").Process(target=whole, args=arguments)
            process.start()
            print(f"  peak memory {watched(process) / 2**20:,.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
