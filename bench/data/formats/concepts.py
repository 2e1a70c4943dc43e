"""Abstracts whose mentions name concepts, with relations between concepts: what BC5CDR's and BioRED's files hold.

The readers of PubTator's lines (`pubtator_relations`) and of BioC (`bioc`) make the same `Abstract` of the same
document; what becomes of it is the same for both: an entity is all mentions of one type and concept, a mention of
several concepts is one of each, one whose concept is not known is text like any other. The documents come without
sentences: the whole text is one. Entities stand in the order of their first mentions, whatever the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from sys import intern
from typing import NamedTuple

from bench.data.documents import Document, Label, Mention
from bench.data.formats.chemdisgene import (
    NO_CANDIDATE,
    NO_PAIRS,
    NO_TRIPLES,
    RELATION_LEFT_OUT,
    REPEATED,
    TURNED,
    UNLINKED,
)
from bench.data.formats.hypernyms import MeshTree
from bench.data.formats.offsets import words_of
from bench.data.formats.scan import Checker, Note, Problem, listed, short, shown

NO_CONCEPT = UNLINKED | {"-1"}
"""Ids of mentions whose concept is not known."""

UNKNOWN_CONCEPT = Note(
    "mention whose concept is not known (id -1 or '-'), no entity",
    "mentions whose concept is not known (id -1 or '-'), no entities",
)
OF_SEVERAL = Note("mention of several concepts, one of each", "mentions of several concepts, one of each")
AGAIN = Note("mention given again in its document, left out", "mentions given again in their document, left out")
IN_PIECES = Note(
    "mention in several pieces, taken from the first to the last",
    "mentions in several pieces, taken from the first to the last",
)
PART_OF_COMPOSITE = Note(
    "part of a composite mention, left out: the whole is a mention of each concept",
    "parts of composite mentions, left out: the whole is a mention of each concept",
)
NO_ABSTRACT = Note("abstract that only says there is none, left out", "abstracts that only say there is none, left out")
IN_NO_ABSTRACT = Note("mention in such an abstract, left out", "mentions in such abstracts, left out")
WITH_ITSELF = Note(
    "relation of a concept with itself: no candidate, so missed by every model here",
    "relations of a concept with itself: no candidates, so missed by every model here",
)
OTHER_PAIR = Note(
    "relation of two types that are not paired: no candidate, so missed by every model here",
    "relations of two types that are not paired: no candidates, so missed by every model here",
)
HYPERNYM = Note(
    "pair left out of the candidates: its disease stands above one that the chemical induces (MeSH)",
    "pairs left out of the candidates: their disease stands above one that the chemical induces (MeSH)",
)
NOVEL = Note("relation marked as novel (not scored)", "relations marked as novel (not scored)")
NOT_NOVEL = Note("relation marked as known before (not scored)", "relations marked as known before (not scored)")

_GAP = 1_000
"""Characters that a passage may begin past the end of the one before: one, in every published file."""
_SAYS_NONE = re.compile(r"\W*(no abstract( available)?|no text)\W*", re.IGNORECASE)


class RawMention(NamedTuple):
    """A mention as a file has it. pieces: its spans of characters.   ids: its concepts, as they are joined there.

    is_part: whether it is one of the mentions that a composite one, given beside it, stands for.
    """

    place: str
    pieces: tuple[tuple[int, int], ...]
    text: str
    type: str
    ids: str
    is_part: bool = False

    @property
    def start(self) -> int:
        """Its first character."""
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        """Past its last character."""
        return self.pieces[-1][1]


class RawRelation(NamedTuple):
    """A relation as a file has it. novelty: what the file says of that, None where it says nothing."""

    place: str
    relation: str
    first: str
    second: str
    novelty: str | None = None


@dataclass
class Abstract:
    """One document of a file. passages: (offset, text) of the title, then of the abstract."""

    docid: str
    passages: list[tuple[int, str]]
    mentions: list[RawMention] = field(default_factory=list)
    relations: list[RawRelation] = field(default_factory=list)


@dataclass(frozen=True)
class Corpus:
    """A corpus of such abstracts.

    relations: in the order of a model's columns.   types: those a mention may have.
    pairs: types of the candidate pairs, head then tail; of a corpus without direction in both orders.
    directed: whether a relation holds from its first concept to its second.
    ends: types of the two concepts of a relation, where they have no mention ("" where nothing tells).
    concepts: (type or "", ids as they are joined) -> the concepts of a mention, unknown ones among them.
    novelty: what marks a relation as novel, and as known before; empty where the corpus does not say.
    """

    name: str
    relations: tuple[str, ...]
    types: tuple[str, ...]
    pairs: frozenset[tuple[str, str]]
    directed: bool
    ends: tuple[str, str]
    concepts: Callable[[str, str], list[str]]
    novelty: tuple[str, ...] = ()


class Key(NamedTuple):
    """What identifies an entity. Not the id alone: 10090 is a species (the mouse) and a human gene."""

    type: str
    id: str


class ConceptChecker(Checker):
    """Turns abstracts of a corpus into Documents and collects problems and notes over one file.

    A file none of whose mentions has a type of the corpus is of another one: that is the only problem.
    hypernyms: of diseases, to leave out pairs of general ones (`HYPERNYM`); None to keep all pairs.
    """

    labels_field = "relations"

    def __init__(
        self,
        corpus: Corpus,
        relations: Collection[str] | None,
        repeated_titles: bool = False,
        hypernyms: MeshTree | None = None,
    ) -> None:
        super().__init__(frozenset(corpus.relations if relations is None else relations), repeated_titles)
        self.corpus = corpus
        self.hypernyms = hypernyms
        self._types: dict[str, None] = {}
        self._without = 0

    def finish(self, documents: Sequence[Document]) -> tuple[tuple[Document, ...], list[Problem]]:
        """As of any file; where the corpus is another one, nothing but that."""
        if self._types and not self._types.keys() & set(self.corpus.types):
            self.notes.clear()
            self.changes.clear()
            found = f"mentions of the types {listed(self._types)}"
            expected = f"expected those of {self.corpus.name}: {listed(self.corpus.types)}"
            return (), [Problem(None, "", found, expected)]
        if self.labelled:
            self.notes[NO_TRIPLES] += self._without
        return super().finish(documents)

    def check(self, index: int, part: Abstract) -> Document | None:
        """The document of an abstract, or None after noting its problems."""
        before = len(self.problems)
        self.begin(index)
        docid = self.title(part.docid, "id")
        text, none_from = self._text(part)
        mentions = self._mentions(part, text, none_from)
        relations = [relation for relation in part.relations if self._is_sound(relation)]
        if not text.strip():
            self.problem("title", "empty document, expected a title or an abstract")
        if len(self.problems) > before:
            return None
        assert docid is not None
        self.passed.append(index)
        return self._document(docid, text, mentions, relations)

    def _text(self, part: Abstract) -> tuple[str, int | None]:
        """The text, each passage at its offset, and from where on there is none, if the abstract says so."""
        passages, none_from = part.passages, None
        if len(passages) > 1 and _SAYS_NONE.fullmatch(passages[-1][1]):
            *passages, (none_from, _) = passages
            self.changes[NO_ABSTRACT] += 1
        text = ""
        for at, (offset, passage) in enumerate(passages):
            if not len(text) <= offset <= len(text) + _GAP:
                expected = f"expected {len(text) + bool(at)}, one space past the passage before"
                self.problem(f"passages[{at}].offset = {offset}", expected)
                continue
            text += " " * (offset - len(text)) + passage
        return text, none_from

    def _mentions(self, part: Abstract, text: str, none_from: int | None) -> list[RawMention]:
        """The mentions that are read."""
        mentions = []
        for mention in part.mentions:
            self._types.setdefault(mention.type)
            if mention.is_part:
                self.changes[PART_OF_COMPOSITE] += 1
            elif none_from is not None and mention.start >= none_from:
                self.changes[IN_NO_ABSTRACT] += 1
            elif self._fits(mention, text):
                self.changes[IN_PIECES] += len(mention.pieces) > 1
                mentions.append(mention)
        return mentions

    def _fits(self, mention: RawMention, text: str) -> bool:
        """Whether a mention is where it says; what is wrong with it is noted."""
        before = len(self.problems)
        length = f"{len(text):,} characters of title, one space, abstract"
        ends = [edge for piece in mention.pieces for edge in piece]
        if not mention.text:
            self.problem(f"{mention.place}, mention = ''", "expected at least one character")
        elif mention.type not in self.corpus.types:
            expected = f"expected one of {listed(self.corpus.types)}"
            self.problem(shown(f"{mention.place}, type", mention.type), expected)
        elif not all(start < end for start, end in mention.pieces) or ends != sorted(ends):
            self.problem(f"{mention.place}, start and end = {short(ends)}", "expected start < end")
        elif mention.end > len(text):
            self.problem(f"{mention.place}, end = {mention.end}", f"outside the text ({length})")
        elif " ".join(found := [text[start:end] for start, end in mention.pieces]) != mention.text:
            stands = f"the text from {mention.start} to {mention.end} is {short(' ... '.join(found))}"
            expected = f"{stands} (offsets count title, one space, abstract)"
            self.problem(shown(f"{mention.place}, mention", mention.text), expected)
        return len(self.problems) == before

    def _is_sound(self, relation: RawRelation) -> bool:
        """Whether a relation is one that is kept; what is wrong with it is noted."""
        self.labelled = True
        before = len(self.problems)
        known = self.corpus.relations
        if relation.relation not in known:
            expected = f"not a relation of {self.corpus.name} ({listed(known)})"
            self.problem(shown(f"{relation.place}, relation", relation.relation), expected)
        for ids in (relation.first, relation.second):
            if not NO_CONCEPT.isdisjoint(self.corpus.concepts("", ids)):
                self.problem(shown(f"{relation.place}, id", ids), "expected the id of a concept")
        if relation.novelty is not None and relation.novelty not in self.corpus.novelty:
            expected = f"expected {' or '.join(self.corpus.novelty) or 'no such column'}"
            self.problem(shown(f"{relation.place}, novelty", relation.novelty), expected)
        if len(self.problems) > before:
            return False
        assert self.relations is not None
        kept = relation.relation in self.relations
        self.changes[RELATION_LEFT_OUT] += not kept
        return kept

    def _document(
        self, docid: str, text: str, mentions: Sequence[RawMention], relations: Sequence[RawRelation]
    ) -> Document:
        words, spans = words_of(text, [(mention.start, mention.end) for mention in mentions], str)
        entities: dict[Key, set[tuple[int, int, Mention]]] = {}
        for mention, (start, end) in zip(mentions, spans, strict=True):
            concepts = [id_ for id_ in self.corpus.concepts(mention.type, mention.ids) if id_ not in NO_CONCEPT]
            self.changes[UNKNOWN_CONCEPT] += not concepts
            self.notes[OF_SEVERAL] += len(concepts) > 1
            one = mention.start, mention.end, Mention(0, start, end, mention.text, intern(mention.type))
            for id_ in dict.fromkeys(concepts):
                of_concept = entities.setdefault(Key(intern(mention.type), intern(id_)), set())
                self.changes[AGAIN] += one in of_concept
                of_concept.add(one)
        # By the text, not by the file: candidate pairs of a corpus without direction are the first before the second.
        order = sorted(entities, key=lambda key: (min(entities[key])[:2], key))
        place = {key: index for index, key in enumerate(order)}
        pairs = [
            (place[head], place[tail])
            for head in order
            for tail in order
            if (head.type, tail.type) in self.corpus.pairs
            and head.id != tail.id
            and (self.corpus.directed or place[head] < place[tail])
        ]
        labels, novel = self._labels(relations, place, frozenset(pairs))
        pairs = self._without_hypernyms(pairs, labels, order)
        self.notes[NO_PAIRS] += not pairs
        self._without += not labels
        mentions_of = [tuple(mention for _, _, mention in sorted(entities[key])) for key in order]
        mentions_of += [()] * (len(place) - len(order))
        return Document(docid, (tuple(map(intern, words)),), tuple(mentions_of), labels, tuple(pairs), novel)

    def _labels(
        self, relations: Sequence[RawRelation], place: dict[Key, int], pairs: Collection[tuple[int, int]]
    ) -> tuple[tuple[Label, ...], frozenset[Label]]:
        """The labels of the relations, and which of them are novel findings.

        A concept that has a relation but no mention is added to `place`, at its end.
        """
        mentioned: dict[str, list[Key]] = {}
        for key in place:
            mentioned.setdefault(key.id, []).append(key)
        labels: dict[Label, None] = {}
        novel = set()
        for relation in relations:
            for first, second in product(*(self._named(id_, mentioned) for id_ in (relation.first, relation.second))):
                ends = self._ends(first, second, mentioned, place, pairs)
                label = Label(*ends, intern(relation.relation))
                self._note(label, relation, (first, second), mentioned, pairs)
                self.changes[REPEATED] += label in labels
                labels[label] = None
                if relation.novelty is not None and relation.novelty == self.corpus.novelty[0]:
                    novel.add(label)
        return tuple(labels), frozenset(novel)

    def _named(self, id_: str, mentioned: Collection[str]) -> list[str]:
        """The concepts that one side of a relation names: several where they are joined as in mentions."""
        return [id_] if id_ in mentioned else self.corpus.concepts("", id_)

    def _ends(
        self,
        first: str,
        second: str,
        mentioned: Mapping[str, Sequence[Key]],
        place: dict[Key, int],
        pairs: Collection[tuple[int, int]],
    ) -> tuple[int, int]:
        """Head and tail of a relation between two concepts: of their types those that make a candidate, if any do."""
        firsts, seconds = ([place[key] for key in mentioned.get(id_, ())] for id_ in (first, second))
        for one, other in product(firsts, seconds):
            if (one, other) in pairs:
                return one, other
            if (other, one) in pairs:
                self.changes[TURNED] += self.corpus.directed
                return other, one
        head_type, tail_type = self.corpus.ends
        head = firsts[0] if firsts else place.setdefault(Key(head_type, first), len(place))
        tail = seconds[0] if seconds else place.setdefault(Key(tail_type, second), len(place))
        return (head, tail) if self.corpus.directed else (min(head, tail), max(head, tail))

    def _note(
        self,
        label: Label,
        relation: RawRelation,
        ids: tuple[str, str],
        mentioned: Collection[str],
        pairs: Collection[tuple[int, int]],
    ) -> None:
        if label[:2] not in pairs:
            no_mention = not all(id_ in mentioned for id_ in ids)
            self.notes[WITH_ITSELF if ids[0] == ids[1] else NO_CANDIDATE if no_mention else OTHER_PAIR] += 1
        if relation.novelty is not None:
            self.notes[NOVEL if relation.novelty == self.corpus.novelty[0] else NOT_NOVEL] += 1

    def _without_hypernyms(
        self, pairs: list[tuple[int, int]], labels: Collection[Label], order: Sequence[Key]
    ) -> list[tuple[int, int]]:
        """The candidate pairs without those whose disease stands above one that the same chemical induces."""
        if self.hypernyms is None:
            return pairs
        induced: dict[int, list[str]] = {}
        for label in labels:
            if label[:2] in pairs:
                induced.setdefault(label.head, []).append(order[label.tail].id)
        labelled = {label[:2] for label in labels}
        kept = [
            (head, tail)
            for head, tail in pairs
            if (head, tail) in labelled
            or not any(self.hypernyms.is_above(order[tail].id, id_) for id_ in induced.get(head, ()))
        ]
        self.changes[HYPERNYM] += len(pairs) - len(kept)
        return kept
