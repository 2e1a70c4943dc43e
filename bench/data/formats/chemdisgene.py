"""ChemDisGene (Zhang et al., LREC 2022) in its JSON form: abstracts with mentions by offset, triples by concept id.

    [{"docid": str, "title": str, "abstract": str,
      "entity": [{"start": int, "end": int, "mention": str, "type": str, "id": str}, ...],
      "relation": [{"type": str, "subj": str, "obj": str}, ...]}, ...]

Offsets count the title, one space, and the abstract (which may be empty). The text is lower-cased and made ASCII. An
entity is all mentions of one type and id. The documents come without sentences: the whole text is one, and what asks
for sentences (intra and inter, evidence) has no answer here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from bench.data.documents import Document, Label, Mention
from bench.data.formats.json_stream import JsonChecker, scan_list
from bench.data.formats.offsets import latin_letters, words_of
from bench.data.formats.scan import Note, Scan, encodable, short, shown

RELATIONS = (
    "chem_disease:marker/mechanism",
    "chem_disease:therapeutic",
    "chem_gene:increases^expression",
    "chem_gene:decreases^expression",
    "gene_disease:marker/mechanism",
    "chem_gene:increases^activity",
    "chem_gene:decreases^activity",
    "chem_gene:increases^metabolic_processing",
    "chem_gene:affects^binding",
    "chem_gene:increases^transport",
    "chem_gene:decreases^metabolic_processing",
    "chem_gene:affects^localization",
    "chem_gene:affects^expression",
    "gene_disease:therapeutic",
)
"""The 14 relations of the benchmark, those with training data, in the order of the published models' classes."""

RARE_RELATIONS = (
    "chem_gene:affects^activity",
    "chem_gene:affects^metabolic_processing",
    "chem_gene:decreases^transport",
    "chem_gene:affects^transport",
)
"""The other 4 of the 18 that curators used (78 triples of the test file): no training data, left out."""

ARGUMENTS = {
    "chem_disease": ("Chemical", "Disease"),
    "chem_gene": ("Chemical", "Gene"),
    "gene_disease": ("Gene", "Disease"),
}
"""Types of head and tail, by how a relation's name begins; also the types of the candidate pairs."""

UNLINKED = frozenset({"-", ""})
"""Ids of mentions whose concept was not found."""

NO_PAIRS = Note("document without candidate pairs", "documents without candidate pairs")
NO_CANDIDATE = Note(
    "triple whose head or tail has no mention: no candidate, so missed by every model here",
    "triples whose head or tail has no mention: no candidates, so missed by every model here",
)
SEVERAL_IDS = Note(
    "mention of several concepts at once (ids joined by |, ; or ,), an entity of its own",
    "mentions of several concepts at once (ids joined by |, ; or ,), an entity of their own",
)
UNLINKED_MENTIONS = Note(
    "mention whose concept is not known (id '-'), in no candidate pair",
    "mentions whose concept is not known (id '-'), in no candidate pair",
)
INVISIBLE = Note("mention of which nothing is left as ASCII", "mentions of which nothing is left as ASCII")
NO_TRIPLES = Note("document without triples", "documents without triples")
TURNED = Note("triple given from object to subject, turned round", "triples given from object to subject, turned round")
RELATION_LEFT_OUT = Note(
    "triple of a relation outside of the benchmark, left out", "triples of relations outside of the benchmark, left out"
)
REPEATED = Note("triple given again in its document, left out", "triples given again in their document, left out")

Place = Callable[[str, int, str], str]
"""(part of the document, number in it, field) -> how a message calls it: `entity[4].start`."""

Key = tuple[str, str]
"""What identifies an entity: (type, id). Not the id alone: 10090 is a species (the mouse) and a human gene."""


_JOINED = re.compile(r"[|;,]")
_CONCEPT = re.compile(r"([A-Za-z_]+:)?[A-Za-z_]{0,6}[0-9]+(\(.*\))?")


def several_concepts(id_: str) -> bool:
    """Whether an id names several concepts: `5|6` (curated files), `5;6` (those derived from CTD), `5,6` (BioRED).

    A variant is one concept though its id has such marks: `c|SUB|G|1234|A`, `p.E472K;RS#:779698260`, `p.K1E,N`.
    """
    return bool(_JOINED.search(id_)) and all(map(_CONCEPT.fullmatch, _JOINED.split(id_)))


