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
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from documents import RELATIONS
from floor import step_operations
from gpu_checks import GRAPHS, check, check_compiled
from speed import MODELS, baselines, named
from steps import Formulation, formulation
from torch import nn
from torch.optim import Optimizer
from transformers import RobertaConfig

from bench.data.batching import Batch, collate, training_order
from bench.data.docred import read_documents
from bench.data.features import build_features
from bench.interface import Task, Training
from bench.nn.encoder import Encoder
from bench.nn.load import EncoderSource, find_encoder
from bench.registry import find
from bench.training.optimizer import make_optimizer
from bench.training.repeatable import Repeatable
from bench.training.system import DocumentModel, precision_context

DISTANT_DOCUMENTS, DISTANT_EPOCHS, BATCH = 101_873, 2, 4
PEAK = {"bf16": 989e12, "fp32": 67e12}
"""Of an H100 SXM, dense, without TF32, from its data sheet."""
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
WARM_UP = 3
"""Rounds that do not count. Of CUDA graphs the first pass of a shape is not recorded, the second is recorded."""
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}


class Bench:
    """The encoder, which all models share, the batches, and the results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.began = time.monotonic()
        self.options, self.device = options, torch.device(options.device)
        minilm = find_encoder("minilm", ())
        sizes = TINY if options.tiny else LARGE
        self.config = sizes | {"vocab_size": 50265, "max_position_embeddings": 514, "pad_token_id": minilm.pad_id}
        self.source: EncoderSource = replace(
            minilm, name="roberta-large-sized", config=RobertaConfig(**self.config), folder=None
        )
        self.encoder = self.new_encoder()
        self.batches, self.pairs = self._batches()
        self.results: dict[str, Any] = {"checks": {}, "steps": [], "left_out": [], "warm_up": {}}
        self.kernels = Repeatable("a step")  # as in training

    def new_encoder(self, **changes: float) -> Encoder:
        """An encoder with random weights, always the same, and a configuration with some changes."""
        with self.device:
            return replace(self.source, config=RobertaConfig(**self.config | changes)).build(1, pretrained=False)

    def _batches(self) -> tuple[list[Batch], float]:
        """The first batches of the trainer's first epoch, on the device, and the mean of their pairs."""
        documents = list(read_documents(self.options.documents))[:256]
        relations = sorted({label.relation for d in documents for label in d.labels})
        relations += [f"unseen {i}" for i in range(RELATIONS - len(relations))]
        rows = list(build_features(documents, self.source.words(), relations, 1024))
        order = training_order(np.array([len(row) for row in rows]), BATCH, seed=0, epoch=0)
        chosen = [collate([rows[i] for i in at], len(relations), self.source.pad_id) for at in order]
        chosen = chosen[: self.options.batches]
        return [b.to(self.device) for b in chosen], float(np.mean([len(b.labels) for b in chosen]))

    def system(self, model: str, encoder: Encoder | None = None) -> DocumentModel:
        """The model behind an encoder (the shared one), on the device."""
        name, settings = named(model)
        cls = find(name).cls
        torch.manual_seed(0)
        small = {"pair_size": 64, "block_size": 16} if self.options.tiny else {}
        task = Task(self.encoder.size, tuple(map(str, range(RELATIONS))), (0.003,) * RELATIONS)
        own = encoder or self.encoder
        if cls.encoder_layers > 1:
            layers = min(cls.encoder_layers, own.model.config.num_hidden_layers)
            own, shared = Encoder(own.model, own.start_ids, own.end_ids, own.window, layers), own
            own.compiled, own.graphs = shared.compiled, shared.graphs
        return DocumentModel(own, cls(cls.Hyperparameters(**settings | small), task)).to(self.device)

    @cached_property
    def compiled(self) -> dict[str, Encoder]:
        """The encoder again: compiled, and compiled and recorded as CUDA graphs."""
        found = {"compiled": self.new_encoder(), GRAPHS: self.new_encoder()}
        for name, encoder in found.items():
            encoder.compile_model(graphs=name == GRAPHS)
        return found

    def step(
        self, system: DocumentModel, which: str = "ours", precision: str = "bf16", optimizer: Optimizer | None = None
    ) -> Step:
        """A step of the system by one formulation. optimizer: of another step of the same weights."""
        return Step(self, system, which, precision, optimizer)

    def left(self) -> float:
        """Seconds left."""
        return float(self.options.seconds - (time.monotonic() - self.began))

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def write(self) -> None:
        """All results so far."""
        self.options.out.mkdir(parents=True, exist_ok=True)
        (self.options.out / "gpu.json").write_text(json.dumps(self.results, indent=1))


class Step:
    """One update of a system by a formulation, as the trainer makes it."""

    def __init__(
        self, bench: Bench, system: DocumentModel, which: str, precision: str, optimizer: Optimizer | None = None
    ) -> None:
        self.bench, self.system, self.precision = bench, system, precision
        self.of: Formulation = formulation(system, which)
        self.optimizer = optimizer or make_optimizer(system, Training(), ())
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-5

    def gradients(self, batch: Batch, done: Callable[[str], None] = lambda part: None) -> None:
        """Forward, loss and backward; `done` is told after each part."""
        self.system.train()
        with precision_context(self.bench.device, self.precision):
            encodings = self.of.encode(batch)
            done("encoder")
            pairs = self.of.pool(encodings, batch)
            done("pooling")
            logits = self.of.head(pairs, batch).float()
            done("head")
        loss = self.of.loss(logits, pairs, batch)
        done("loss")
        loss.backward()
        done("backward")

    def __call__(self, batch: Batch, done: Callable[[str], None] = lambda part: None) -> None:
        self.gradients(batch, done)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        done("clipping")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        done("AdamW")


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
