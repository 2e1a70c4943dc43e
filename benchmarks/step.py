"""One training step on 4 real documents: where its time and memory go, for each model.

    python benchmarks/step.py --documents test.json --models atlop,ssrpu,ttmre,ttmre-released

Each model is measured in a process of its own, so that its peak memory is its own. The parts are encoder, pooling, head
(features, memory, classifier) and loss, forward; then backward of all; times are medians over the repeats.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.data.batching import Batch, collate
from bench.data.docred import read_documents
from bench.data.features import Features, build_features
from bench.interface import Task
from bench.nn.load import EncoderSource, find_encoder
from bench.nn.pooling import pool
from bench.registry import find
from bench.training.system import DocumentModel

PARTS = ("encoder", "pooling", "head", "loss", "backward")
PAIRS = 2120
"""The four documents chosen have this many candidate pairs in all: the batch the published programs were timed on."""


def choose(rows: list[Features], pairs: int) -> list[Features]:
    """Four documents whose candidate pairs sum to `pairs`, or as near as a seeded search comes."""
    generator = torch.Generator().manual_seed(0)
    sizes = [row.entities * (row.entities - 1) for row in rows]
    draws = (torch.randperm(len(rows), generator=generator)[:4].tolist() for _ in range(20_000))
    best = min(draws, key=lambda four: abs(sum(sizes[i] for i in four) - pairs))
    return [rows[i] for i in best]


def make_batch(documents: Path, source: EncoderSource) -> Batch:
    """The batch, with its relations numbered as they come."""
    read = read_documents(documents)
    relations = sorted({label.relation for document in read for label in document.labels})
    rows = choose(list(build_features(read, source.words(), relations, 1024)), PAIRS)
    return collate(rows, len(relations), source.pad_id)


def timed_step(system: DocumentModel, batch: Batch) -> dict[str, float]:
    """Seconds of each part of one forward and backward pass."""
    seconds: dict[str, float] = {}

    def part(name: str, compute: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = compute()
        seconds[name] = time.perf_counter() - began
        return result

    system.train()
    model, encoder = system.model, system.encoder
    assert encoder is not None
    encoded = part("encoder", lambda: encoder(batch))
    pairs = part("pooling", lambda: pool(encoded, batch, model.pooling_epsilon, model.pooled_heads, model.whole_grid))
    logits = part("head", lambda: model(pairs))
    loss = part("loss", lambda: torch.stack(list(model.batch_loss(logits, pairs, batch).values())).sum())
    part("backward", loss.backward)
    system.zero_grad(set_to_none=True)
    return seconds


def measure(model: str, documents: Path, encoder: str, repeats: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Medians of one model in this process."""
    source = find_encoder(encoder, ())
    batch = make_batch(documents, source)
    relations = tuple(str(i) for i in range(batch.labels.shape[1]))
    cls = find(model).cls
    torch.manual_seed(0)
    rates = tuple(batch.labels.float().mean(0).tolist())
    system = DocumentModel(
        source.build(cls.encoder_layers),
        cls(cls.Hyperparameters(**settings), Task(source.config.hidden_size, relations, rates)),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    timed_step(system, batch)  # warm-up
    steps = [timed_step(system, batch) for _ in range(repeats)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "model": model,
        "settings": settings,
        "pieces": [d.length for d in batch.documents],
        "entities": sum(d.entities for d in batch.documents),
        "pairs": len(batch.labels),
        "threads": torch.get_num_threads(),
        **{name: statistics.median(step[name] for step in steps) for name in PARTS},
        "step": statistics.median(sum(step.values()) for step in steps),
        "peak_gib": peak / 2**20,
        "before_gib": before / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="a DocRED-form file of at least 4 documents")
    parser.add_argument("--models", default="atlop,ssrpu,ttmre,ttmre-released")
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="a hyperparameter, name=value (JSON)")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_this_process:
        settings = {key: json.loads(value) for key, _, value in (pair.partition("=") for pair in options.set)}
        print(json.dumps(measure(options.models, options.documents, options.encoder, options.repeats, settings)))
        return
    print("| model | step (s) | encoder | pooling | head | loss | backward | peak (GiB) |\n|" + "---|" * 8)
    for model in options.models.split(","):
        command = [sys.executable, __file__, "--in-this-process", "--models", model, "--encoder", options.encoder]
        command += ["--documents", str(options.documents), "--repeats", str(options.repeats)]
        command += [argument for pair in options.set for argument in ("--set", pair)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        parts = " | ".join(f"{found[name]:.2f}" for name in PARTS)
        print(f"| {model} | **{found['step']:.2f}** | {parts} | {found['peak_gib']:.2f} |", flush=True)
    print(
        f"\n{found['pieces']} word pieces, {found['entities']} entities, {found['pairs']} pairs, "
        f"{found['threads']} threads, torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
