"""Scores of parts of a split: frequent and rare relations, one sentence or several, few entities or many.

Two protocols, because published numbers use both:

- `strict`: a slice's precision divides by the predictions *in the slice*.
- `released`: it divides by *all* predictions of the split, as the released TTM-RE script does. The precisions of
  slices that together make up the split then sum to the overall precision, and a slice's precision and F1 are low
  even for a perfect model. Shown only to be comparable with Table 5 of the paper.

Recall is the same in both. A slice keeps the counts of each document, so that documents can be resampled
(`bench.metrics.official`). Percent, unrounded.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.data.documents import Document, Triple, entity_count, have_sentences
from bench.metrics.arithmetic import percent
from bench.metrics.official import Counts, DocumentCounts, Judged, JudgedDocument

Protocol = Literal["strict", "released"]
PROTOCOLS: tuple[Protocol, ...] = ("strict", "released")

SliceOf = Callable[[Triple], str | None]
"""Names the slice of a triple; None: of no slice."""

ENTITY_EDGES = (10, 15, 20, 25)
"""Upper ends of the bins by number of entities; half of Re-DocRED's test documents have at most 19, none above 42."""


@dataclass(frozen=True, slots=True)
class Group:
    """A way to cut a split into slices, each triple in at most one of them.

    slicer: of a document, what names the slice of each of its triples (None: of none); the document is None where no
    gold document has the triple's title.   slices: the names, in the order of a table.   relations: the members of a
    slice defined by listing relations.   of_relation: names the slice by the relation, where that is enough.
    """

    name: str
    slices: tuple[str, ...]
    slicer: Callable[[Document | None], SliceOf]
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_relation: Callable[[str], str] | None = None

    @classmethod
    def of_relations(
        cls,
        name: str,
        slices: Sequence[str],
        of_relation: Callable[[str], str],
        relations: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Group:
        """A group in which the relation alone decides, also where nothing is known of the document."""
        return cls(name, tuple(slices), lambda _: lambda triple: of_relation(triple[3]), relations or {}, of_relation)

    def slice_of(self, document: Document | None, triple: Triple) -> str | None:
        """The slice of one triple of a document, or None."""
        return self.slicer(document)(triple)

    def counts(self, document: Document, judged: JudgedDocument) -> Mapping[str | None, Counts]:
        """The counts of each slice within a document, and under None of the triples of none."""
        if self.of_relation is None:
            return judged.counts_by(self.slicer(document))
        counts: dict[str | None, Counts] = {}
        for relation, of_relation in judged.by_relation.items():
            name = self.of_relation(relation)
            counts[name] = counts[name] + of_relation if name in counts else of_relation
        return counts


@dataclass(frozen=True, slots=True)
class Slice:
    """The counts of one slice under the strict protocol. `overall` are those of the whole split."""

    group: str
    name: str
    strict: DocumentCounts
    overall: DocumentCounts
    relations: tuple[str, ...] = ()

    def total(self, protocol: Protocol) -> Counts:
        """The counts of the slice under a protocol, whose precision divides by what it says."""
        counts = self.strict.total
        return counts if protocol == "strict" else replace(counts, predicted=self.overall.total.predicted)

    @property
    def share(self) -> float:
        """Share of the split's labels that are in the slice, in percent (Appendix H: 2.7 for the rare relations)."""
        return percent(self.strict.total.gold, self.overall.total.gold)


@dataclass(frozen=True, slots=True)
class SlicedEvaluation:
    """The slices of an evaluation, in the order of a table, and the counts of the whole split."""

    overall: DocumentCounts
    slices: tuple[Slice, ...]

    def __getitem__(self, name: tuple[str, str]) -> Slice:
        """The slice of (group, name): `result["top_10", "all_but_top_10"]`. Raises `KeyError`."""
        for part in self.slices:
            if (part.group, part.name) == name:
                return part
        raise KeyError(name)


def relation_frequency(documents: Sequence[Document]) -> dict[str, int]:
    """Distinct labels of each relation in `documents`, most frequent first, ties by relation id."""
    counts = Counter(triple[3] for document in documents for triple in document.triples())
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def by_relations(name: str, inside: str, outside: str, relations: Iterable[str]) -> Group:
    """Slice `inside`: the triples of `relations`; slice `outside`: all others.

    Only the relation decides, so a prediction of an unknown title or an impossible entity is a wrong prediction of the
    slice of its relation.
    """
    listed = tuple(relations)
    members = frozenset(listed)
    return Group.of_relations(
        name, (inside, outside), lambda relation: inside if relation in members else outside, {inside: listed}
    )


def top_relations(frequency: Mapping[str, int], k: int) -> Group:
    """The `k` most frequent relations and the rest; equal frequencies are ordered by relation id."""
    ranked = sorted(frequency, key=lambda relation: (-frequency[relation], relation))
    return by_relations(f"top_{k}", f"top_{k}", f"all_but_top_{k}", ranked[:k])


def rare_relations(frequency: Mapping[str, int]) -> Group:
    """Relations *strictly* below the 25th percentile of frequency and the rest (Appendix H of the TTM-RE paper).

    The percentile is over the relations with a label, linearly interpolated. A relation without any label has
    frequency 0: predictions of it are in the rare slice unless the percentile is undefined (no labels at all).
    """
    values = [value for value in frequency.values() if value > 0]
    # quantiles needs two values; one relation is its own percentile.
    threshold = statistics.quantiles(values, n=4, method="inclusive")[0] if len(values) > 1 else float(sum(values))
    rare = tuple(sorted(relation for relation, value in frequency.items() if 0 < value < threshold))
    below, rest = "below_25th_percentile", "not_below_25th_percentile"
    return Group.of_relations(
        "rarity",
        (below, rest),
        lambda relation: below if frequency.get(relation, 0) < threshold else rest,
        {below: rare},
    )


def by_sentence() -> Group:
    """`intra`: some mention of the head and some mention of the tail share a sentence; `inter`: all others.

    Where this cannot be told (unknown title, impossible entity, entity without mentions) no two mentions share a
    sentence, so the triple is in `inter`: the two slices always make up the split.
    """

    def slicer(document: Document | None) -> SliceOf:
        entities = () if document is None else document.entities
        of = [frozenset([mention.sentence for mention in mentions]) for mentions in entities]

        def slice_of(triple: Triple) -> str:
            _, head, tail, _ = triple
            known = 0 <= head < len(of) and 0 <= tail < len(of)
            return "intra" if known and not of[head].isdisjoint(of[tail]) else "inter"

        return slice_of

    return Group("sentences", ("intra", "inter"), slicer)


def by_entities(edges: Sequence[int] = ENTITY_EDGES) -> Group:
    """Documents by their number of entities: at most `edges[0]`, then up to and including each further edge, more.

    Entities as `bench.data.documents.entity_count` counts them: those that are in a candidate pair.
    A prediction of an unknown title is in no bin (nobody knows how many entities its document has), so the strict bins
    leave it out; the overall score and the released protocol count it. Raises `ValueError` unless edges increase.
    """
    if not edges or list(edges) != sorted(set(edges)):
        raise ValueError(f"edges of the bins by number of entities must increase: {list(edges)}")
    lower = [edge + 1 for edge in edges[:-1]]
    middle = [f"{low}-{high}" for low, high in zip(lower, edges[1:], strict=True)]
    names = (f"at_most_{edges[0]}", *middle, f"more_than_{edges[-1]}")

    def slicer(document: Document | None) -> SliceOf:
        count = None if document is None else entity_count(document)
        name = None if count is None else names[sum(count > edge for edge in edges)]
        return lambda _: name

    return Group("entities", names, slicer)


def each_relation(relations: Iterable[str]) -> Group:
    """The group with one slice per relation."""
    return Group.of_relations("relation", tuple(relations), lambda relation: relation)


def default_groups(documents: Sequence[Document], judged: Judged) -> tuple[Group, ...]:
    """The groups of the protocol; relation frequencies are those of the labels of the evaluated split.

    The slices per relation are all labelled or predicted ones, most frequent first. Ways to cut that
    would say nothing are left out: by sentences where the documents do not come in sentences (ChemDisGene: all triples
    would be `intra`), by frequency where all labels are of one relation (CDR).
    """
    frequency = relation_frequency(documents)
    judged_triples = (*(document.predicted for document in judged.documents), judged.unknown)
    predicted = {triple[3] for triples in judged_triples for triple in triples}
    frequent = [top_relations(frequency, 10), top_relations(frequency, 5)]
    several = len(frequency) != 1
    return (
        *(frequent if several else []),
        *([by_sentence()] if have_sentences(documents) else []),
        *([rare_relations(frequency)] if several else []),
        by_entities(),
        each_relation([*frequency, *sorted(predicted - frequency.keys())]),
    )


def slice_counts(judged: Judged, documents: Sequence[Document], group: Group) -> dict[str, DocumentCounts]:
    """Strict per-document counts of each slice of a group, in the order of `documents` (those that were judged)."""
    rows = {name: [Counts()] * len(documents) for name in group.slices}
    for index, (document, parts) in enumerate(zip(documents, judged.documents, strict=True)):
        for name, counts in group.counts(document, parts).items():
            if name in rows:
                rows[name][index] = counts
    unknown = Counter(map(group.slicer(None), judged.unknown))
    return {name: DocumentCounts(tuple(of_slice), unknown[name]) for name, of_slice in rows.items()}


def evaluate_slices(
    judged: Judged, documents: Sequence[Document], groups: Sequence[Group] | None = None
) -> SlicedEvaluation:
    """Score every slice of `groups` (None: those of `default_groups`).

    judged: predictions compared with the labels of `documents` (`bench.metrics.official.judge`, or an `Evaluation`'s).
    """
    overall = judged.counts
    slices = [
        Slice(group.name, name, strict, overall, group.relations.get(name, ()))
        for group in (default_groups(documents, judged) if groups is None else groups)
        for name, strict in slice_counts(judged, documents, group).items()
    ]
    return SlicedEvaluation(overall, tuple(slices))
