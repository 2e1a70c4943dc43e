"""Documents per second of the readers of files, checks included.

    python benchmarks/readers.py train.json CDR_TrainingSet.PubTator.txt Train.BioC.XML

Each file is read `--times` times in turn, in the form that its content shows, in this process; the figure is of the
median, in seconds of its CPU, with what collecting its garbage takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from bench.data.formats.detect import detect, scan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--times", type=int, default=7)
    arguments = parser.parse_args()
    seconds: dict[Path, list[float]] = {path: [] for path in arguments.files}
    counts = {path: scan(path).count for path in arguments.files}
    for _ in range(arguments.times):
        for path, taken in seconds.items():
            before = time.process_time()
            scan(path)
            taken.append(time.process_time() - before)
    for path, taken in seconds.items():
        median = statistics.median(taken)
        form = detect(path).name
        print(f"{path.name}: {form}, {counts[path]:,} documents, {median:.3f} s, {counts[path] / median:,.0f} a second")


if __name__ == "__main__":
    main()
