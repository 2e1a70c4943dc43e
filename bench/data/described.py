"""Statistics of a data set's documents, counted once for each content and kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bench.data.catalog import Dataset
from bench.data.stats import SplitStatistics, relation_counts, split_statistics
from bench.filesystem import home, read_json, write_json
from bench.outline import digest

VERSION = 1
"""Of what is kept: raise it when documents would be counted otherwise."""


@dataclass(frozen=True)
class Described:
    """A split's statistics, and its labelled triples by relation, most frequent first."""

    statistics: SplitStatistics
    relations: dict[str, int]


def describe(dataset: Dataset, split: str) -> Described:
    """What the documents of a split come to. Raises UsageError where the split's file is gone or has changed."""
    found = described_before(dataset, split)
    if found is None:
        documents = dataset.documents(split)
        found = Described(split_statistics(documents), relation_counts(documents, dataset.relations))
        write_json(_path(dataset, split), asdict(found))
    return found


def described_before(dataset: Dataset, split: str) -> Described | None:
    """The same without reading a document: None where they were never counted."""
    stored = read_json(_path(dataset, split))
    try:
        return Described(SplitStatistics(**stored["statistics"]), dict(stored["relations"]))
    except (KeyError, TypeError, ValueError):
        return None  # not there, or damaged: counted anew


def _path(dataset: Dataset, split: str) -> Path:
    # The relations belong to it: those without a label are counted, too.
    key = digest([dataset.checksum(split), dataset.relations])
    return home() / "statistics" / f"v{VERSION}-{key}.json"
