"""Statistics of documents, counted once for each content: the paper's Table 1 and 2, the counts behind its Figure 6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.data.catalog.dataset import Dataset
from bench.data.documents import Document, entity_count, have_sentences
from bench.filesystem import digest, home, read_sealed, write_sealed

STATISTICS_VERSION = 1
"""Of what is kept: raise it when documents would be counted otherwise."""


@dataclass(frozen=True)
class SplitStatistics:
    """Of one split. Averages are per document; 0 documents give averages of 0.

    `triples` counts a triple given twice once, as the metrics do; `pairs` are the candidates; `entities` see
    `entity_count`; `sentences` is None where the documents do not come in sentences.
    """

    documents: int
    entities: float
    mentions: float
    triples: float
    sentences: float | None
    words: float
    pairs: float
    relations: int
    """How many relations its labels use."""
    pairs_with_relation: float


def _pair_count(document: Document) -> int:
    entities = len(document.entities)
    return entities * (entities - 1) if document.candidates is None else len(document.candidates)


def split_statistics(documents: Sequence[Document]) -> SplitStatistics:
    """Table 1's rows (documents, entities, labelled triples, sentences) for one split, and what goes with them."""
    per = 1 / max(len(documents), 1)
    return SplitStatistics(
        documents=len(documents),
        entities=per * sum(map(entity_count, documents)),
        mentions=per * sum(len(mentions) for d in documents for mentions in d.entities),
        triples=per * sum(len(d.triples()) for d in documents),
        sentences=per * sum(len(d.sentences) for d in documents) if have_sentences(documents) else None,
        words=per * sum(len(words) for d in documents for words in d.sentences),
        pairs=per * sum(map(_pair_count, documents)),
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


@dataclass(frozen=True)
class LabelStatistics:
    """The labels of some documents. triples: each counted once.   types: pairs of a document and a relation in it.

    relations: those that occur.   unlabelled: documents without any.
    """

    documents: int
    triples: int
    types: int
    relations: int
    unlabelled: int


def label_statistics(documents: Sequence[Document]) -> LabelStatistics:
    """What the labels of some documents come to."""
    triples = [document.triples() for document in documents]
    return LabelStatistics(
        documents=len(documents),
        triples=sum(map(len, triples)),
        types=sum(len({triple[3] for triple in of_document}) for of_document in triples),
        relations=len({triple[3] for of_document in triples for triple in of_document}),
        unlabelled=sum(not of_document for of_document in triples),
    )


@dataclass(frozen=True)
class Described:
    """A split's statistics, and its labelled triples by relation, most frequent first."""

    statistics: SplitStatistics
    relations: dict[str, int]


def describe(dataset: Dataset, split: str) -> Described:
    """What the documents of a split come to. Raises UsageError where the split's file is gone or has changed."""
    described = described_before(dataset, split)
    if described is None:
        documents = dataset.documents(split)
        described = Described(split_statistics(documents), relation_counts(documents, dataset.relations))
        with suppress(OSError):  # where BENCH_HOME cannot be written, they are counted again next time
            write_sealed(_path(dataset, split), "statistics", asdict(described))
    return described


def described_before(dataset: Dataset, split: str) -> Described | None:
    """The same without reading a document: None where they were never counted."""
    stored = read_sealed(_path(dataset, split), "statistics")
    try:
        return Described(SplitStatistics(**stored["statistics"]), dict(stored["relations"]))
    except (KeyError, TypeError, ValueError):
        return None  # not there, or damaged: counted anew


def _path(dataset: Dataset, split: str) -> Path:
    # The relations belong to it: those without a label are counted, too.
    key = digest([dataset.checksum(split), dataset.relations])
    return home() / "statistics" / f"v{STATISTICS_VERSION}-{key}.json"
