"""Labels by degrees: a share of those of a training set, kept by rule for any data set.

All rules rank the labelled triples of all documents and keep the first `round(share N)` of N. So they keep as many as
was asked for, and what a smaller share keeps a larger one keeps, too. The rank of a triple is its turn, which the rule
says, then its draw: 128 bits of seed, title and triple. Neither the order of documents nor that of labels changes it.

at-random      All triples have the same turn.
per-type       The turn is how many triples of the same relation come before it in its document, by their draws: first
               one triple of each type in every document, then a second one. Where as many are kept as there are pairs
               of a document and a type, these are the extremely-unlabeled labels of the same seed.
by-annotator   Somebody reads every document from the front and stops. The turn is i / n, for triple i = 0, 1, ... of
               the document's n in the order in which a reader can know them: by the sentence (of an undivided text, the
               word) in which the second of the two entities is first named, then by the words between these first
               mentions. So the documents keep ceil(t n) each, with one t for all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from bench.data.catalog.ext_labels import drawn
from bench.data.documents import Document, Label
from bench.errors import UsageError, plural
from bench.label_share import LabelShare, Rule, shown_percent

RULES_VERSION = 1
"""Part of the checksum of a share of labels: raise it when a rule would choose differently."""


def thinned(documents: Sequence[Document], share: LabelShare) -> list[Document]:
    """The same documents with a share of their labels, sorted; some may have none.

    A triple that is labelled twice is one: its first label, in their order, stands for it.
    Raises UsageError where the share is less than half a triple.
    """
    ranked: list[tuple[float, bytes, int, Label]] = []
    for index, document in enumerate(documents):
        labels = _by_draw(document, share.seed)
        turns = _TURNS[share.rule](document, [label for _, label in labels])
        ranked += [(turn, draw, index, label) for turn, (draw, label) in zip(turns, labels, strict=True)]
    count = share.count(len(ranked))
    if not count:
        triples = plural(len(ranked), "labelled triple")
        raise UsageError(f"{shown_percent(share.percent)} of {triples} is none; expected a share that leaves some")
    kept: dict[int, list[Label]] = defaultdict(list)
    for _, _, index, label in sorted(ranked)[:count]:
        kept[index].append(label)
    return [replace(document, labels=tuple(sorted(kept[index]))) for index, document in enumerate(documents)]


def _by_draw(document: Document, seed: int) -> list[tuple[bytes, Label]]:
    """The triples of a document, each once, by their draws."""
    distinct: dict[tuple[int, int, str], Label] = {}
    for label in sorted(document.labels):
        distinct.setdefault(label[:3], label)
    return sorted((drawn(document, label, seed), label) for label in distinct.values())


def _at_random(document: Document, labels: Sequence[Label]) -> list[float]:
    return [0.0] * len(labels)


def _per_type(document: Document, labels: Sequence[Label]) -> list[float]:
    seen: Counter[str] = Counter()
    turns = []
    for label in labels:
        turns.append(float(seen[label.relation]))
        seen[label.relation] += 1
    return turns


def _by_annotator(document: Document, labels: Sequence[Label]) -> list[float]:
    known = [_known_at(document, label) for label in labels]
    turns = [0.0] * len(labels)
    # Of triples that are known at once the draw decides, which is the order they come in.
    for place, i in enumerate(sorted(range(len(labels)), key=known.__getitem__)):
        turns[i] = place / len(labels)
    return turns


def _known_at(document: Document, label: Label) -> tuple[int, int]:
    """Where the second of the entities of a triple is first named, and the words between the first mentions of both.

    An entity that is named nowhere comes after all others.
    """
    starts = list(accumulate(map(len, document.sentences), initial=0))
    firsts = []
    for entity in (label.head, label.tail):
        mentions = document.entities[entity]
        if not mentions:
            last = len(document.sentences) + starts[-1]
            return last, last
        firsts.append(min((m.sentence, starts[m.sentence] + m.start, starts[m.sentence] + m.end) for m in mentions))
    (_, _, end), (sentence, start, _) = sorted(firsts)
    return (sentence if len(document.sentences) > 1 else start), max(0, start - end)


_TURNS: Mapping[Rule, Callable[[Document, Sequence[Label]], list[float]]] = {
    "per-type": _per_type,
    "at-random": _at_random,
    "by-annotator": _by_annotator,
}
"""By rule, the turns of the triples of a document, which come in the order of their draws."""
