"""A training step on a GPU, each model beside its plain formulation: time, memory, utilisation, projected hours.

    python benchmarks/gpu.py --documents test.json --out folder

An encoder of RoBERTa-large's size with random weights, real documents in MiniLM's word pieces (no network), the
trainer's batches of 4. A step is forward, loss, backward, clipping and AdamW. Also: whether a step waits for the GPU
anywhere, whether two from the same state are equal to the bit, what each of its parts takes and how many kernels it
launches, and what torch.compile changes. Results so far are in OUT/gpu.json after every line; what does not fit in
`--seconds` is left out and named.
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from floor import step_operations
from gpu_checks import check, check_compiled
from gpu_steps import BATCH, DISTANT_DOCUMENTS, DISTANT_EPOCHS, GRAPHS, PEAK, WARM_UP, Bench, Step
from speed import MODELS, baselines


def formulations(bench: Bench, model: str, precision: str, skipped: set[str]) -> dict[str, Step]:
    """Ours and those beside it: the plain ones, with the same weights, and ours with the encoder compiled."""
    ours = bench.step(bench.system(model), precision=precision)
    found = {"ours": ours}
    if "plain" not in skipped:
        for which in baselines(model):
            found[which] = bench.step(ours.system, which, precision, ours.optimizer)
    if "compile" not in skipped and precision == "bf16":
        for name, encoder in bench.compiled.items():
            found[f"ours, {name}"] = bench.step(bench.system(model, encoder), precision=precision)
    return found


def one_round(bench: Bench, step: Step) -> dict[str, float]:
    """Seconds of a step, the mean over the batches, and the most memory held (GiB), weights and moments included."""
    bench.wait()
    before = peak = 0
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    began = time.perf_counter()
    for batch in bench.batches:
        bench.kernels.do(step, batch)
    bench.wait()
    seconds = (time.perf_counter() - began) / len(bench.batches)
    if bench.device.type == "cuda":
        peak = torch.cuda.max_memory_allocated() - before
    resident = sum(3 * p.numel() * p.element_size() for p in step.system.parameters())
    return {"seconds": seconds, "gib": (peak + resident) / 2**30}


def measure(bench: Bench, model: str, precision: str, skipped: set[str]) -> None:
    """A line of the table for each formulation. They take turns, since a machine's pace changes by the minute."""
    steps = formulations(bench, model, precision, skipped)
    rounds: dict[str, list[dict[str, float]]] = {which: [] for which in steps}
    for turn in range(WARM_UP + bench.options.rounds):
        if bench.left() < 5:
            break
        for which in list(rounds):
            began = time.monotonic()
            try:
                found = one_round(bench, steps[which])
            except Exception as error:  # out of memory, or whatever the compiler raises: it is the result
                why = f"{type(error).__name__}: {str(error).splitlines()[0][:300]}"
                del rounds[which]
                bench.results["left_out"].append([model, which, precision, why])
                print(f"{model} {which} {precision}: {why}", flush=True)
                continue
            if turn >= WARM_UP:
                rounds[which].append(found)
            elif turn == 0:
                bench.results["warm_up"][f"{model}, {which}, {precision}"] = round(time.monotonic() - began, 1)
    operations = float(np.mean([sum(step_operations(steps["ours"].system, batch).values()) for batch in bench.batches]))
    for which, measured in rounds.items():
        if not measured:
            bench.results["left_out"].append([model, which, precision, "no time left"])
            continue
        seconds = float(np.median([row["seconds"] for row in measured]))
        row = {
            "model": model,
            "formulation": which,
            "precision": precision,
            "milliseconds": round(1000 * seconds, 1),
            "fastest": round(1000 * min(row["seconds"] for row in measured), 1),
            # What graphs work in was taken before, and stays.
            "peak_gib": None if GRAPHS in which else round(max(row["gib"] for row in measured), 2),
            "mfu": round(operations / seconds / PEAK[precision], 4),
            "distant_hours": round(seconds * DISTANT_EPOCHS * DISTANT_DOCUMENTS / BATCH / 3600, 2),
        }
        bench.results["steps"].append(row)
        print("  ".join(str(value) for value in row.values()), f" [{bench.left():.0f} s left]", flush=True)
    bench.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="a DocRED-form file of at least 64 documents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=190, help="time for all of it; checks go first")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a small encoder and heads, to try this script out")
    parser.add_argument("--skip", default="", help="of checks, plain, bf16, fp32, compile (nothing compiled)")
    options = parser.parse_args()
    skipped = set(options.skip.split(","))
    models = options.models.split(",")
    bench = Bench(options)
    card = torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu"
    bench.results |= {"card": card, "torch": torch.__version__, "pairs_per_batch": bench.pairs}
    lengths = sorted(d.length for b in bench.batches for d in b.documents)
    print(
        f"{card}, torch {torch.__version__}, {len(bench.batches)} batches of {BATCH}, "
        f"{lengths[0]} to {lengths[-1]} pieces, {bench.pairs:.0f} pairs a batch, "
        f"ready after {time.monotonic() - bench.began:.0f} s",
        flush=True,
    )
    if "checks" not in skipped:
        for model in models:
            check(bench, model)
        if "compile" not in skipped:
            check_compiled(bench)
    # As the trainer does: every kernel in its deterministic form.
    with bench.kernels if bench.device.type == "cuda" else nullcontext():
        for precision in ("bf16", "fp32"):
            for model in models if precision not in skipped else ():
                measure(bench, model, precision, skipped)
    bench.write()
    print("\n| model | formulation | precision | step (ms) | fastest | peak (GiB) | MFU | distant stage (h) |")
    print("|---" * 8 + "|")
    for row in bench.results["steps"]:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(json.dumps({key: bench.results[key] for key in bench.results if key != "steps"}))


if __name__ == "__main__":
    main()
