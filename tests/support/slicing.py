"""Slices of predictions, judged and cut at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bench.data.documents import Document, Fact, Triple
from bench.metrics.official import judge
from bench.metrics.slices import Group, SlicedEvaluation, evaluate_slices


def slices_of(
    predictions: Iterable[Triple],
    documents: Sequence[Document],
    facts: Collection[Fact] | None = None,
    groups: Sequence[Group] | None = None,
) -> SlicedEvaluation:
    """The slices of predictions beside the labels of some documents."""
    return evaluate_slices(judge(predictions, documents, facts or ()), documents, groups)
