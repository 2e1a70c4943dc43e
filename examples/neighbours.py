"""Does what a model says of a document depend on the documents beside it? Its predictions alone and in batches.

    python examples/neighbours.py results/runs/RUN test.json --batch-sizes 2,4,16

Rounding may move some triples of any model, since the matrices of a batch have other shapes; those of a model whose
pairs see the pairs of other documents, as `ttmre-released`'s do, move for a reason. So look at one that does not, too.
Batches are of documents of like length, as everywhere in evaluation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

Triples = set[tuple[str, int, int, str]]


def sizes(text: str) -> list[int]:
    """Batch sizes of more than one document."""
    found = [int(part) for part in text.split(",")]
    if min(found) < 2:
        raise argparse.ArgumentTypeError("whole numbers above 1, such as 2,4,16")
    return found


def bench(*arguments: str) -> str:
    """What `bench` prints. Ends this program where it fails, with what it says."""
    done = subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(done.returncode)
    return done.stdout


def predicted(run: str, documents: str, size: int, options: Sequence[str]) -> tuple[Triples, float]:
    """The triples of a run where so many documents are read at once, and their F1 in percent."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder, "result.json")
        bench("predict", run, documents, "--batch-size", str(size), "--to", str(to), *options)
        f1 = json.loads(bench("evaluate", "--gold", documents, "--pred", str(to), "--json"))["f1"]
        return {(row["title"], row["h_idx"], row["t_idx"], row["r"]) for row in json.loads(to.read_text())}, f1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a finished run")
    parser.add_argument("documents", help="labelled, for F1")
    parser.add_argument("--batch-sizes", type=sizes, default=[2, 4, 16], metavar="N,...", help="beside 1")
    parser.add_argument(
        "--trust-code", action="store_true", help="run the code that the run names, as in bench predict"
    )
    options = parser.parse_args()
    more = ["--trust-code"] * options.trust_code
    alone, f1 = predicted(options.run, options.documents, 1, more)
    print("| documents at once | triples | not alone | alone only | F1 |\n|---|---|---|---|---|")
    print(f"| 1 | {len(alone):,} | | | {f1:.2f} |", flush=True)
    for size in options.batch_sizes:
        triples, f1 = predicted(options.run, options.documents, size, more)
        counts = " | ".join(f"{len(some):,}" for some in (triples, triples - alone, alone - triples))
        print(f"| {size} | {counts} | {f1:.2f} |", flush=True)


if __name__ == "__main__":
    main()
