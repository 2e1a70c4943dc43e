"""Encoder and model as one trainable module, and predictions from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.data.batching import Batch, collate, evaluation_order
from bench.data.feature_file import FeatureFile
from bench.data.features import Features
from bench.interface import DocumentScores, PairModel
from bench.metrics.submission import Prediction
from bench.nn.encoder import DocumentEncoding, Encoder
from bench.nn.pooling import Pairs, pool
from bench.nn.tokens import Tokens
from bench.training.loading import made_ahead
from bench.training.signals import SignalFile


class DocumentModel(nn.Module):
    """The encoder, the pooling and a model: a batch of documents to the logits of its candidate pairs.

    encoder: None for a model that reads word pieces itself.   frozen: the encoder keeps its weights, and gives of every
    document what it gives of it alone, without dropout; a batch may bring that along (`bench.training.encodings`).
    """

    def __init__(self, encoder: Encoder | None, model: PairModel, frozen: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.model = model
        self.frozen = frozen
        if encoder is not None and frozen:
            encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> DocumentModel:
        """As of any module; but a frozen encoder stays as it is in evaluation."""
        super().train(mode)
        if self.encoder is not None and self.frozen:
            self.encoder.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Logits [P, classes] in float32 or wider, P candidate pairs in the order of the batch."""
        return self.scored(batch)[0]

    def scored(self, batch: Batch) -> tuple[Tensor, Pairs | Tokens]:
        """The logits, and the inputs of the model that they were computed from."""
        inputs = self.inputs(batch)
        return self.logits(inputs), inputs

    def logits(self, inputs: Pairs | Tokens) -> Tensor:
        """Logits [P, classes] in float32 or wider, from what the model reads."""
        logits: Tensor = self.model(inputs)
        return _wide(logits)

    def inputs(self, batch: Batch) -> Pairs | Tokens:
        """What the model reads."""
        if self.encoder is None:
            return Tokens(batch.input_ids, batch.attention_mask, None, batch.documents)
        encodings = self._encodings(self.encoder, batch)
        if self.model.reads == "pairs":
            return pool(encodings, batch, self.model.pooling_epsilon, self.model.pooled_heads, self.model.whole_grid)
        states = tuple(_wide(encoding.states) for encoding in encodings)
        return Tokens(batch.input_ids, batch.attention_mask, states, batch.documents)

    def _encodings(self, encoder: Encoder, batch: Batch) -> list[DocumentEncoding]:
        if not self.frozen:
            return encoder(batch)
        if batch.encodings is not None:
            return [DocumentEncoding(*kept) for kept in batch.encodings]
        return encode_alone(encoder, batch)


@torch.no_grad()
def encode_alone(encoder: Encoder, batch: Batch) -> list[DocumentEncoding]:
    """Each document of the batch as if it were alone, without gradient."""
    return [encoder(batch.alone(i))[0] for i in range(len(batch.documents))]


