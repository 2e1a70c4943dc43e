"""What a training step and a prediction cost, each model beside its plain formulation: `make bench`.

    python benchmarks/speed.py all --documents test.json         # what follows, one after the other
    python benchmarks/speed.py steps --documents test.json       # time in parts, ratio, distance from the floor
    python benchmarks/speed.py memory --documents test.json      # peak memory, each in a process of its own
    python benchmarks/speed.py growth                            # with entities, length, memory tokens, layers ...

Without `--documents` the generated sample stands in. Times are medians over `--repeats` rounds, after one to warm up;
both formulations of a model have the same weights and take turns in one process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from documents import described, document_batch, made_up_batch, system_of
from floor import step_operations
from steps import PARTS, formulation, matmul_rate, medians, timed_prediction, timed_step

from bench.data.batching import Batch
from bench.data.formats.docred import read_documents
from bench.nn.encoder_source import EncoderSource, find_encoder

MODELS = ("atlop", "ssrpu", "dreeam", "kd_docre", "ttmre:layers=1", "ttmre", "ttmre-released")
GROWTH: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "entities": (("atlop", "dreeam", "kd_docre", "ttmre:layers=1", "ttmre"), (10, 20, 40, 80)),
    "length": (("atlop", "dreeam", "kd_docre", "ttmre:layers=1", "ttmre"), (128, 256, 512, 1024)),
    "memory": (("ttmre:layers=1", "ttmre"), (10, 100, 1_000, 10_000)),
    "batch memory": (("ttmre:layers=1", "ttmre"), (10, 100, 1_000, 10_000)),
    "layers": (("ttmre", "ttmre-released"), (1, 2, 3, 4)),
    "relations": (("atlop", "ssrpu", "kd_docre", "ttmre:layers=1"), (14, 96, 500)),
    "documents": (("atlop", "kd_docre", "ttmre:layers=1"), (1, 4, 16, 32)),
}
"""Per axis the models and the sizes; what is not varied: 1 document of 512 pieces, 20 entities, 96 relations, but for
`batch memory`: memory tokens with the four real documents of `steps`."""

SETTING = {"memory": "memory", "batch memory": "memory", "layers": "layers"}
"""The axes along which not the documents grow but a setting of the model."""


def named(text: str) -> tuple[str, dict[str, Any]]:
    """`ttmre:layers=1,memory=10` -> the model and its settings."""
    name, _, settings = text.partition(":")
    return name, {key: json.loads(value) for key, _, value in (s.partition("=") for s in settings.split(",") if s)}


def baselines(model: str) -> tuple[str, ...]:
    """The plain formulations a model is put beside."""
    return ("plain", "plain+write") if model.startswith("ttmre") else ("plain",)


def steps(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every part; ratios to ours in float32; documents predicted per second; time over the floor."""
    source = the_encoder(options)
    batch = document_batch(options.documents, source)
    results: dict[str, Any] = {"batch": described(batch), "models": {}}
    head = ["model", "formulation", "precision", "step (s)", *PARTS, "times ours", "documents/s", "times slower"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for model in options.models.split(","):
        name, settings = named(model)
        system = system_of(name, source, batch, **settings)
        others = baselines(model) if options.plain else ()
        forms = {which: formulation(system, which) for which in ("ours", "ours bf16", *others)}
        runs: dict[str, Any] = {"rate": lambda: {"rate": matmul_rate(options.clock)}}
        for which, of in forms.items():
            runs[which] = partial(timed_step, system, of, batch, options.clock)
            runs[f"{which} predicts"] = partial(timed_prediction, system, of, batch, options.clock)
        found = medians(runs, options.repeats)
        operations = step_operations(system, batch)
        floor = sum(operations.values()) / found["rate"]["rate"]
        results["models"][model] = {**found, "operations": operations, "floor": floor}
        for which in forms:
            row, speed = found[which], len(batch.documents) / found[f"{which} predicts"]["prediction"]
            ours, fast = found["ours"]["step"], len(batch.documents) / found["ours predicts"]["prediction"]
            parts = " | ".join(f"{row[part]:.2f}" for part in PARTS)
            name, precision = [*which.split(), "fp32"][:2]
            print(
                f"| {model} | {name} | {precision} | **{row['step']:.2f}** | {parts} | {row['step'] / ours:.2f} "
                f"| {speed:.2f} | {fast / speed:.2f} |",
                flush=True,
            )
        print(
            f"| | floor | fp32 | {floor:.2f} | {sum(operations.values()) / 1e9:,.0f} GFLOP at "
            f"{found['rate']['rate'] / 1e9:.0f} GFLOP/s; a step takes {found['ours']['step'] / floor:.2f} times that"
            + " |"
            * (len(PARTS) + 3),
            flush=True,
        )
    print(f"\n{results['batch']}")
    return results


def memory(options: argparse.Namespace) -> dict[str, Any]:
    """Peak resident memory of a process that makes a step, for each model and formulation: medians of `--repeats`."""
    results: dict[str, Any] = {}
    print("| model | formulation | peak (GiB) | of the plain one |\n|---|---|---|---|")
    for model in options.models.split(","):
        peaks: dict[str, float] = {}
        for which in ("ours", *baselines(model)):
            command = [sys.executable, __file__, "peak", "--models", model, "--formulation", which]
            command += ["--encoder", options.encoder, "--threads", str(options.threads)]
            command += ["--documents", str(options.documents)] if options.documents else []
            done = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(options.repeats)]
            peaks[which] = statistics.median(json.loads(process.stdout)["peak_gib"] for process in done)
            print(f"| {model} | {which} | {peaks[which]:.2f} | {peaks['ours'] / peaks[which]:.2f} |", flush=True)
        results[model] = peaks
    return results


