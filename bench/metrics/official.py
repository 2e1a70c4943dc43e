"""The official DocRED score: micro F1, Ign F1, precision and recall of predicted triples, from per-document counts.

Definitions: Yao et al., ACL 2019 (F1, Ign F1, evidence F1); Re-DocRED (Tan et al., EMNLP 2022) scores the same way.
A score is always a ratio of *summed counts* (`bench.metrics.arithmetic`), never a mean of per-document scores, so
whoever resamples documents resamples `DocumentCounts.documents` and sums again. Scores are in percent, unrounded; a
ratio over nothing is 0.0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.data.documents import Document, Fact, Mention, Triple
from bench.errors import UsageError, plural
from bench.metrics import arithmetic
from bench.metrics.submission import Prediction


@dataclass(frozen=True, slots=True)
class Counts:
    """How many triples of some set of documents were right, predicted, labelled, and right but seen in training.

    Add two of them to get those of both sets. Every score is in percent, unrounded, and 0.0 where it would divide by
    nothing (no predictions, no labels, nothing left after ignoring the seen ones).
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0
    correct_in_facts: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.correct + other.correct,
            self.predicted + other.predicted,
            self.gold + other.gold,
            self.correct_in_facts + other.correct_in_facts,
        )

    @property
    def precision(self) -> float:
        """Share of the predictions that are labelled, in percent."""
        return arithmetic.precision(self.correct, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the labels that were predicted, in percent."""
        return arithmetic.recall(self.correct, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in percent: 2 correct / (predicted + gold)."""
        return arithmetic.f1(self.correct, self.predicted, self.gold)

    @property
    def ign_precision(self) -> float:
        """Precision, in percent, once the right predictions that training had seen are left out of both counts."""
        return arithmetic.ign_precision(self.correct, self.predicted, self.correct_in_facts)

    @property
    def ign_f1(self) -> float:
        """Harmonic mean of `ign_precision` and the *plain* recall, in percent (`bench.metrics.arithmetic.ign_f1`)."""
        return arithmetic.ign_f1(self.correct, self.predicted, self.gold, self.correct_in_facts)


@dataclass(frozen=True, slots=True)
class DocumentCounts:
    """One `Counts` per gold document, in the order of the documents, and the predictions of no gold document.

    `unknown` (distinct predictions whose title is not in the gold file) belongs to no document but stays in the
    denominator of precision: `total.predicted` is the sum over the documents plus `unknown`.
    """

    documents: tuple[Counts, ...]
    unknown: int = 0

    @property
    def total(self) -> Counts:
        """The counts of the whole split."""
        return sum(self.documents, Counts(predicted=self.unknown))

    def rows(self) -> list[tuple[int, int, int, int]]:
        """[documents, 4]: correct, predicted, gold, correct in facts; ready for JSON or `numpy.array`."""
        return [(c.correct, c.predicted, c.gold, c.correct_in_facts) for c in self.documents]


class Judgement(NamedTuple):
    """A distinct triple that was predicted, labelled or both; `seen`: labelled, and among the training facts."""

    triple: Triple
    predicted: bool
    gold: bool
    seen: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What every count is a sum over: the judgements of each document, and the distinct predictions of no document."""

    documents: tuple[tuple[Judgement, ...], ...]
    unknown: tuple[Triple, ...]


def count(judgements: Iterable[Judgement]) -> Counts:
    """The counts of some judged triples."""
    correct = predicted = gold = seen = 0
    for judgement in judgements:
        hit = judgement.predicted and judgement.gold
        correct += hit
        predicted += judgement.predicted
        gold += judgement.gold
        seen += hit and judgement.seen
    return Counts(correct, predicted, gold, seen)


def mentions_of(document: Document, entity: int) -> tuple[Mention, ...]:
    """The mentions of an entity; none for an index that the document does not have (predictions may name any)."""
    return document.entities[entity] if 0 <= entity < len(document.entities) else ()


def is_seen(document: Document, triple: Triple, facts: Collection[Fact]) -> bool:
    """Whether some names of the triple's entities make it one of `facts`: what Ign F1 leaves out, where it is right."""
    _, head, tail, relation = triple
    heads = {mention.name for mention in mentions_of(document, head)}
    tails = {mention.name for mention in mentions_of(document, tail)}
    return any((h, t, relation) in facts for h in heads for t in tails)


def refuse_repeated_titles(documents: Sequence[Document]) -> None:
    """Raise `UsageError` where documents share a title: a submission names documents by title alone."""
    titles = Counter(document.title for document in documents)
    repeated = sorted(title for title, times in titles.items() if times > 1)
    if repeated:
        belong = "belongs" if len(repeated) == 1 else "belong"
        raise UsageError(
            f"{plural(len(repeated), 'title')} {belong} to several gold documents, so that predictions cannot be told "
            "apart: " + ", ".join(map(repr, repeated))
        )


def judge(predictions: Iterable[Triple], documents: Sequence[Document], facts: Iterable[Fact] = ()) -> Judged:
    """Compare predictions with the labels of `documents`; duplicates of either count once.

    A prediction of an entity that its document does not have is simply wrong. A label counts as seen where *any* of
    its (head mention name, tail mention name, relation) is in `facts`. Raises `UsageError` on repeated titles.
    """
    refuse_repeated_titles(documents)
    facts = facts if isinstance(facts, (set, frozenset)) else frozenset(facts)
    predicted: dict[str, set[Triple]] = defaultdict(set)
    for prediction in predictions:
        predicted[prediction[0]].add(prediction)

    judged = []
    for document in documents:
        ours, gold = predicted.pop(document.title, set()), document.triples()
        judged.append(
            tuple(
                Judgement(triple, triple in ours, triple in gold, triple in gold and is_seen(document, triple, facts))
                for triple in sorted(ours | gold)
            )
        )
    return Judged(tuple(judged), tuple(sorted(triple for triples in predicted.values() for triple in triples)))


def counts_of(judged: Judged) -> DocumentCounts:
    """Per-document counts of everything that was judged."""
    return DocumentCounts(tuple(map(count, judged.documents)), len(judged.unknown))


def document_counts(
    predictions: Iterable[Triple], documents: Sequence[Document], facts: Iterable[Fact] = ()
) -> DocumentCounts:
    """Counts of each document, in order, and the number of distinct predictions whose title is in no document.

    See `judge` for what counts as correct and as seen. Raises `UsageError` on repeated gold titles.
    """
    return counts_of(judge(predictions, documents, facts))


def relation_counts(judged: Judged) -> dict[str, Counts]:
    """Counts of every relation that is labelled or predicted, by relation id.

    A prediction of an unknown title is a wrong prediction of its relation.
    """
    by_relation: dict[str, list[Judgement]] = defaultdict(list)
    for judgements in judged.documents:
        for judgement in judgements:
            by_relation[judgement.triple[3]].append(judgement)
    for triple in judged.unknown:
        by_relation[triple[3]].append(Judgement(triple, predicted=True, gold=False, seen=False))
    return {relation: count(by_relation[relation]) for relation in sorted(by_relation)}


def macro_f1(relations: Mapping[str, Counts]) -> float:
    """Mean F1, in percent, over the relations *with a label*; 0.0 without any.

    Relations that are only predicted are left out (their F1 is 0 whatever the model), so that two models evaluated on
    one file are averaged over the same relations.
    """
    labelled = [counts.f1 for counts in relations.values() if counts.gold > 0]
    return sum(labelled) / len(labelled) if labelled else 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the official script reports, with the counts it follows from. All scores in percent, unrounded.

    `counts` holds the facts of `facts`, `distant` the same triples against the distant facts (None: none given).
    """

    counts: DocumentCounts
    distant: DocumentCounts | None = None
    relations: Mapping[str, Counts] = field(default_factory=dict)
    has_facts: bool = True

    @property
    def f1(self) -> float:
        """Micro F1."""
        return self.counts.total.f1

    @property
    def precision(self) -> float:
        """Micro precision."""
        return self.counts.total.precision

    @property
    def recall(self) -> float:
        """Micro recall."""
        return self.counts.total.recall

    @property
    def ign_f1(self) -> float | None:
        """Ign F1 against the human training facts; None where they were not given (it would just be F1)."""
        return self.counts.total.ign_f1 if self.has_facts else None

    @property
    def ign_f1_distant(self) -> float | None:
        """Ign F1 against the distant facts; None where they were not given."""
        return None if self.distant is None else self.distant.total.ign_f1

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the relations with a label (`macro_f1`)."""
        return macro_f1(self.relations)


def evaluate(
    predictions: Iterable[Triple],
    documents: Sequence[Document],
    facts: Iterable[Fact] | None,
    distant_facts: Iterable[Fact] | None = None,
) -> Evaluation:
    """Score predictions against the labels of `documents`.

    `facts` are those of the human training documents (`bench.data.documents.facts_of` or a `.fact` file): use one file
    for all settings of a data set, Ign F1 against different files cannot be compared. None: no Ign F1.
    Raises `UsageError` where two documents share a title.
    """
    triples = set(predictions)
    judged = judge(triples, documents, facts or ())
    return Evaluation(
        counts=counts_of(judged),
        distant=None if distant_facts is None else document_counts(triples, documents, distant_facts),
        relations=relation_counts(judged),
        has_facts=facts is not None,
    )


def evidence_of(predictions: Iterable[Prediction]) -> dict[Triple, tuple[int, ...]]:
    """The evidence of each predicted triple, none where it was not predicted.

    Of a triple that is predicted twice the first row counts, as in the published script (thunlp/DocRED@64622e6,
    code/evaluation.py), whether it has evidence or not.
    """
    evidence: dict[Triple, tuple[int, ...]] = {}
    for prediction in predictions:
        evidence.setdefault(prediction.triple, prediction.evidence or ())
    return evidence


def evidence_counts(evidence: Mapping[Triple, Collection[int]], documents: Sequence[Document]) -> DocumentCounts:
    """Counts of (triple, evidence sentence): `total.f1` is the evidence F1 (Yao et al. 2019; DREEAM, section 4).

    `evidence` has the sentences predicted for each predicted triple. Those of a wrong triple are wrong; those of
    unknown titles are too, and are in `unknown`. Raises `UsageError` where two documents share a title.
    """
    refuse_repeated_titles(documents)
    predicted: dict[str, dict[Triple, set[int]]] = defaultdict(dict)
    for triple, sentences in evidence.items():
        predicted[triple[0]][triple] = set(sentences)

    counts = []
    for document in documents:
        gold: dict[Triple, set[int]] = defaultdict(set)
        for label in document.labels:
            gold[(document.title, label.head, label.tail, label.relation)].update(label.evidence)
        ours = predicted.pop(document.title, {})
        correct = sum(len(sentences & gold.get(triple, set())) for triple, sentences in ours.items())
        counts.append(Counts(correct, sum(map(len, ours.values())), sum(map(len, gold.values()))))
    return DocumentCounts(tuple(counts), sum(len(s) for triples in predicted.values() for s in triples.values()))
