"""DWIE (Zaporojets et al., IPM 2021) as its authors' program writes it: an article in each file of a folder.

    {"id": str, "content": str, "tags": ["all", "train" or "test"],
     "mentions": [{"begin": int, "end": int, "text": str, "concept": int, ...}, ...],
     "concepts": [{"concept": int, "tags": ["type::entity", "type::person", ...], ...}, ...],
     "relations": [{"s": concept, "p": relation, "o": concept}, ...], ...}

An entity is a concept, in the order of `concepts`. Mentions are at characters of `content`, whose words are those of
`bench.data.formats.offsets.segmented` (`tokenization` is not read); the text comes without sentences, as one.
`tags` say which articles are for training (dev documents are to be taken from them) and which are the test set.

The type of an entity is the first of TYPES among its `type::` tags; where there is none of them, the first, by the
alphabet, that is more than entity, value or other; else that; '' where a concept has no `type::` tag.

Relations of a concept that the text never mentions (2,256 of 21,749), or of one with itself (7), are kept as labels
that no candidate pair can reach. DWIE's files in DocRED's form are read by `bench.data.formats.docred`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from sys import intern
from typing import Any

from bench.data.documents import Document, Label, Mention, pairs_within_reach
from bench.data.formats.document_checks import EMPTY_LABELS, oddities_of
from bench.data.formats.folder import scan_files
from bench.data.formats.json_stream import JsonChecker
from bench.data.formats.offsets import segmented, words_of
from bench.data.formats.scan import Note, Problem, Scan, encodable, short, shown

RELATIONS = (
    *("advisor_of", "agency_of", "agency_of-x", "agent_of", "agent_of-x", "appears_in", "artifact_of", "artifact_of-x"),
    *("award_received", "based_in0", "based_in0-x", "based_in1", "based_in1-x", "based_in2", "based_in2-x", "brand_of"),
    *("character_in", "child_of", "citizen_of", "citizen_of-x", "coach_of", "created_by", "directed_by", "event_in"),
    *("event_in0", "event_in0-x", "event_in1", "event_in2", "founder_of", "gpe0", "gpe1", "gpe2", "head_of"),
    *("head_of_gov", "head_of_gov-x", "head_of_state", "head_of_state-x", "in0", "in0-x", "in1", "in2"),
    *("institution_of", "is_meeting", "law_of", "mayor_of", "member_of", "minister_of", "minister_of-x", "ministry_of"),
    *("parent_of", "part_of", "played_by", "player_of", "plays_in", "present_in0", "product_of", "publisher"),
    *("royalty_of", "sanctions", "sibling", "signed_by", "spokesperson_of", "spouse_of", "vs", "won_vs"),
)
"""The 65 relations of the corpus, by the alphabet; `event_in1` has its only triple in the test set."""

TYPES = ("person", "organization", "location", "event", "misc", "time", "role", "money")
"""Kinds right below `type::entity` and `type::value`, one of which 18,851 of 21,902 mentioned concepts have."""
_ABOVE = frozenset({"entity", "value", "other"})
_TYPE = "type::"


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a folder of articles, or a file with one or with several.

    Never raises for what it is or contains: every problem is in the result. `relations`: those a label may have (None:
    the 65).
    """
    return scan_files(path, DwieChecker(frozenset(RELATIONS if relations is None else relations), repeated_titles))


def type_of(tags: Iterable[str]) -> str:
    """The type of an entity with these tags."""
    types = sorted(tag.removeprefix(_TYPE) for tag in tags if tag.startswith(_TYPE))
    known = [type_ for type_ in TYPES if type_ in types]
    return [*known, *(type_ for type_ in types if type_ not in _ABOVE), *types, ""][0]


