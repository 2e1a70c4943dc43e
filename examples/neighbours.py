"""Does what a model says of a document depend on the documents beside it? Its predictions alone and in batches.

    python examples/neighbours.py results/runs/RUN test.json --batch-sizes 2,4,16

Rounding moves some triples of any model, since the matrices of a batch have other shapes; those of a model whose pairs
see the pairs of other documents, as `ttmre-released`'s do, move for a reason. So look at one that does not, too.
Batches are of documents of like length, as everywhere in evaluation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import api


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the folder of a finished run")
    parser.add_argument("documents", type=Path, help="labelled, for F1")
    parser.add_argument("--batch-sizes", default="2,4,16", metavar="N,...", help="beside 1")
    options, others = parser.parse_known_args()  # of `bench predict`, such as --trust-code
    alone: set[tuple[str, int, int, str]] = set()
    print("| documents at once | triples | not alone | alone only | F1 |\n|---|---|---|---|---|")
    for size in [1, *map(int, options.batch_sizes.split(","))]:
        with tempfile.TemporaryDirectory() as folder:
            to = Path(folder, "result.json")
            predict = ["predict", options.run, options.documents, "--batch-size", str(size), "--to", to, *others]
            subprocess.run([sys.executable, "-m", "bench", *predict], check=True, stdout=subprocess.DEVNULL)
            triples = {(row["title"], row["h_idx"], row["t_idx"], row["r"]) for row in json.loads(to.read_text())}
            f1 = api.evaluate(options.documents, to).scores["f1"]
        alone = alone if size > 1 else triples
        print(
            f"| {size} | {len(triples):,} | {len(triples - alone):,} | {len(alone - triples):,} | {f1:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
