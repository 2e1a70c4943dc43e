"""From a model's predictions on a split to the part of the run's record that holds what they are worth."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.data.documents import Document, Fact, Triple
from bench.metrics.official import Counts, evaluate
from bench.metrics.slices import PROTOCOLS, evaluate_slices
from bench.records import DocumentCounts, Scores, SplitRecord


def split_record(
    triples: Sequence[Triple],
    documents: Sequence[Document],
    facts: Collection[Fact],
    distant_facts: Collection[Fact] | None,
    mentions_cut: int,
) -> SplitRecord:
    """Everything protocol.md asks of one split: official scores, macro F1, slices in both protocols, counts."""
    evaluation = evaluate(triples, documents, facts, distant_facts)
    sliced = evaluate_slices(triples, documents, facts)
    rows = evaluation.counts.documents
    return SplitRecord(
        scores=Scores(
            f1=evaluation.f1,
            ign_f1=evaluation.ign_f1,
            ign_f1_distant=evaluation.ign_f1_distant,
            precision=evaluation.precision,
            recall=evaluation.recall,
        ),
        macro_f1=evaluation.macro_f1,
        slices={
            protocol: {
                part.name: _scores(part.counts(protocol).total) for part in sliced.slices if part.group != "relation"
            }
            for protocol in PROTOCOLS
        },
        relations={
            relation: (counts.correct, counts.predicted, counts.gold)
            for relation, counts in sorted(evaluation.relations.items())
        },
        documents=DocumentCounts(
            titles=[document.title for document in documents],
            correct=[row.correct for row in rows],
            predicted=[row.predicted for row in rows],
            gold=[row.gold for row in rows],
            correct_in_facts=[row.correct_in_facts for row in rows],
        ),
        mentions_cut=mentions_cut,
    )


def _scores(counts: Counts) -> Scores:
    return Scores(f1=counts.f1, ign_f1=counts.ign_f1, precision=counts.precision, recall=counts.recall)