def peak(options: argparse.Namespace) -> None:
    """A step of one formulation in this process; its peak memory as JSON."""
    source = the_encoder(options)
    batch = document_batch(options.documents, source)
    name, settings = named(options.models)
    system = system_of(name, source, batch, **settings)
    timed_step(system, formulation(system, options.formulation), batch)
    print(json.dumps({"peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}))


def growth(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a step as one size grows."""
    source = the_encoder(options)
    results: dict[str, Any] = {}
    for axis in options.axes.split(","):
        models, sizes = GROWTH[axis]
        print(f"\n| {axis} | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---" + "|---" * len(sizes) + "|")
        results[axis] = {}
        for model in models:
            name, settings = named(model)
            systems: dict[str, Any] = {}
            for size in sizes:
                batch = growing_batch(options, source, axis, size)
                chosen = {SETTING[axis]: size} if axis in SETTING else {}
                system = system_of(name, source, batch, **settings | chosen)
                systems[str(size)] = partial(timed_step, system, formulation(system, "ours"), batch, options.clock)
            found = medians(systems, options.repeats)
            results[axis][model] = {size: row["step"] for size, row in found.items()}
            print(f"| {model} | " + " | ".join(f"{row['step']:.2f}" for row in found.values()) + " |", flush=True)
    return results


def growing_batch(options: argparse.Namespace, source: EncoderSource, axis: str, size: int) -> Batch:
    """The made-up documents for a size of an axis; `batch memory` is of the batch of `steps`."""
    if axis == "batch memory":
        return document_batch(options.documents, source)
    if axis == "documents":
        return made_up_batch(source, documents=size, length=256)
    if axis in ("entities", "length", "relations"):
        return made_up_batch(source, **{axis: size})
    return made_up_batch(source)


def the_encoder(options: argparse.Namespace) -> EncoderSource:
    """The encoder asked for; `tiny` takes its vocabulary from the documents."""
    return find_encoder(options.encoder, read_documents(options.documents) if options.documents else ())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("all", "steps", "memory", "growth", "peak"))
    parser.add_argument("--documents", type=Path, help="a DocRED-form file")
    parser.add_argument("--models", default=",".join(MODELS), help="such as atlop,ttmre:layers=1")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--axes", default=",".join(GROWTH), help="of growth")
    parser.add_argument("--no-plain", dest="plain", action="store_false", help="steps: only ours")
    parser.add_argument("--to", type=Path, help="also write the numbers here, as JSON")
    parser.add_argument("--formulation", default="ours", help=argparse.SUPPRESS)
    parser.add_argument(
        "--cpu-seconds",
        dest="clock",
        action="store_const",
        const=time.process_time,
        default=time.perf_counter,
        help="count the processor's time, with --threads 1: where others use the machine",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "peak":
        peak(options)
        return
    tables = {"steps": steps, "memory": memory, "growth": growth}
    results = {}
    for name in tables if options.what == "all" else (options.what,):
        print(f"\n## {name}")
        results[name] = tables[name](options)
    seconds = "processor's" if options.clock is time.process_time else "wall clock"
    machine = f"{seconds} seconds, {options.threads} threads, torch {torch.__version__}, encoder {options.encoder}"
    print(f"\n{machine}")
    if options.to:
        options.to.write_text(json.dumps({"machine": machine, **results}, indent=1))


if __name__ == "__main__":
    main()
