"""One training step or one prediction in parts, by our formulation or the plain one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from plain.models import plain
from torch import Tensor

from bench.data.batching import Batch
from bench.inference.document_model import DocumentModel
from bench.nn.pooling import Pairs, pool
from bench.nn.precision import precision_context
from bench.nn.windows import DocumentEncoding

Clock = Callable[[], float]
PARTS = ("encoder", "pooling", "head", "loss", "backward")


class Formulation(Protocol):
    """The parts of a forward pass; `plain.models.Plain` is the other one."""

    def encode(self, batch: Batch) -> Any: ...
    def pool(self, encodings: Any, batch: Batch) -> Any: ...
    def head(self, pairs: Any, batch: Batch) -> Tensor: ...
    def loss(self, logits: Tensor, pairs: Any, batch: Batch) -> Tensor: ...


class Ours:
    """What `DocumentModel` and the trainer compute, cut at the same places. precision: "fp32" or "bf16"."""

    def __init__(self, system: DocumentModel, precision: str = "fp32") -> None:
        self.system = system
        self.precision = precision

    def encode(self, batch: Batch) -> list[DocumentEncoding]:
        """Token states and attention rows."""
        assert self.system.encoder is not None
        with precision_context(batch.input_ids.device, self.precision):
            return self.system.encoder(batch)

    def pool(self, encodings: Sequence[DocumentEncoding], batch: Batch) -> Pairs:
        """The pairs."""
        model = self.system.model
        return pool(encodings, batch, model.pooling_epsilon, model.pooled_heads, model.whole_grid)

    def head(self, pairs: Pairs, batch: Batch) -> Tensor:
        """Logits, in float32 as the trainer has them."""
        with precision_context(batch.input_ids.device, self.precision):
            return self.system.model(pairs).float()

    def loss(self, logits: Tensor, pairs: Pairs, batch: Batch) -> Tensor:
        """The sum of the loss's parts."""
        return torch.stack(list(self.system.model.batch_loss(logits, pairs, batch).values())).sum()


def formulation(system: DocumentModel, which: str) -> Formulation:
    """ "ours", "ours bf16", "plain", or "plain+write": TTM-RE with the step that its released program throws away."""
    if which.startswith("ours"):
        return Ours(system, *which.split()[1:])
    found = plain(system)
    if which == "plain+write":
        found.writing = True  # type: ignore[attr-defined]
    return found


def timed_step(
    system: DocumentModel, of: Formulation, batch: Batch, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Seconds of each part of a forward pass in training, and of the backward pass of all."""
    seconds: dict[str, float] = {}

    def part(name: str, compute: Callable[[], Any]) -> Any:
        began = clock()
        result = compute()
        seconds[name] = clock() - began
        return result

    system.train()
    encoded = part("encoder", lambda: of.encode(batch))
    pairs = part("pooling", lambda: of.pool(encoded, batch))
    logits = part("head", lambda: of.head(pairs, batch))
    loss = part("loss", lambda: of.loss(logits, pairs, batch))
    part("backward", loss.backward)
    system.zero_grad(set_to_none=True)
    return {**seconds, "step": sum(seconds.values())}


@torch.no_grad()
def timed_prediction(
    system: DocumentModel, of: Formulation, batch: Batch, clock: Clock = time.perf_counter
) -> dict[str, float]:
    """Seconds from word pieces to decoded relations."""
    system.eval()
    began = clock()
    system.model.decode(of.head(of.pool(of.encode(batch), batch), batch))
    return {"prediction": clock() - began}


def matmul_rate(clock: Clock = time.perf_counter, size: int = 2048) -> float:
    """Floating-point operations per second of a square float32 matrix product, the best of three."""
    a, b = torch.ones(size, size), torch.ones(size, size)
    seconds = []
    for _ in range(3):
        began = clock()
        a @ b
        seconds.append(clock() - began)
    return 2 * size**3 / min(seconds)


def medians(runs: Mapping[str, Callable[[], dict[str, float]]], repeats: int) -> dict[str, dict[str, float]]:
    """Each of `runs` once to warm up, then all of them in turn, `repeats` times over: the median of every number."""
    for run in runs.values():
        run()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            found[name].append(run())
    return {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]} for name, rows in found.items()}
