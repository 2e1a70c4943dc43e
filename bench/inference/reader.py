"""A trained model as it reads documents: batch by batch, to logits, evidence, or a teacher's signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.batching import Batch, evaluation_order, order_within
from bench.data.documents import Document
from bench.data.features.build import Features, build_features
from bench.data.features.feature_file import FeatureFile
from bench.errors import BenchError
from bench.inference.batches import batches
from bench.inference.document_model import DocumentModel
from bench.interface import DocumentScores, Signal
from bench.nn.encoder_source import EncoderSource
from bench.nn.pooling import Pairs
from bench.nn.precision import precision_context
from bench.nn.tokens import Tokens
from bench.runs.interrupt import Interrupt
from bench.runs.plan import StagePlan

DOCUMENTS_AT_ONCE = 256
"""Documents sorted by length and scored together when they are to come back in their own order."""


class NotFiniteError(BenchError):
    """A model gave logits that are NaN or infinite: whatever is decided of them is no prediction."""


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Within this block a `NotFiniteError` begins with what is read: the split, and at which point."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(f"{what}: {error}") from None


class ScoredBatch(NamedTuple):
    """A batch with its logits and, if the model predicts evidence, that of each document; all on the device.

    rows: [B], which of the features its documents are.   logits: [P, classes], P candidate pairs of the batch.
    inputs: what the model computed them from; None where that was let go.
    evidence: for each document [p, s], bool: which of its s sentences support each of its p pairs.
    """

    rows: NDArray[np.int64]
    batch: Batch
    logits: Tensor
    inputs: Pairs | Tokens | None
    evidence: tuple[Tensor, ...] | None


Progress = Callable[[int, int], None]
"""Is told how many of how many documents are done."""


@dataclass(frozen=True)
class Reader:
    """A model behind its encoder with what it takes to read documents.

    stage: the one it was trained in, for its batch size, precision, relations and length limit.
    on_progress: is told, after every batch, how many of the documents that were asked for are scored.
    """

    system: DocumentModel
    stage: StagePlan
    source: EncoderSource
    device: torch.device
    interrupt: Interrupt
    on_progress: Progress = lambda done, of: None

    def batches(self, features: Sequence[Features], order: Sequence[NDArray[np.int64]]) -> Iterator[ScoredBatch]:
        """The documents of `features` that each batch of `order` names, scored in evaluation mode.

        Raises `Interrupted` between batches, `NotFiniteError` naming a document whose logits are not finite.
        """
        done, of = 0, sum(map(len, order))
        for scored in self._batches(features, order):
            yield scored
            done += len(scored.rows)
            self.on_progress(done, of)

    @torch.no_grad()
    def _batches(self, features: Sequence[Features], order: Sequence[NDArray[np.int64]]) -> Iterator[ScoredBatch]:
        self.system.eval()
        model, precision, types = self.system.model, self.stage.training.precision, self.system.entity_types
        loaded = batches(
            features, order, len(self.stage.relations), self.source.pad_id, self.device, entity_types=types
        )
        for rows, batch in zip(order, loaded, strict=True):
            with precision_context(self.device, precision):
                logits, inputs = self.system.scored(batch)
            if not torch.isfinite(logits).all():
                raise NotFiniteError(_not_finite([features[int(row)].title for row in rows], batch, logits))
            evidence = None
            if model.predicts_evidence and isinstance(inputs, Pairs):
                evidence = model.evidence(inputs, batch)
            yield ScoredBatch(rows, batch, logits, inputs, evidence)
            self.interrupt.check()

    def signals(self, features: FeatureFile, kind: Signal, rows: Sequence[int]) -> list[NDArray[np.float16]]:
        """What the model gives, as a teacher, of the candidate pairs of the documents `rows`: [p, k] each.

        Raises TypeError for a model that has no token attention, where that is the signal.
        """
        signal_of: dict[int, NDArray[np.float16]] = {}
        chosen = np.asarray(rows, dtype=np.int64)
        order = [chosen[at] for at in evaluation_order(features.lengths[chosen], self.stage.training.batch_size)]
        for scored in self.batches(features, order):
            if kind == "logits":
                signal = scored.logits.split([len(d.pairs) for d in scored.batch.documents])
            elif isinstance(scored.inputs, Pairs) and scored.inputs.candidates is None:
                signal = scored.inputs.token_attention
            else:
                raise TypeError(f"{type(self.system.model).__name__} has no token attention of its candidate pairs")
            values = (tensor.to(torch.float16).cpu().numpy() for tensor in signal)
            signal_of.update(zip(scored.rows.tolist(), values, strict=True))
        return [signal_of[i] for i in rows]

    def score(self, documents: Sequence[Document]) -> Iterator[DocumentScores]:
        """The scores of any documents, in their order (a `bench.interface.Scorer`)."""
        words = self.source.words()
        # An inference may ask for thousands of short documents: as many at once as take the memory of the longest.
        pieces = self.stage.training.batch_size * self.stage.max_length
        for first in range(0, len(documents), DOCUMENTS_AT_ONCE):
            chunk = documents[first : first + DOCUMENTS_AT_ONCE]
            keep_words = self.system.model.reads_words
            features = list(build_features(chunk, words, self.stage.relations, self.stage.max_length, keep_words))
            scores_of: dict[int, DocumentScores] = {}
            lengths = np.array([len(row) for row in features], dtype=np.int64)
            for scored in self._batches(features, order_within(lengths, pieces)):
                scores_of.update(zip(scored.rows.tolist(), document_scores(scored), strict=True))
                self.on_progress(first + len(scores_of), len(documents))
            yield from (scores_of[i] for i in range(len(features)))


def _not_finite(titles: Sequence[str], batch: Batch, logits: Tensor) -> str:
    """Which document of a batch is the first whose logits are not finite, and what may help."""
    parts = torch.isfinite(logits).cpu().split([len(d.pairs) for d in batch.documents])
    title, finite = next((title, part) for title, part in zip(titles, parts, strict=True) if not part.all())
    return (
        f"{int((~finite).sum()):,} of {finite.numel():,} logits of document {title!r} are not finite numbers (NaN or "
        "infinite). The model overflows or divides by zero outside training: "
        "try --set precision=fp32 or lower learning rates, or look at what its forward pass does in evaluation mode"
    )


def document_scores(scored: ScoredBatch) -> list[DocumentScores]:
    """The scores of each document of a batch, on the CPU."""
    sizes = [len(d.pairs) for d in scored.batch.documents]
    logits = scored.logits.float().cpu().split(sizes)
    evidence = scored.evidence or (None,) * len(sizes)
    return [
        DocumentScores(d.pairs.cpu().numpy(), own.numpy(), None if sentences is None else sentences.cpu().numpy())
        for d, own, sentences in zip(scored.batch.documents, logits, evidence, strict=True)
    ]
