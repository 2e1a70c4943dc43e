"""The prior: what two entities are to each other, by their types alone. The row that a trained model has to beat."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from pydantic import Field

from bench.interface import CountingModel, CountingTask, Document, Hyperparameters, Positive, Prediction, Recipe, Stage

Types = tuple[str, str]
"""The types of a pair's head and tail."""


class PriorHyperparameters(Hyperparameters):
    """How many relations a pair may get; how many it does get is chosen on dev."""

    most: Positive = Field(4, description="relations of a pair of types that dev may choose from")


class Prior(CountingModel):
    """The most frequent relations of each pair of entity types; how many, and from which rate on, is tuned on dev.

    The rate of a relation is its share of the candidate pairs with these types in the training documents. Not of any
    paper: it tells how much of a score needs no reading.
    """

    Hyperparameters = PriorHyperparameters
    # On distant data first: the counts of both are added up.
    recipe = Recipe.one_then_the_other(human=Stage(data="human"), distant=Stage(data="distant"), ext=Stage(data="ext"))

    def __init__(self, hp: PriorHyperparameters, task: CountingTask) -> None:
        super().__init__(hp, task)
        self.pairs: Counter[Types] = Counter()
        self.labels: dict[Types, Counter[str]] = defaultdict(Counter)
        self.count, self.threshold = 0, 0.0

    def fit(self, documents: Sequence[Document], dev: Sequence[Document], seed: int) -> None:
        """Count the documents, and choose on dev; nothing is random."""
        for document in documents:
            self.pairs.update(types_of(document, *pair) for pair in candidates(document))
            for _, head, tail, relation in document.triples():
                self.labels[types_of(document, head, tail)][relation] += 1
        self.count, self.threshold = self._best_on(dev)

    def predict(self, documents: Sequence[Document]) -> list[Prediction]:
        """The chosen relations of every candidate pair."""
        chosen = {
            types: [relation for rate, relation in self._ranked(types)[: self.count] if rate >= self.threshold]
            for types in self.labels
        }
        return [
            Prediction(document.title, head, tail, relation)
            for document in documents
            for head, tail in candidates(document)
            for relation in chosen.get(types_of(document, head, tail), ())
        ]

    def decision(self) -> dict[str, float]:
        """How many relations a pair gets at most, and from which rate on."""
        return {"relations a pair": float(self.count), "rate": self.threshold}

    def _ranked(self, types: Types) -> list[tuple[float, str]]:
        """Rate and id of the relations of a pair of types, the most frequent first, `most` of them."""
        # Labels may be on pairs that are no candidates, even on all that there are of these types.
        pairs = max(self.pairs[types], 1)
        ranked = sorted(self.labels[types].items(), key=lambda item: (-item[1], item[0]))
        return [(min(labels / pairs, 1.0), relation) for relation, labels in ranked[: self.hp.most]]

    def _best_on(self, dev: Sequence[Document]) -> tuple[int, float]:
        """The count and the rate with the highest F1 on dev; of several the lowest count and the highest rate."""
        pairs = Counter(types_of(document, *pair) for document in dev for pair in candidates(document))
        right = Counter(
            (types_of(document, head, tail), relation)
            for document in dev
            for _, head, tail, relation in document.triples()
            if (head, tail) in set(candidates(document))
        )
        gold = sum(len(document.triples()) for document in dev)
        best = (0.0, 0, 1.0)
        for count in range(1, self.hp.most + 1):
            levels: dict[float, tuple[int, int]] = defaultdict(lambda: (0, 0))
            for types in self.labels:
                for rate, relation in self._ranked(types)[:count]:
                    predicted, correct = levels[rate]
                    levels[rate] = (predicted + pairs[types], correct + right[types, relation])
            predicted = correct = 0
            for rate in sorted(levels, reverse=True):
                predicted, correct = predicted + levels[rate][0], correct + levels[rate][1]
                f1 = 2 * correct / (predicted + gold) if predicted + gold else 0.0
                if f1 > best[0]:
                    best = (f1, count, rate)
        return best[1], best[2]


def candidates(document: Document) -> Iterator[tuple[int, int]]:
    """The pairs to be classified: those that the document names, or all of two different entities."""
    if document.candidates is not None:
        yield from document.candidates
        return
    entities = range(len(document.entities))
    yield from ((head, tail) for head in entities for tail in entities if head != tail)


def types_of(document: Document, head: int, tail: int) -> Types:
    """The types of a pair."""
    return document.entity_type(head), document.entity_type(tail)
