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
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from documents import RELATIONS
from floor import step_operations
from speed import MODELS, baselines, named
from steps import Formulation, formulation
from torch import nn
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
DONE = "done: "
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}


class Bench:
    """The encoder, which all models share, the batches, and the results so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.began = time.monotonic()
        self.options, self.device = options, torch.device(options.device)
        minilm = find_encoder("minilm", ())
        sizes = TINY if options.tiny else LARGE
        config = RobertaConfig(**sizes, vocab_size=50265, max_position_embeddings=514, pad_token_id=minilm.pad_id)
        self.source: EncoderSource = replace(minilm, name="roberta-large-sized", config=config, folder=None)
        with self.device:
            self.encoder = self.source.build(layers=1, pretrained=False)
        self.batches, self.pairs = self._batches()
        self.results: dict[str, Any] = {"checks": {}, "steps": [], "left_out": []}
        self.kernels = Repeatable("a step")  # as in training

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

    def system(self, model: str) -> DocumentModel:
        """The model behind the shared encoder, on the device."""
        name, settings = named(model)
        cls = find(name).cls
        torch.manual_seed(0)
        small = {"pair_size": 64, "block_size": 16} if self.options.tiny else {}
        task = Task(self.encoder.size, tuple(map(str, range(RELATIONS))), (0.003,) * RELATIONS)
        own = self.encoder
        if cls.encoder_layers > 1:
            layers = min(cls.encoder_layers, own.model.config.num_hidden_layers)
            own = Encoder(own.model, own.start_ids, own.end_ids, own.window, layers)
        return DocumentModel(own, cls(cls.Hyperparameters(**settings | small), task)).to(self.device)

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

    def __init__(self, bench: Bench, system: DocumentModel, which: str, precision: str) -> None:
        self.bench, self.system, self.precision = bench, system, precision
        self.of: Formulation = formulation(system, which)
        self.optimizer = make_optimizer(system, Training(), ())
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


def seconds_per_step(bench: Bench, step: Step) -> tuple[float, float]:
    """Mean over the batches, each timed apart after all were seen once, and the peak memory (GiB)."""
    for batch in bench.batches[:2]:
        bench.kernels.do(step, batch)
    bench.wait()
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    rounds = []
    for _ in range(bench.options.rounds):
        began = time.perf_counter()
        for batch in bench.batches:
            bench.kernels.do(step, batch)
        bench.wait()
        rounds.append((time.perf_counter() - began) / len(bench.batches))
    peak = torch.cuda.max_memory_allocated() / 2**30 if bench.device.type == "cuda" else 0.0
    return float(np.median(rounds)), peak


def measure(bench: Bench, model: str, which: str, precision: str, note: str = "") -> None:
    """One line of the table."""
    if bench.left() < 12:
        bench.results["left_out"].append([model, which, precision, note])
        return
    system = bench.system(model)
    step = Step(bench, system, which, precision)
    seconds, peak = seconds_per_step(bench, step)
    operations = float(np.mean([sum(step_operations(system, batch).values()) for batch in bench.batches]))
    row = {
        "model": model,
        "formulation": which + note,
        "precision": precision,
        "milliseconds": round(1000 * seconds, 1),
        "peak_gib": round(peak, 2),
        "mfu": round(operations / seconds / PEAK[precision], 4),
        "distant_hours": round(seconds * DISTANT_EPOCHS * DISTANT_DOCUMENTS / BATCH / 3600, 2),
    }
    bench.results["steps"].append(row)
    bench.write()
    print("  ".join(str(value) for value in row.values()), f" [{bench.left():.0f} s left]", flush=True)


def measured(bench: Bench, model: str, which: str, precision: str) -> None:
    """The line, or why there is none: a plain formulation may need more memory than there is."""
    try:
        measure(bench, model, which, precision)
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        bench.results["left_out"].append([model, which, precision, why])
        print(f"{model} {which} {precision}: {why}", flush=True)


def check(bench: Bench, model: str) -> None:
    """Whether a step waits for the GPU, whether it repeats to the bit, and how many kernels it launches."""
    found: dict[str, Any] = {}
    step = Step(bench, bench.system(model), "ours", "bf16")
    with bench.kernels:
        bench.kernels.do(step, bench.batches[0])
        if bench.device.type == "cuda":
            found["waits"] = whether_it_waits(lambda: step(bench.batches[1]))
            found |= parts(bench, step, bench.batches[1])
        found["same_bits"] = same_bits(step, bench.batches[0])
    bench.results["checks"][model] = found
    bench.write()
    print(model, found, flush=True)


def whether_it_waits(run: Callable[[], None]) -> str:
    """ "no", or where it does."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        run()
    except RuntimeError as error:
        where = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)]
        return f"{str(error).splitlines()[0]} at {' < '.join(reversed(where[-6:]))}"
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "no"


