"""What of a submission cannot be right, or does not count, beside the labelled documents it is of.

Nothing is repaired and nothing refused: scores are what they are. But a file of relation names where the labels have
ids scores 0.00 like a bad model, and whoever looks at the number has to be told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

from bench.data.documents import Document, Fact
from bench.errors import plural
from bench.metrics.official import Judged, JudgedDocument, seen_among
from bench.metrics.submission import Prediction

EXAMPLES = 5
"""So many titles or relations are named."""


@dataclass(frozen=True)
class SubmissionChecks:
    """Counts of what is odd about a submission: of distinct triples, where it does not say rows.

    rows: all rows.   duplicates: rows that repeat the triple of one before them.   unknown_titles: triples of documents
    that the labelled file lacks.   unknown_relations: of relations that it has no label of.   unknown_entities: of
    entities that their document lacks.   self_pairs: of an entity with itself; right_self_pairs: those that are
    labelled.   turned_pairs: wrong ones on pairs that are candidates the other way round only; other_pairs: neither
    way.   repeated_evidence: rows whose evidence names a sentence twice.   unknown_evidence: rows whose evidence names
    sentences that their document lacks.   repeated_gold_evidence: labels whose evidence names a sentence twice.
    """

    rows: int
    duplicates: int
    unknown_titles: int
    unknown_relations: int
    unknown_entities: int
    self_pairs: int
    right_self_pairs: int
    turned_pairs: int
    other_pairs: int
    repeated_evidence: int
    unknown_evidence: int
    repeated_gold_evidence: int

    def as_json(self) -> dict[str, int]:
        """All counts by name."""
        return asdict(self)


def check(predictions: Sequence[Prediction], documents: Sequence[Document], judged: Judged) -> SubmissionChecks:
    """Look through a submission and the labelled documents that it is scored against.

    judged: the submission, compared with the labels of the documents (`bench.metrics.official.judge`).
    """
    relations = labelled_relations(documents)
    by_document = [*zip(judged.documents, documents, strict=True)]
    distinct = [*(triples.predicted for triples in judged.documents), judged.unknown]
    themselves = [{triple for triple in triples if triple[1] == triple[2]} for triples in distinct]
    turned, other = _no_candidates(by_document)
    return SubmissionChecks(
        rows=len(predictions),
        duplicates=len(predictions) - sum(map(len, distinct)),
        unknown_titles=len(judged.unknown),
        unknown_relations=sum(triple[3] not in relations for triples in distinct for triple in triples),
        unknown_entities=sum(
            max(head, tail) >= len(document.entities)
            for triples, document in by_document
            for _, head, tail, _ in triples.predicted
        ),
        self_pairs=sum(map(len, themselves)),
        right_self_pairs=sum(
            len(triples.gold & selves) for triples, selves in zip(judged.documents, themselves[:-1], strict=True)
        ),
        turned_pairs=turned,
        other_pairs=other,
        repeated_evidence=sum(_repeats(p.evidence) for p in predictions if p.evidence),
        unknown_evidence=_unknown_evidence(predictions, documents),
        repeated_gold_evidence=sum(_repeats(label.evidence) for document in documents for label in document.labels),
    )


def _no_candidates(by_document: Iterable[tuple[JudgedDocument, Document]]) -> tuple[int, int]:
    """Wrong triples on pairs that are no candidates: those whose pair is one the other way round, and the others."""
    turned = other = 0
    for triples, document in by_document:
        if document.candidates is None:
            continue
        candidates, entities = frozenset(document.candidates), len(document.entities)
        for _, head, tail, _ in triples.predicted - triples.gold:
            if head == tail or max(head, tail) >= entities or (head, tail) in candidates:
                continue
            if (tail, head) in candidates:
                turned += 1
            else:
                other += 1
    return turned, other


def _unknown_evidence(predictions: Iterable[Prediction], documents: Iterable[Document]) -> int:
    sentences = {document.title: len(document.sentences) for document in documents}
    named = ((p.title, p.evidence) for p in predictions if p.evidence)
    return sum(title in sentences and max(evidence) >= sentences[title] for title, evidence in named)


def notes(
    checks: SubmissionChecks, predictions: Sequence[Prediction], documents: Sequence[Document], gold: str
) -> Iterator[str]:
    """The checks as sentences, of what there is. gold: what the labelled file is called."""
    if not checks.rows:
        yield "there are no predictions: every score is 0"
    if checks.duplicates:
        yield f"{plural(checks.duplicates, 'duplicate prediction')}, counted once; the evidence of the first row counts"
    if checks.unknown_titles:
        titles = {document.title for document in documents}
        named = _named({p.title for p in predictions} - titles)
        yield f"{plural(checks.unknown_titles, 'prediction')} of documents that {gold} lacks: {named}; all wrong"
    if checks.unknown_relations:
        yield _unknown_relations(checks, predictions, labelled_relations(documents), gold)
    if checks.unknown_entities:
        yield f"{plural(checks.unknown_entities, 'prediction')} with entities that the document lacks; all wrong"
    if checks.self_pairs:
        right = (
            f"{checks.right_self_pairs:,} of them labelled" if checks.right_self_pairs else "none labelled, all wrong"
        )
        yield f"{plural(checks.self_pairs, 'prediction')} with the same entity as head and tail: {right}"
    if checks.turned_pairs:
        turned = f"{plural(checks.turned_pairs, 'prediction')} whose pair is a candidate the other way round only"
        yield f"{turned}, tail as head; all wrong"
    if checks.other_pairs == 1:
        yield "1 prediction of a pair that is no candidate; wrong"
    elif checks.other_pairs:
        yield f"{checks.other_pairs:,} predictions of pairs that are no candidates; all wrong"
    if checks.repeated_evidence:
        evidence = f"the evidence of {plural(checks.repeated_evidence, 'prediction')}"
        yield f"{evidence} names a sentence twice; it is counted once"
    if checks.unknown_evidence:
        evidence = f"the evidence of {plural(checks.unknown_evidence, 'prediction')}"
        yield f"{evidence} names a sentence that the document lacks"
    if checks.repeated_gold_evidence:
        yield (
            f"the evidence of {plural(checks.repeated_gold_evidence, 'label')} of {gold} names a sentence twice, "
            "counted once (the published script counts it twice in the recall of evidence)"
        )


def labelled_relations(documents: Iterable[Document]) -> set[str]:
    """The relations that have a label."""
    return {label.relation for document in documents for label in document.labels}


def facts_note(facts: Collection[Fact], documents: Sequence[Document], source: str, metric: str) -> str | None:
    """Why facts change nothing, where they do not: there are none, or none is a labelled triple. source: their file."""
    if not facts:
        return f"{source} has no facts: {metric} leaves nothing out and equals F1"
    if any(seen_among(document, document.triples(), facts) for document in documents):
        return None
    return (
        f"none of the {len(facts):,} facts of {source} is a labelled triple: {metric} leaves nothing out and equals F1"
    )


def _unknown_relations(
    checks: SubmissionChecks, predictions: Sequence[Prediction], labelled: Collection[str], gold: str
) -> str:
    unknown = {prediction.relation for prediction in predictions} - set(labelled)
    text = (
        f"{plural(checks.unknown_relations, 'prediction')} of relations that {gold} has no label of: {_named(unknown)}"
    )
    if any(prediction.relation in labelled for prediction in predictions):
        return f"{text}; all wrong"
    return f"{text}; these are all predictions, so every score is 0: {gold} calls its relations {_named(labelled)}"


def _named(names: Collection[str]) -> str:
    named = ", ".join(map(repr, sorted(names)[:EXAMPLES]))
    return named + (f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else "")


def _repeats(sentences: Sequence[int]) -> bool:
    return len(set(sentences)) < len(sentences)
