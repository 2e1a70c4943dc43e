"""The document: sentences of words, entities with their mentions, labelled triples. Every reader makes these."""

from __future__ import annotations

import gc
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import NamedTuple


class Mention(NamedTuple):
    """Words `start` to `end` (exclusive) of sentence `sentence`."""

    sentence: int
    start: int
    end: int
    name: str
    type: str


class Label(NamedTuple):
    """`relation` holds from entity `head` to entity `tail`; `evidence` are the sentences that say so, if known."""

    head: int
    tail: int
    relation: str
    evidence: tuple[int, ...] = ()


Triple = tuple[str, int, int, str]
"""(title, head entity, tail entity, relation): what a submission consists of."""

Fact = tuple[str, str, str]
"""(head mention name, tail mention name, relation): what Ign F1 leaves out when training has seen it."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document. `entities[i]` are the mentions of entity i, in the order of the file.

    candidates: the ordered pairs (head, tail) to be classified; None for all ordered pairs of different entities.
    novel: the labels that the corpus marks as novel findings (BioRED), which nothing scores.
    spaced: whether the script has spaces between words; False where a word is a character of Chinese (HacRED).
    """

    title: str
    sentences: tuple[tuple[str, ...], ...]
    entities: tuple[tuple[Mention, ...], ...]
    labels: tuple[Label, ...] = field(default=())
    candidates: tuple[tuple[int, int], ...] | None = None
    # Not in what chunks of documents are told apart by: a set is written in another order by every process.
    novel: frozenset[Label] = field(default=frozenset(), repr=False)
    spaced: bool = field(default=True, repr=False)

    def entity_type(self, entity: int) -> str:
        """The type of the entity's first mention ('' for an entity without mentions)."""
        mentions = self.entities[entity]
        return mentions[0].type if mentions else ""

    def triples(self) -> set[Triple]:
        """The labelled triples, duplicates counted once."""
        return {(self.title, label.head, label.tail, label.relation) for label in self.labels}


def pairs_within_reach(
    mentions_of: Sequence[int], labels: Iterable[tuple[int, int]]
) -> tuple[tuple[int, int], ...] | None:
    """The candidate pairs of a document of DocRED's kind, row by row; None where all ordered pairs of entities are.

    An entity without mentions is in no pair: no model sees it. So a label of such an entity is on no candidate, as is
    one from an entity to itself: every model misses it, predictions from outside may have it.   mentions_of: how many
    mentions each entity has.   labels: (head, tail) of each.
    """
    if all(mentions_of) and all(head != tail for head, tail in labels):
        return None
    mentioned = [entity for entity, count in enumerate(mentions_of) if count]
    return tuple((head, tail) for head in mentioned for tail in mentioned if head != tail)


def facts_of(documents: Sequence[Document], names: Collection[str] | None = None) -> frozenset[Fact]:
    """Every (head name, tail name, relation) of the labels, over all pairs of mention names, or of those in `names`.

    The facts Ign F1 ignores (Yao et al., ACL 2019): computed from the human training documents.
    """
    return frozenset(
        (head.name, tail.name, label.relation)
        for document in documents
        for label in document.labels
        for head in document.entities[label.head]
        if names is None or head.name in names
        for tail in document.entities[label.tail]
        if names is None or tail.name in names
    )


def names_in(documents: Iterable[Document]) -> frozenset[str]:
    """The names of all mentions of the documents."""
    return frozenset(m.name for document in documents for mentions in document.entities for m in mentions)


def entity_count(document: Document) -> int:
    """The entities of a document that take part in a candidate pair; all of them where no candidates are named.

    So ChemDisGene's averages are the published ones: mentions without a concept, entities of other types (species) and
    those known from a triple alone are in no pair.
    """
    if document.candidates is None:
        return len(document.entities)
    return len({entity for pair in document.candidates for entity in pair})


def have_sentences(documents: Sequence[Document]) -> bool:
    """Whether any document has more than one sentence: else the data set does not split its texts (ChemDisGene)."""
    return any(len(document.sentences) > 1 for document in documents)


UNSPACED = (
    "\u2e80-\u2fdf\u3001-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
"""The characters, for a regular expression, of scripts written without spaces (Han, kana, bopomofo) and their marks."""
_UNSPACED = re.compile(f"[{UNSPACED}]")


def begins_unspaced(word: str) -> bool:
    """Whether a word begins with a character of a script that is written without spaces."""
    return bool(_UNSPACED.match(word))


def gaps(words: Sequence[str]) -> list[str]:
    """What stands before each word in the text: a space, or nothing (the first word, Chinese after Chinese)."""
    # All Latin, as nearly every sentence is: nothing to look at.
    if not _UNSPACED.search("".join(words)):
        return [""] * min(len(words), 1) + [" "] * (len(words) - 1)
    closed = [begins_unspaced(a[-1:]) and begins_unspaced(b) for a, b in pairwise(words)]
    return ["", *("" if together else " " for together in closed)]


def text_of(words: Sequence[str]) -> str:
    """The words as text, with the spaces that it is written with."""
    return "".join(chain.from_iterable(zip(gaps(words), words, strict=True)))


@contextmanager
def no_cycle_search() -> Iterator[None]:
    """Within this block nobody looks for cycles, for what makes much that stays: documents, imported libraries.

    Documents have no cycles, and looking took more time than reading them; of libraries it took a quarter of the time
    that importing them does. What there is at its end is not looked through later either.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()
