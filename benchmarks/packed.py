"""Several runs on one GPU: what each takes beside others, and how long the GPU is taken for all of them.

    python benchmarks/packed.py --dataset redocred --models ttmre --encoder roberta-large --set epochs=1

Carries out the same seeds with one run at a time on the GPU, then with more (`bench run --launcher local`), each time
into an output folder of its own, and reads how long training took from `provenance.json`. Slowdown is what a SLURM
profile calls `packed_slowdown`. Several processes go through NVIDIA's MPS where one answers or can be started; what
`bench run` says of that is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--models", default="atlop")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--runs-per-gpu", default="1,2,5", help="how many at once, one after another")
    parser.add_argument("--set", action="append", default=[], dest="changes", help="as of `bench run`")
    options = parser.parse_args()
    changes = [part for change in options.changes for part in ("--set", change)]
    what = ["--models", options.models, "--dataset", options.dataset, "--encoder", options.encoder, *changes]
    what += ["--seeds", str(options.seeds)]
    # One GPU: with several, runs would be on the others.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": first}
    alone = 0.0
    with tempfile.TemporaryDirectory(prefix="bench-packed-") as folder:
        warm_up = Path(folder) / "first"  # features are made once, and kept
        carry_out([*what[:-1], "1"], warm_up, "1", environment)
        print("| runs at once | GPU taken (s) | training of a run (s) | slowdown |\n|---|---|---|---|", flush=True)
        for runs in options.runs_per_gpu.split(","):
            out = Path(folder) / f"at-once-{runs}"
            seconds, said = carry_out(what, out, runs, environment)
            training = mean(json.loads(path.read_text())["seconds"] for path in out.glob("stages/*/provenance.json"))
            alone = alone or training
            print(f"| {runs} | {seconds:.0f} | {training:.1f} | {training / alone:.2f} | {said}", flush=True)


def carry_out(what: list[str], out: Path, runs: str, environment: dict[str, str]) -> tuple[float, str]:
    """The seconds that `bench run` took, and what it said of MPS."""
    command = [sys.executable, "-m", "bench", "run", *what, "--out", str(out), "--runs-per-gpu", runs]
    began = time.monotonic()
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return time.monotonic() - began, "; ".join(line for line in done.stdout.splitlines() if line.startswith("MPS"))


if __name__ == "__main__":
    main()
