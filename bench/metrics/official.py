"""The official DocRED score: micro F1, Ign F1, precision and recall of predicted triples, from per-document counts.

Definitions: Yao et al., ACL 2019 (F1, Ign F1, evidence F1); Re-DocRED (Tan et al., EMNLP 2022) scores the same way.
A score is always a ratio of *summed counts* (`bench.metrics.arithmetic`), never a mean of per-document scores, so
whoever resamples documents resamples `DocumentCounts.documents` and sums again. Scores are in percent, unrounded; a
ratio over nothing is 0.0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import itemgetter
from typing import TypeVar

from bench.data.documents import Document, Fact, Mention, Triple
from bench.errors import UsageError, plural
from bench.metrics import arithmetic
from bench.metrics.submission import Prediction

T = TypeVar("T")
_RELATION: Callable[[Triple], str] = itemgetter(3)


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


@dataclass(frozen=True)
class DocumentCounts:
    """One `Counts` per gold document, in the order of the documents, and the predictions of no gold document.

    `unknown` (distinct predictions whose title is not in the gold file) belongs to no document but stays in the
    denominator of precision: `total.predicted` is the sum over the documents plus `unknown`.
    """

    documents: tuple[Counts, ...]
    unknown: int = 0

    @cached_property
    def total(self) -> Counts:
        """The counts of the whole split."""
        correct, predicted, gold, correct_in_facts = map(sum, zip(*self.rows(), (0, self.unknown, 0, 0), strict=True))
        return Counts(correct, predicted, gold, correct_in_facts)

    def rows(self) -> list[tuple[int, int, int, int]]:
        """[documents, 4]: correct, predicted, gold, correct in facts; ready for JSON or `numpy.array`."""
        return [(c.correct, c.predicted, c.gold, c.correct_in_facts) for c in self.documents]


@dataclass(frozen=True)
class JudgedDocument:
    """The distinct triples of a document: predicted, labelled (gold), both (right), and of these the seen ones.

    seen: among the training facts.
    """

    predicted: Set[Triple]
    gold: Set[Triple]
    right: Set[Triple]
    seen: Set[Triple]

    @property
    def parts(self) -> tuple[Set[Triple], Set[Triple], Set[Triple], Set[Triple]]:
        """What the four numbers of `Counts` count, in their order."""
        return self.right, self.predicted, self.gold, self.seen

    @property
    def counts(self) -> Counts:
        """How many there are of each."""
        return Counts(*map(len, self.parts))

    @cached_property
    def by_relation(self) -> dict[str, Counts]:
        """The counts of every relation that is predicted or labelled."""
        return self.counts_by(_RELATION)

    def counts_by(self, name_of: Callable[[Triple], T]) -> dict[T, Counts]:
        """The counts of the triples of each name, of whatever `name_of` names them by."""
        right, predicted, gold, seen = (Counter(map(name_of, triples)) for triples in self.parts)
        return {name: Counts(right[name], predicted[name], gold[name], seen[name]) for name in predicted | gold}


@dataclass(frozen=True, slots=True)
class Judged:
    """What every count is a sum over: the judged documents, and the distinct predictions of no document."""

    documents: tuple[JudgedDocument, ...]
    unknown: Set[Triple]

    @property
    def counts(self) -> DocumentCounts:
        """Per-document counts of everything that was judged."""
        return DocumentCounts(tuple(document.counts for document in self.documents), len(self.unknown))


def mentions_of(document: Document, entity: int) -> tuple[Mention, ...]:
    """The mentions of an entity; none for an index that the document does not have (predictions may name any)."""
    return document.entities[entity] if 0 <= entity < len(document.entities) else ()


def seen_among(document: Document, triples: Iterable[Triple], facts: Collection[Fact]) -> set[Triple]:
    """Those of a document's triples that some names of their entities make one of `facts`: what Ign F1 leaves out."""
    names: dict[int, list[str]] = {}

    def names_of(entity: int) -> list[str]:
        if entity not in names:
            names[entity] = list({mention.name for mention in mentions_of(document, entity)})
        return names[entity]

    return {
        (title, head, tail, relation)
        for title, head, tail, relation in triples
        if any((h, t, relation) in facts for h in names_of(head) for t in names_of(tail))
    }


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


def gold_outside(documents: Sequence[Document]) -> int:
    """Labelled triples on pairs that are no candidates: no model here predicts them, a submission from outside may."""
    outside = 0
    for document in documents:
        if document.candidates is not None:
            candidates = frozenset(document.candidates)
            outside += sum((head, tail) not in candidates for _, head, tail, _ in document.triples())
    return outside


def judge(predictions: Iterable[Triple], documents: Sequence[Document], facts: Iterable[Fact] = ()) -> Judged:
    """Compare predictions with the labels of `documents`; duplicates of either count once.

    A prediction of an entity that its document does not have is simply wrong. A label counts as seen where *any* of
    its (head mention name, tail mention name, relation) is in `facts`. Raises `UsageError` on repeated titles.
    """
    refuse_repeated_titles(documents)
    facts = _as_set(facts)
    by_title: dict[str, set[Triple]] = defaultdict(set)
    for prediction in predictions:
        by_title[prediction[0]].add(prediction)

    judged = []
    for document in documents:
        predicted, gold = by_title.pop(document.title, set()), document.triples()
        right = predicted & gold
        judged.append(JudgedDocument(predicted, gold, right, seen_among(document, right, facts)))
    return Judged(tuple(judged), frozenset().union(*by_title.values()))


def judged_against(judged: Judged, documents: Sequence[Document], facts: Iterable[Fact]) -> Judged:
    """The same triples judged with other facts: `seen` alone is another."""
    facts = _as_set(facts)
    pairs = zip(judged.documents, documents, strict=True)
    return Judged(tuple(replace(j, seen=seen_among(document, j.right, facts)) for j, document in pairs), judged.unknown)


def _as_set(facts: Iterable[Fact]) -> Collection[Fact]:
    return facts if isinstance(facts, (set, frozenset)) else frozenset(facts)


def document_counts(
    predictions: Iterable[Triple], documents: Sequence[Document], facts: Iterable[Fact] = ()
) -> DocumentCounts:
    """Counts of each document, in order, and the number of distinct predictions whose title is in no document.

    See `judge` for what counts as correct and as seen. Raises `UsageError` on repeated gold titles.
    """
    return judge(predictions, documents, facts).counts


def relation_counts(judged: Judged) -> dict[str, Counts]:
    """Counts of every relation that is labelled or predicted, by relation id.

    A prediction of an unknown title is a wrong prediction of its relation.
    """
    counts: dict[str, Counts] = defaultdict(Counts)
    for document in judged.documents:
        for relation, of_document in document.by_relation.items():
            counts[relation] += of_document
    for _, _, _, relation in judged.unknown:
        counts[relation] += Counts(predicted=1)
    return dict(sorted(counts.items()))


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
    `judged` is what `counts` counts, for slices.
    """

    counts: DocumentCounts
    distant: DocumentCounts | None = None
    relations: Mapping[str, Counts] = field(default_factory=dict)
    has_facts: bool = True
    judged: Judged = field(default=Judged((), frozenset()), repr=False)

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
    judged = judge(predictions, documents, facts or ())
    distant = None if distant_facts is None else judged_against(judged, documents, distant_facts)
    return Evaluation(
        counts=judged.counts,
        distant=None if distant is None else distant.counts,
        relations=relation_counts(judged),
        has_facts=facts is not None,
        judged=judged,
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
