"""From a trained system to predictions on documents: by decoding its logits, or by the model's own inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.data.documents import Document
from bench.data.features.feature_file import FeatureFile
from bench.inference.predict import predict
from bench.inference.reader import Reader
from bench.inference.score_keeper import ScoreKeeper
from bench.interface import DocumentScores, Inference, Scorer
from bench.metrics.submission import Prediction
from bench.registry import find
from bench.runs.plan import RunPlan


class _Remembered:
    """A scorer that remembers what it said of `documents`, so that they are read once if an inference asks for all."""

    def __init__(self, score: Scorer, documents: Sequence[Document]) -> None:
        self._score = score
        self._wanted = {id(document) for document in documents}
        self._said: dict[int, DocumentScores] = {}

    def __call__(self, documents: Sequence[Document]) -> Iterator[DocumentScores]:
        for document, scores in zip(documents, self._score(documents), strict=True):
            if id(document) in self._wanted:
                self._said[id(document)] = scores
            yield scores

    def again(self, documents: Sequence[Document]) -> Iterator[DocumentScores]:
        """What was said of them, which it then forgets; of others than those, or of more, what is said now."""
        if len(self._said) < len(documents) or any(id(document) not in self._said for document in documents):
            yield from self._score(documents)
        else:
            yield from (self._said.pop(id(document)) for document in documents)


@dataclass(frozen=True)
class Predictor:
    """How the model of a run predicts. `inference`: None where it decodes its logits."""

    reader: Reader
    inference: Inference | None

    @classmethod
    def of(cls, plan: RunPlan, reader: Reader) -> Predictor:
        """The predictor of a run: through the inference it was planned with, or by decoding."""
        if plan.inference is None:
            return cls(reader, None)
        # Not the class the stage was trained as: the one that names the inference.
        inference = find(plan.inference.reference).cls.inference
        assert inference is not None
        return cls(reader, inference(reader.system.model, plan.relations))

    def tune(self, documents: Sequence[Document]) -> dict[str, float]:
        """Choose on labelled documents what the inference decides by (a threshold), by name; empty where it decodes."""
        return self.inference.tune(self.reader.score, documents) if self.inference else {}

    def keeper(self, documents: Sequence[Document]) -> ScoreKeeper:
        """A keeper for the scores of `documents`, to be given to `predict`."""
        reader = self.reader
        return ScoreKeeper(reader.system.model, documents, reader.stage.relations, decides=self.inference is None)

    def predict(
        self,
        documents: Sequence[Document],
        features: FeatureFile,
        decision: Mapping[str, float],
        keeper: ScoreKeeper | None = None,
    ) -> list[Prediction]:
        """Predictions on `documents`, whose features are `features`, in their order; `keeper` is given the scores."""
        if self.inference is not None:
            if keeper is None:
                return self.inference.predict(self.reader.score, documents, decision)
            score = _Remembered(self.reader.score, documents)
            predictions = self.inference.predict(score, documents, decision)
            keeper.read(score.again, predictions)
            return predictions
        stage = self.reader.stage
        predicted = predict(self.reader, features, watch=None if keeper is None else keeper.watch)
        return predicted.rows([document.title for document in documents], stage.relations)