class _RawMention(NamedTuple):
    """A mention as the file has it."""

    start: int
    end: int
    name: str
    type: str
    entity: Key


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a JSON file. Never raises for what it is or contains: every problem is in the result.

    `relations`: those kept (None: the 14); others of the 18 are left out, and any further one is a problem.
    Raises UsageError where the package Unidecode is not installed.
    """
    return scan_list(path, AbstractChecker(relations, repeated_titles))


def _place_in_json(part: str, at: int, field: str) -> str:
    return f"{part}[{at}].{field}" if field else f"{part}[{at}]"


class AbstractChecker(JsonChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file."""

    labels_field = "relation"
    required = ("docid", "title", "abstract", "entity")

    def __init__(self, relations: Collection[str] | None, repeated_titles: bool = False) -> None:
        super().__init__(frozenset(RELATIONS if relations is None else relations), repeated_titles)
        self.known = self.relations_known()
        self.normalise = latin_letters()
        self.place: Place = _place_in_json

    def relations_known(self) -> frozenset[str]:
        """The relations a file may name: those kept, and those of the 18 that are left out."""
        assert self.relations is not None
        return self.relations | {*RELATIONS, *RARE_RELATIONS}

    def check(self, index: int, item: Any, place: Place = _place_in_json) -> Document | None:
        """The document of a decoded element, or None after noting its problems. `place` names its parts."""
        before = len(self.problems)
        self.begin(index)
        self.place = place
        if not isinstance(item, dict):
            self.problem(shown("", item), "expected an object with docid, title, abstract, entity")
            return None
        self.note_keys(item)
        docid = self.title(self.get(item, "docid", str, "docid", "a string"), "docid")
        title = self.get(item, "title", str, "title", "a string")
        abstract = self.get(item, "abstract", str, "abstract", "a string ('' where there is a title alone)")
        text = None if title is None or abstract is None else f"{title} {abstract}"
        mentions = self._mentions(item, text)
        triples = self._triples(item)
        if text is not None and not text.strip():
            self.problem("title", "empty document, expected a title or an abstract")
        if len(self.problems) > before:
            return None
        assert docid is not None
        assert text is not None
        self.passed.append(index)
        return self._document(docid, text, mentions, triples)

    def _mentions(self, item: dict[str, Any], text: str | None) -> list[_RawMention]:
        value = self.get(item, "entity", list, "entity", "a list of mentions")
        mentions = [self._mention(at, mention, text) for at, mention in enumerate(value or [])]
        return [mention for mention in mentions if mention is not None]

    def _mention(self, at: int, item: Any, text: str | None) -> _RawMention | None:
        if not isinstance(item, dict):
            field = shown(self.place("entity", at, ""), item)
            self.problem(field, "expected a mention (an object with start, end, mention, type, id)")
            return None
        fields: list[Any] = [item.get(key) for key in ("start", "end", "mention", "type", "id")]
        start, end, name, type_, id_ = fields
        strings = type(name) is str and type(type_) is str and type(id_) is str and encodable(type_ + id_)
        offsets = type(start) is int and type(end) is int
        in_text = text is not None and offsets and 0 <= start < end <= len(text) and text[start:end] == name
        if not (strings and in_text):
            self._refuse_mention(at, item, text)
            return None
        # Unlinked mentions make one entity, as in the published program: their markers are in the text, and no
        # candidate pair has it. An empty id, as some files have, says the same as '-'.
        key = _UNLINKED if id_ in UNLINKED else (intern(type_), intern(id_))
        return _RawMention(start, end, name, intern(type_), key)

    def _refuse_mention(self, at: int, item: dict[str, Any], text: str | None) -> None:
        """Name what is wrong with a mention; without a text, what is wrong apart from its place in it."""
        place = {key: self.place("entity", at, key) for key in ("start", "end", "mention", "type", "id")}
        start = self.get(item, "start", int, place["start"], "an offset (an integer)")
        end = self.get(item, "end", int, place["end"], "an offset (an integer)")
        name = self.get(item, "mention", str, place["mention"], "a string")
        self.get(item, "type", str, place["type"], "a string")
        self.get(item, "id", str, place["id"], "a string")
        if start is None or end is None or text is None:
            return
        length = f"{len(text):,} characters of title, one space, abstract"
        if start < 0 or end > len(text):
            outside = "start" if start < 0 else "end"
            self.problem(shown(place[outside], item[outside]), f"outside the text ({length})")
        elif start >= end:
            self.problem(f"{shown(place['start'], start)}, end = {short(end)}", "expected start < end")
        elif name is not None and text[start:end] != name:
            stands = f"the text from {start} to {end} is {short(text[start:end])}"
            self.problem(shown(place["mention"], name), f"{stands} (offsets count title, one space, abstract)")

    def _triples(self, item: dict[str, Any]) -> list[tuple[str, str, str]]:
        """(relation, subject id, object id) of the relations kept, in the order of the file."""
        self.mark_labelled("relation" in item)
        if "relation" not in item:
            return []
        value = self.get(item, "relation", list, "relation", "a list of relations")
        triples = [self._triple(at, relation) for at, relation in enumerate(value or [])]
        return [triple for triple in triples if triple is not None]

    def _triple(self, at: int, item: Any) -> tuple[str, str, str] | None:
        if not isinstance(item, dict):
            self.problem(
                shown(self.place("relation", at, ""), item), "expected a relation (an object with type, subj, obj)"
            )
            return None
        before = len(self.problems)
        type_ = self.get(item, "type", str, self.place("relation", at, "type"), "a relation (a string)")
        subject = self.get(item, "subj", str, self.place("relation", at, "subj"), "an id (a string)")
        object_ = self.get(item, "obj", str, self.place("relation", at, "obj"), "an id (a string)")
        for key, value in (("subj", subject), ("obj", object_)):
            if value in UNLINKED:
                self.problem(shown(self.place("relation", at, key), value), "expected the id of a concept")
        if type_ is not None and (wrong := self._wrong_relation(type_)):
            self.problem(shown(self.place("relation", at, "type"), type_), wrong)
        if len(self.problems) > before:
            return None
        assert self.relations is not None
        if type_ not in self.relations:
            self.changes[RELATION_LEFT_OUT] += 1
            return None
        return intern(type_), subject, object_

    def _wrong_relation(self, relation: str) -> str:
        if relation not in self.known:
            return f"not a relation of this data set ({len(self.known)} known)"
        if relation.partition(":")[0] not in ARGUMENTS:
            return f"expected a name that begins with {', '.join(f'{prefix}:' for prefix in ARGUMENTS)}"
        return ""

    def _document(
        self,
        docid: str,
        text: str,
        mentions: Sequence[_RawMention],
        triples: Sequence[tuple[str, str, str]],
    ) -> Document:
        words, spans = words_of(text, [(mention.start, mention.end) for mention in mentions], self.normalise)
        entities: dict[Key, list[Mention]] = {}
        for mention, (start, end) in zip(mentions, spans, strict=True):
            entities.setdefault(mention.entity, []).append(Mention(0, start, end, mention.name, mention.type))
            # Curators give the triples of a|b by a and by b, which then have no mention of their own. The published
            # programs keep a|b as an entity, and so do we, since other pairs would be another benchmark; the triples
            # of a and of b count as missed, which they leave out.
            self.notes[SEVERAL_IDS] += several_concepts(mention.entity[1])
            self.notes[UNLINKED_MENTIONS] += mention.entity == _UNLINKED
            self.notes[INVISIBLE] += words[start] == ""
        order = {key: index for index, key in enumerate(entities)}
        # Two types under one id are two entities but one thing: no pair. None is paired without a mention: the
        # triples' own entities come after these.
        pairs = tuple(
            (head, tail)
            for (head_type, head_id), head in order.items()
            for (tail_type, tail_id), tail in order.items()
            if (head_type, tail_type) in _PAIR_TYPES and head_id != tail_id
        )
        labels = self._labels(triples, order)
        candidates = frozenset(pairs)
        self.notes[NO_CANDIDATE] += sum(label[:2] not in candidates for label in labels)
        self.notes[NO_PAIRS] += not pairs
        self.notes[NO_TRIPLES] += self.labelled and not labels
        mentions_of = (*map(tuple, entities.values()), *[()] * (len(order) - len(entities)))
        return Document(docid, (tuple(map(intern, words)),), mentions_of, labels, pairs)

    def _labels(self, triples: Sequence[tuple[str, str, str]], order: dict[Key, int]) -> tuple[Label, ...]:
        """The labels of the triples. An entity that has a triple but no mention is added to `order`, at its end."""
        mentioned = frozenset(order)
        labels: dict[Label, None] = {}
        for relation, subject, object_ in triples:
            head_type, tail_type = ARGUMENTS[relation.partition(":")[0]]
            as_given = (head_type, subject), (tail_type, object_)
            turned = (head_type, object_), (tail_type, subject)
            # The files derived from CTD name the gene or disease first, the curated ones the chemical. What is
            # mentioned under which type tells; where neither way has both, the one that has more, first as given.
            if len(mentioned.intersection(turned)) > len(mentioned.intersection(as_given)):
                self.changes[TURNED] += 1
                as_given = turned
            head, tail = (order.setdefault(key, len(order)) for key in as_given)
            label = Label(head, tail, relation)
            self.changes[REPEATED] += label in labels
            labels[label] = None
        return tuple(labels)


_PAIR_TYPES = frozenset(ARGUMENTS.values())
_UNLINKED: Key = ("", "-")
