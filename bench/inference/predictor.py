"""From a trained system to predictions on documents: by decoding its logits, or by the model's own inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.batching import evaluation_order, order_within
from bench.data.documents import Document
from bench.data.features.build import Features, build_features
from bench.data.features.feature_file import FeatureFile
from bench.inference.document_model import DocumentModel
from bench.inference.encodings import encoded
from bench.inference.predict import Scored, document_scores, predict, scored_batches
from bench.inference.score_keeper import ScoreKeeper
from bench.interface import DocumentScores, Inference, Signal
from bench.interrupt import Interrupt
from bench.metrics.submission import Prediction
from bench.nn.encoder_source import EncoderSource
from bench.nn.pooling import Pairs
from bench.registry import find
from bench.runs.plan import RunPlan, StagePlan

DOCUMENTS_AT_ONCE = 256
"""Documents sorted by length and scored together when they are to come back in their own order."""


@dataclass(frozen=True)
class Reading:
    """A trained system with what it takes to read documents: scores of them, batch by batch.

    stage: the one it was trained in, for its batch size, precision, relations and length limit.
    """

    system: DocumentModel
    stage: StagePlan
    source: EncoderSource
    device: torch.device
    interrupt: Interrupt

    def batches(self, features: Sequence[Features], order: Sequence[NDArray[np.int64]]) -> Iterator[Scored]:
        """The documents of `features` that each batch of `order` names."""
        relations, precision = len(self.stage.relations), self.stage.training.precision
        pad_id = self.source.pad_id
        for scored in scored_batches(self.system, features, order, relations, pad_id, self.device, precision):
            yield scored
            self.interrupt.check()

    def encoded(
        self,
        features: FeatureFile,
        told: Callable[[int, int], None] = lambda done, size: None,
        under: Path | None = None,
    ) -> FeatureFile:
        """`features` with what the encoder gives of them, where it is frozen (`bench.inference.encodings.encoded`)."""
        precision, check = self.stage.training.precision, self.interrupt.check
        return encoded(features, self.system, self.source.pad_id, self.device, precision, told, check, under)

    def signals(self, features: FeatureFile, kind: Signal, rows: Sequence[int]) -> list[NDArray[np.float16]]:
        """What it says, as a teacher, of the candidate pairs of the documents `rows`: [p, k] each."""
        said: dict[int, NDArray[np.float16]] = {}
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
            said.update(zip(scored.rows.tolist(), values, strict=True))
        return [said[i] for i in rows]

    def score(self, documents: Sequence[Document]) -> Iterator[DocumentScores]:
        """The scores of any documents, in their order (a `bench.interface.Scorer`)."""
        words = self.source.words()
        # An inference may ask for thousands of short documents: as many at once as take the memory of the longest.
        pieces = self.stage.training.batch_size * self.stage.max_length
        for first in range(0, len(documents), DOCUMENTS_AT_ONCE):
            chunk = documents[first : first + DOCUMENTS_AT_ONCE]
            features = list(build_features(chunk, words, self.stage.relations, self.stage.max_length))
            found: dict[int, DocumentScores] = {}
            lengths = np.array([len(row) for row in features], dtype=np.int64)
            for scored in self.batches(features, order_within(lengths, pieces)):
                found.update(zip(scored.rows.tolist(), document_scores(scored), strict=True))
            yield from (found[i] for i in range(len(features)))


@dataclass(frozen=True)
class Predictor:
    """How the model of a run predicts. `inference`: None where it decodes its logits."""

    reading: Reading
    inference: Inference | None

    @classmethod
    def of(cls, plan: RunPlan, reading: Reading) -> Predictor:
        """As the run was planned."""
        if plan.inference is None:
            return cls(reading, None)
        # Not the class the stage was trained as: the one that names the inference.
        made = find(plan.inference.reference).cls.inference
        assert made is not None
        return cls(reading, made(reading.system.model, plan.stages[-1].relations))

    def tune(self, documents: Sequence[Document]) -> dict[str, float]:
        """What there is to be chosen on labelled documents."""
        return self.inference.tune(self.reading.score, documents) if self.inference else {}

    def keeper(self, documents: Sequence[Document]) -> ScoreKeeper:
        """Of the scores of `documents`, for `predict`."""
        reading = self.reading
        return ScoreKeeper(reading.system.model, documents, reading.stage.relations, decides=self.inference is None)

    def predict(
        self,
        documents: Sequence[Document],
        features: FeatureFile,
        decision: Mapping[str, float],
        keeper: ScoreKeeper | None = None,
    ) -> list[Prediction]:
        """Predictions on `documents`, whose features are `features`, in their order; `keeper` is given the scores."""
        if self.inference is not None:
            predictions = self.inference.predict(self.reading.score, documents, decision)
            if keeper is not None:
                keeper.read(self.reading.score, predictions)
            return predictions
        reading = self.reading
        stage = reading.stage
        found = predict(
            reading.system,
            features,
            len(stage.relations),
            reading.source.pad_id,
            reading.device,
            stage.training.batch_size,
            stage.training.precision,
            after_batch=reading.interrupt.check,
            watch=None if keeper is None else keeper.watch,
        )
        return found.rows([document.title for document in documents], stage.relations)