def parts(bench: Bench, step: Step, batch: Batch) -> dict[str, dict[str, Any]]:
    """Of each part of a step: milliseconds until the GPU is through with it, and the kernels it launches."""
    rounds: list[dict[str, float]] = []
    for _ in range(5):
        rounds.append({})
        at = time.perf_counter()

        def timed(part: str) -> None:
            nonlocal at
            bench.wait()
            rounds[-1][part], at = 1000 * (time.perf_counter() - at), time.perf_counter()

        step(batch, timed)
    launched, slowest = kernels(lambda: step(batch, ended))
    milliseconds = {part: round(float(np.median([row[part] for row in rounds])), 1) for part in rounds[0]}
    return {"milliseconds": milliseconds, "launched": launched, "slowest": slowest}


def ended(part: str) -> None:
    """Let a profile show that a part is done."""
    with torch.profiler.record_function(DONE + part):
        pass


def kernels(run: Callable[[], None]) -> tuple[dict[str, int], dict[str, float]]:
    """How many each part of a step launches, and the operators that take most time on the GPU (milliseconds)."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    ends = sorted((e.time_range.start, e.name.removeprefix(DONE)) for e in profile.events() if e.name.startswith(DONE))
    launching = ("cudaLaunchKernel", "cuLaunchKernel")  # with their newer forms
    launches = [e.time_range.start for e in profile.events() if e.name.startswith(launching)]
    launched, began = {}, 0.0
    for end, part in ends:
        launched[part] = sum(began <= at < end for at in launches)
        began = end
    taken = {e.key: e.self_device_time_total / 1000 for e in profile.key_averages() if e.key.startswith("aten::")}
    return launched, {name: round(taken[name], 2) for name in sorted(taken, key=lambda name: -taken[name])[:8]}


def same_bits(step: Step, batch: Batch) -> bool | list[str]:
    """Whether two passes with the same seed leave the same gradients; else the parameters where they differ."""
    named_parameters = list(step.system.named_parameters())
    found: list[Sequence[torch.Tensor | None]] = []
    for _ in range(2):
        torch.manual_seed(7)
        step.gradients(batch)
        found.append([p.grad for _, p in named_parameters])
        step.optimizer.zero_grad(set_to_none=True)
    pairs = zip(named_parameters, *found, strict=True)
    differ = [name for (name, _), a, b in pairs if a is not None and b is not None and not torch.equal(a, b)]
    return differ[:5] or True


def compiled(bench: Bench, models: Sequence[str]) -> None:
    """The encoder compiled: what it takes to compile, and the step."""
    torch.compiler.reset()
    bench.encoder.compile_model()
    for model in models:
        if bench.left() < 30:
            bench.results["left_out"].append([model, "compiled"])
            continue
        began = time.monotonic()
        step = Step(bench, bench.system(model), "ours", "bf16")
        try:
            for batch in bench.batches:
                bench.kernels.do(step, batch)
            bench.wait()
        except Exception as error:  # whatever the compiler raises is the result
            bench.results["compile_error"] = f"{type(error).__name__}: {str(error)[:500]}"
            print("torch.compile:", bench.results["compile_error"], flush=True)
            return
        bench.results.setdefault("compile_seconds", {})[model] = round(time.monotonic() - began, 1)
        measure(bench, model, "ours", "bf16", " compiled")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="a DocRED-form file of at least 64 documents")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=190, help="time for all of it")
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a small encoder and heads, to try this script out")
    parser.add_argument("--skip", default="", help="of checks, plain, bf16, fp32, compile")
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
    # As the trainer does: every kernel in its deterministic form.
    with bench.kernels if bench.device.type == "cuda" else nullcontext():
        for precision in ("bf16", "fp32"):
            for which in ("ours",) if "plain" in skipped else ("ours", "plain", "plain+write"):
                for model in models if precision not in skipped else ():
                    if which == "ours" or which in baselines(model):
                        measured(bench, model, which, precision)
        if "compile" not in skipped:
            compiled(bench, models)
    bench.write()
    print(
        "\n| model | formulation | precision | step (ms) | peak (GiB) | MFU | distant stage (h) |\n" + "|---" * 7 + "|"
    )
    for row in bench.results["steps"]:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(json.dumps({key: bench.results[key] for key in bench.results if key != "steps"}))


if __name__ == "__main__":
    main()