class DwieChecker(JsonChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file or folder."""

    apart = True
    labels_field = "relations"
    required = ("id", "content", "mentions", "concepts")

    def check(self, index: int, item: Any) -> Document | None:
        """The document of an article, or None after noting its problems."""
        before = len(self.problems)
        self.begin(index)
        if not isinstance(item, dict):
            self.problem(shown("", item), f"expected an object with {', '.join(self.required)}")
            return None
        self.note_keys(item)
        title = self.title(self.get(item, "id", str, "id", "a string"), "id")
        content = self.get(item, "content", str, "content", "the text (a string)")
        part = self._part(item)
        types = self._types(item)
        mentions = self._mentions(item, content, types)
        labels = self._labels(item, types)
        if content is not None and not content.strip():
            self.problem(shown("content", content), "empty document, expected a text")
        if len(self.problems) > before:
            return None
        assert title is not None
        if part:
            self.parts[title] = part
        self.passed.append(index)
        return _document(title, content, types, mentions, labels)

    def oddities(self, document: Document) -> Iterable[Note]:
        """What is odd about a sound document, once for each time."""
        return [*oddities_of(document, spaced=False), *[EMPTY_LABELS] * (self.labelled and not document.labels)]

    def _another_form(self) -> Problem | None:
        problem = super()._another_form()
        if problem is None or "content" in self._keys or "mentions" not in self._keys:
            return problem
        why = "these are DWIE's annotations without the texts, which its src/dwie_download.py fetches"
        return problem._replace(expected=f"{problem.expected}; {why}")

    def _part(self, item: dict[str, Any]) -> str:
        tags = self._strings(item.get("tags", []), "tags")
        marked = [part for part in ("train", "test") if part in tags]
        if len(marked) > 1:
            self.problem(shown("tags", tags), "expected train or test, found both")
        return "".join(marked[:1])

    def _strings(self, value: Any, field: str) -> Sequence[str]:
        if isinstance(value, list) and all(isinstance(tag, str) and encodable(tag) for tag in value):
            return value
        self.problem(shown(field, value), "expected a list of strings")
        return ()

    def _types(self, item: dict[str, Any]) -> dict[int, str]:
        """The type of each concept, by its number, in the order of the file."""
        types: dict[int, str] = {}
        for at, concept in self._objects(item, "concepts", "a concept (an object with concept, tags)"):
            field = f"concepts[{at}]"
            number = self.get(concept, "concept", int, f"{field}.concept", "a number (an integer)")
            if number in types:
                self.problem(shown(f"{field}.concept", number), "the number of a concept before")
            tags = self._strings(concept.get("tags", []), f"{field}.tags")
            if number is not None:
                types[number] = intern(type_of(tags))
        return types

    def _mentions(
        self, item: dict[str, Any], content: str | None, types: Collection[int]
    ) -> list[tuple[int, int, str, int]]:
        """Begin, end, text and concept of each mention."""
        mentions = []
        for at, mention in self._objects(item, "mentions", "a mention (an object with begin, end, text, concept)"):
            field = f"mentions[{at}]"
            begin = self.get(mention, "begin", int, f"{field}.begin", "an offset (an integer)")
            end = self.get(mention, "end", int, f"{field}.end", "an offset (an integer)")
            name = self.get(mention, "text", str, f"{field}.text", "a string")
            number = self._concept(mention, "concept", field, types)
            if begin is None or end is None or name is None or number is None or content is None:
                continue
            if not 0 <= begin < end <= len(content):
                place = f"{field}.begin = {short(begin)}, end = {short(end)}"
                self.problem(place, f"expected begin < end inside of the text ({len(content):,} characters)")
            elif _plain(content[begin:end]) != _plain(name):
                stands = f"the text from {begin} to {end} is {short(content[begin:end])}"
                self.problem(shown(f"{field}.text", name), f"{stands} (is `content` that of this article?)")
            mentions.append((begin, end, name, number))
        return mentions

    def _labels(self, item: dict[str, Any], types: Collection[int]) -> list[tuple[int, int, str]]:
        """Subject, object and name of each relation."""
        self.mark_labelled(self.labels_field in item)
        if self.labels_field not in item:
            return []
        labels = []
        assert self.relations is not None
        for at, relation in self._objects(item, "relations", "a relation (an object with s, p, o)"):
            field = f"relations[{at}]"
            subject, object_ = (self._concept(relation, key, field, types) for key in ("s", "o"))
            name = self.get(relation, "p", str, f"{field}.p", "a relation (a string)")
            if name is not None and name not in self.relations:
                self.problem(
                    shown(f"{field}.p", name), f"not a relation of this data set ({len(self.relations)} known)"
                )
            if subject is not None and object_ is not None and name is not None:
                labels.append((subject, object_, intern(name)))
        return labels

    def _concept(self, item: dict[str, Any], key: str, field: str, types: Collection[int]) -> int | None:
        number: int | None = self.get(item, key, int, f"{field}.{key}", "the number of a concept (an integer)")
        if number is not None and number not in types:
            self.problem(shown(f"{field}.{key}", number), f"no concept of this article ({len(types):,} concepts)")
        return number

    def _objects(self, item: dict[str, Any], key: str, expected: str) -> list[tuple[int, dict[str, Any]]]:
        """The objects in a list, each with its place; a problem for what is none."""
        value = self.get(item, key, list, key, f"a list, each of it {expected}") or []
        for at, part in enumerate(value):
            if not isinstance(part, dict):
                self.problem(shown(f"{key}[{at}]", part), f"expected {expected}")
        return [(at, part) for at, part in enumerate(value) if isinstance(part, dict)]


def _document(
    title: str,
    content: str,
    types: dict[int, str],
    mentions: Sequence[tuple[int, int, str, int]],
    labels: Sequence[tuple[int, int, str]],
) -> Document:
    words, spans = words_of(content, [(begin, end) for begin, end, _, _ in mentions], segmented)
    index = {number: at for at, number in enumerate(types)}
    entities: list[list[Mention]] = [[] for _ in types]
    for (start, end), (_, _, name, number) in zip(spans, mentions, strict=True):
        entities[index[number]].append(Mention(0, start, end, name, types[number]))
    named = tuple(Label(index[subject], index[object_], name) for subject, object_, name in labels)
    pairs = pairs_within_reach(list(map(len, entities)), [label[:2] for label in named])
    return Document(title, (tuple(map(intern, words)),), tuple(map(tuple, entities)), named, pairs)


def _plain(text: str) -> str:
    """A text but for what its download changes: kinds of spaces, and those of no width."""
    return " ".join(text.replace("\u200b", "").split())