def _wide(tensor: Tensor) -> Tensor:
    """In float32, or wider if it is."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


class Predictions(NamedTuple):
    """Predicted triples of a split, K of them, as arrays: document (row of the features), head, tail, relation.

    evidence: the sentences predicted to support each triple, or None if the model predicts none.
    """

    document: NDArray[np.int64]
    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    relation: NDArray[np.int64]
    evidence: tuple[tuple[int, ...], ...] | None

    def rows(self, titles: Sequence[str], relations: Sequence[str]) -> list[Prediction]:
        """In the words of the data set, in the order of its documents."""
        columns = [self.document.tolist(), self.head.tolist(), self.tail.tolist(), self.relation.tolist()]
        evidence = self.evidence if self.evidence is not None else [None] * len(self.document)
        rows = zip(*columns, evidence, strict=True)
        return [Prediction(titles[d], h, t, relations[r], e) for d, h, t, r, e in sorted(rows)]


def precision_context(device: torch.device, precision: str) -> torch.autocast:
    """bf16 where asked for, or with "auto" where there is a GPU; else full precision."""
    bf16 = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)


class BatchLosses(nn.Module):
    """The parts of a batch's loss: what a step of training differentiates."""

    def __init__(self, system: DocumentModel, precision: str) -> None:
        super().__init__()
        self.system = system
        self.precision = precision

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalars; their sum is minimised."""
        with precision_context(batch.input_ids.device, self.precision):
            logits, inputs = self.system.scored(batch)
        return self.system.model.batch_loss(logits, inputs, batch)


def batches(
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    device: torch.device,
    signals: SignalFile | None = None,
) -> Iterator[Batch]:
    """Collated batches of `order` on `device`, with a teacher's signals where there are any.

    For a GPU they are made and copied while it is at those before them.
    """
    made = _collated(features, order, relations, pad_id, signals)
    if device.type != "cuda":
        yield from made
        return
    for batch in made_ahead(batch.pinned() for batch in made):
        yield batch.to(device)


def _collated(
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    signals: SignalFile | None,
) -> Iterator[Batch]:
    for rows in order:
        batch = collate([features[int(i)] for i in rows], relations, pad_id)
        if signals is not None:
            batch = replace(batch, teacher=tuple(torch.from_numpy(signals[int(i)]) for i in rows))
        yield batch


class Scored(NamedTuple):
    """A batch with its logits and, if the model predicts evidence, that of each document; all on the device."""

    rows: NDArray[np.int64]
    batch: Batch
    logits: Tensor
    inputs: Pairs | Tokens
    evidence: tuple[Tensor, ...] | None


@torch.no_grad()
def scored_batches(
    system: DocumentModel,
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    device: torch.device,
    precision: str,
) -> Iterator[Scored]:
    """The batches of `order` through the system, in evaluation mode."""
    system.eval()
    for rows, batch in zip(order, batches(features, order, relations, pad_id, device), strict=True):
        with precision_context(device, precision):
            logits, inputs = system.scored(batch)
        supported = None
        if system.model.predicts_evidence and isinstance(inputs, Pairs):
            supported = system.model.evidence(inputs, batch)
        yield Scored(rows, batch, logits, inputs, supported)


@torch.no_grad()
def predict(
    system: DocumentModel,
    features: FeatureFile,
    relations: int,
    pad_id: int,
    device: torch.device,
    batch_size: int,
    precision: str,
    after_batch: Callable[[], None] = lambda: None,
    tune: bool = False,
    watch: Callable[[Scored, Tensor], None] | None = None,
) -> Predictions:
    """Decode every document of `features`; first, with `tune`, let the model choose its decisions on their labels.

    `after_batch` may raise to stop. `watch` is shown each batch with what was decided, [P, R]; not when tuning.
    """
    model = system.model
    order = evaluation_order(features.lengths, batch_size)
    scored = scored_batches(system, features, order, relations, pad_id, device, precision)
    found: list[NDArray[np.int64]] = []
    evidence: list[tuple[int, ...]] = []

    def decode(rows: NDArray[np.int64], batch: Batch, logits: Tensor, supported: tuple[Tensor, ...] | None) -> Tensor:
        decided = model.decode(logits)
        pair, relation = (at.cpu().numpy() for at in decided.nonzero(as_tuple=True))
        sizes = [len(d.pairs) for d in batch.documents]
        ends = torch.cat([d.pairs for d in batch.documents]).cpu().numpy()[pair]
        documents = np.repeat(np.arange(len(rows)), sizes)[pair]
        found.append(np.stack([rows[documents], ends[:, 0], ends[:, 1], relation]))
        if supported is not None:
            first = np.cumsum([0, *sizes])
            by_document = [sentences.cpu().numpy() for sentences in supported]
            for d, p in zip(documents, pair, strict=True):
                evidence.append(tuple(np.flatnonzero(by_document[d][p - first[d]]).tolist()))
        return decided

    undecided: list[tuple[NDArray[np.int64], Batch, Tensor, tuple[Tensor, ...] | None]] = []
    for at in scored:
        rows, batch, logits, _, supported = at
        if tune:
            undecided.append((rows, batch, logits, supported))
        else:
            decided = decode(rows, batch, logits, supported)
            if watch is not None:
                watch(at, decided)
        after_batch()
    if undecided:
        model.tune(torch.cat([item[2] for item in undecided]), torch.cat([item[1].labels for item in undecided]))
    for item in undecided:
        decode(*item)
    document, head, tail, relation = np.concatenate([np.empty((4, 0), dtype=np.int64), *found], axis=1)
    return Predictions(document, head, tail, relation, tuple(evidence) if model.predicts_evidence else None)


def document_scores(scored: Scored) -> list[DocumentScores]:
    """The scores of each document of a batch, on the CPU."""
    sizes = [len(d.pairs) for d in scored.batch.documents]
    logits = scored.logits.float().cpu().split(sizes)
    evidence = scored.evidence or (None,) * len(sizes)
    return [
        DocumentScores(d.pairs.cpu().numpy(), own.numpy(), None if said is None else said.cpu().numpy())
        for d, own, said in zip(scored.batch.documents, logits, evidence, strict=True)
    ]
