"""What predictions on a split are worth, as the record of a run keeps it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from bench.data.documents import Document, Fact
from bench.metrics.official import Counts, evaluate, evidence_counts, evidence_of, gold_outside
from bench.metrics.slices import PROTOCOLS, evaluate_slices
from bench.metrics.submission import Prediction
from bench.runs.record import DocumentCounts, EvidenceScores, Scores, SplitRecord

if TYPE_CHECKING:
    from bench.metrics.ranking import Ranking


def split_record(
    predictions: Sequence[Prediction],
    documents: Sequence[Document],
    facts: Collection[Fact] | None,
    distant_facts: Collection[Fact] | None,
    mentions_cut: int,
    predicts_evidence: bool = False,
    ranking: Ranking | None = None,
) -> SplitRecord:
    """Official scores, macro F1, slices in both protocols, counts; evidence scores where evidence is predicted.

    facts: None where the benchmark has no Ign F1, which is then absent everywhere, not F1 under another name.
    ranking: of all candidates, for AUC; None where thresholds alone do not decide.
    """
    triples = [prediction.triple for prediction in predictions]
    evaluation = evaluate(triples, documents, facts, distant_facts)
    sliced = evaluate_slices(evaluation.judged, documents)
    rows = evaluation.counts.documents
    return SplitRecord(
        scores=Scores(
            f1=evaluation.f1,
            ign_f1=evaluation.ign_f1,
            ign_f1_distant=evaluation.ign_f1_distant,
            precision=evaluation.precision,
            recall=evaluation.recall,
            auc=ranking.auc if ranking else None,
            ign_auc=ranking.ign_auc if ranking and facts is not None else None,
        ),
        macro_f1=evaluation.macro_f1,
        slices={
            protocol: {
                part.name: _scores(part.total(protocol), facts is not None)
                for part in sliced.slices
                if part.group != "relation"
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
        unknown_titles=evaluation.counts.unknown,
        mentions_cut=mentions_cut,
        gold_outside=gold_outside(documents),
        evidence=_evidence_scores(predictions, documents) if predicts_evidence else None,
        highest_margin=ranking.highest if ranking else None,
    )


def _evidence_scores(predictions: Sequence[Prediction], documents: Sequence[Document]) -> EvidenceScores | None:
    """Precision, recall and F1 of predicted evidence, percent; None where no label has evidence to compare with."""
    if not any(label.evidence for document in documents for label in document.labels):
        return None
    total = evidence_counts(evidence_of(predictions), documents).total
    return EvidenceScores(f1=total.f1, precision=total.precision, recall=total.recall)


def _scores(counts: Counts, has_facts: bool) -> Scores:
    return Scores(
        f1=counts.f1, ign_f1=counts.ign_f1 if has_facts else None, precision=counts.precision, recall=counts.recall
    )
