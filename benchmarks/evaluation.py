"""`bench evaluate` as a whole process, beside a script that reads the same files and computes F1 and Ign F1.

    python benchmarks/evaluation.py --gold test.json --train train.json --distant train_distant.json

CPU seconds of processes, in turns. The script does nothing but what it must: no file is checked. The large
submission has random triples of the labelled documents.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BARE = """
import json, sys

def read(path):
    with open(path) as file:
        return json.load(file)

def facts(path):
    return {
        (head["name"], tail["name"], label["r"])
        for document in read(path)
        for label in document["labels"]
        for head in document["vertexSet"][label["h"]]
        for tail in document["vertexSet"][label["t"]]
    }

gold, pred, train, distant = sys.argv[1:]
train, distant = facts(train), facts(distant)
gold = read(gold)
documents = {document["title"]: document["vertexSet"] for document in gold}
labels = {(document["title"], x["h"], x["t"], x["r"]) for document in gold for x in document["labels"]}
predicted = {(row["title"], row["h_idx"], row["t_idx"], row["r"]) for row in read(pred)}
right = labels & predicted

def seen(facts):
    return sum(
        any((h["name"], t["name"], r) in facts for h in documents[title][head] for t in documents[title][tail])
        for title, head, tail, r in right
    )

def f1(precision, recall):
    return 200 * precision * recall / (precision + recall)

recall = len(right) / len(labels)
print(f1(len(right) / len(predicted), recall))
for facts in train, distant:
    print(f1((len(right) - seen(facts)) / (len(predicted) - seen(facts)), recall))
"""


def submission(documents: list[dict[str, Any]], rows: int, right: float) -> list[dict[str, Any]]:
    """A share of the labelled triples, and random ones until there are so many rows."""
    chosen = random.Random(0)
    relations = sorted({label["r"] for document in documents for label in document["labels"]})
    made = [
        {"title": document["title"], "h_idx": label["h"], "t_idx": label["t"], "r": label["r"]}
        for document in documents
        for label in document["labels"]
        if chosen.random() < right
    ]
    while len(made) < rows:
        document = chosen.choice(documents)
        head, tail = (chosen.randrange(len(document["vertexSet"])) for _ in range(2))
        made.append({"title": document["title"], "h_idx": head, "t_idx": tail, "r": chosen.choice(relations)})
    return made


def measured(command: list[str]) -> tuple[float, float, float]:
    """CPU seconds, seconds by the clock, and the highest resident memory (MB) of a process."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command}: exit status {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("gold", "train", "distant"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--rows", type=int, default=5_000_000, help="of the large submission; 0: none")
    options = parser.parse_args()
    documents = json.loads(options.gold.read_text())
    with tempfile.TemporaryDirectory(prefix="bench-evaluation-") as folder:
        bare, pred, large = Path(folder, "bare.py"), Path(folder, "pred.json"), Path(folder, "large.json")
        bare.write_text(BARE)
        pred.write_text(json.dumps(submission(documents, 15_000, right=0.6)))
        evaluate = [sys.executable, "-m", "bench", "evaluate", "--gold", str(options.gold)]
        facts = ["--train-facts", str(options.train), "--distant-facts", str(options.distant)]
        files = [str(path) for path in (options.gold, pred, options.train, options.distant)]
        turns = [
            (measured([sys.executable, str(bare), *files])[0], measured([*evaluate, "--pred", str(pred), *facts])[0])
            for _ in range(options.turns)
        ]
        ratio = statistics.median(ours / theirs for theirs, ours in turns)
        theirs, ours = (statistics.median(column) for column in zip(*turns, strict=True))
        print(
            f"script {theirs:.2f} CPU s, bench evaluate {ours:.2f} CPU s: {ratio:.2f} times (medians of {len(turns)})"
        )
        if options.rows:
            large.write_text(json.dumps(submission(documents, options.rows, right=0.0)))
            cpu, clock, memory = measured([*evaluate, "--pred", str(large), *facts])
            size = large.stat().st_size / 1e6
            print(
                f"{options.rows:,} rows, {size:.0f} MB: {clock:.1f} s by the clock, {cpu:.1f} CPU s, {memory:,.0f} MB"
            )


if __name__ == "__main__":
    main()
