"""Training steps of a model on a GPU, as `gpu.py` and `gpu_checks.py` measure and check them."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from documents import RELATIONS
from speed import named
from steps import Formulation, formulation
from torch import nn
from torch.optim import Optimizer
from transformers import RobertaConfig

from bench.data.batching import Batch, collate, training_order
from bench.data.features.build import build_features
from bench.data.formats.docred import read_documents
from bench.inference.document_model import DocumentModel
from bench.interface import Task, Training
from bench.nn.encoder import Encoder
from bench.nn.encoder_source import EncoderSource, find_encoder
from bench.nn.precision import precision_context
from bench.registry import find
from bench.training.optimizer import make_optimizer
from bench.training.repeatable import Repeatable

DISTANT_DOCUMENTS, DISTANT_EPOCHS, BATCH = 101_873, 2, 4
DONE, GRAPHS = "done: ", "CUDA graphs"
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
