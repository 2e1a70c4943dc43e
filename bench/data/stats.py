"""Statistics of documents: the paper's Table 1 and 2, and the counts behind its Figure 6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.documents import Document


@dataclass(frozen=True)
class SplitStatistics:
    """Of one split. Averages are per document; 0 documents give averages of 0.

    `triples` counts a triple given twice once, as the metrics do; `pairs` are ordered (head, tail), head != tail.
    """

    documents: int
    entities: float
    mentions: float
    triples: float
    sentences: float
    words: float
    pairs: float
    relations: int
    """How many relations its labels use."""
    pairs_with_relation: float


def split_statistics(documents: Sequence[Document]) -> SplitStatistics:
    """Table 1's rows (documents, entities, labelled triples, sentences) for one split, and what goes with them."""
    per = 1 / max(len(documents), 1)
    return SplitStatistics(
        documents=len(documents),
        entities=per * sum(len(d.entities) for d in documents),
        mentions=per * sum(len(mentions) for d in documents for mentions in d.entities),
        triples=per * sum(len(d.triples()) for d in documents),
        sentences=per * sum(len(d.sentences) for d in documents),
        words=per * sum(len(words) for d in documents for words in d.sentences),
        pairs=per * sum(len(d.entities) * (len(d.entities) - 1) for d in documents),
        relations=len({label.relation for d in documents for label in d.labels}),
        pairs_with_relation=per * sum(len({label[:2] for label in d.labels}) for d in documents),
    )


def relation_counts(documents: Sequence[Document], relations: Sequence[str]) -> dict[str, int]:
    """Labelled triples per relation (Figure 6), most frequent first, relations that never occur at the end with 0.

    Ties in the order of `relations`, which must hold every relation of the labels (KeyError otherwise).
    """
    counts: Counter[str] = Counter(triple[3] for document in documents for triple in document.triples())
    rank = {relation: index for index, relation in enumerate(relations)}
    ordered = sorted({*relations, *counts}, key=lambda relation: (-counts[relation], rank[relation]))
    return {relation: counts[relation] for relation in ordered}
