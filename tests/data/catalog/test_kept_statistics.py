"""Statistics of documents are counted once for each content."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.catalog.dataset import open_dataset
from bench.data.catalog.statistics import describe, described_before, relation_counts, split_statistics

pytestmark = pytest.mark.usefixtures("small")


def test_what_was_counted_before_is_what_would_be_counted():
    dataset = open_dataset("small")
    documents = dataset.documents("dev")
    for _ in range(2):
        found = describe(dataset, "dev")
        assert found.statistics == split_statistics(documents)
        assert found.relations == relation_counts(documents, dataset.relations)
    assert described_before(dataset, "dev") == found


def test_a_damaged_count_is_made_again(small: Path):
    dataset = open_dataset("small")
    found = describe(dataset, "test")
    for path in (small / "statistics").iterdir():
        path.write_text('{"statistics": {}}')
    assert described_before(dataset, "test") is None
    assert describe(dataset, "test") == found
