"""What a document in DocRED's form, or one of its kind, must be: every deviation named, with what was expected.

A checker sees the documents of one file in order. One that is as it should be is seen to be so at once
(`bench.data.formats.sound`); the others are looked through here. Order of the checks is the order of the form: title,
sentences, entities, labels; a part that is not what it should be is named once and the parts that depend on it are left
alone, so that one mistake is one line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from bench.data.documents import Document
from bench.data.formats.json_stream import JsonChecker
from bench.data.formats.scan import Note, encodable, short, shown
from bench.data.formats.sound import DOCRED, Columns, sound_columns
from bench.errors import plural

EMPTY_LABELS = Note("document without labels", "documents without labels")
DUPLICATE_LABELS = Note("label given more than once", "labels given more than once")
DUPLICATE_MENTIONS = Note("mention given more than once in its entity", "mentions given more than once in their entity")
SHARED_SPANS = Note("span that belongs to more than one entity", "spans that belong to more than one entity")
NAME_DIFFERS = Note("mention whose name is not the words it spans", "mentions whose name is not the words they span")
MIXED_TYPES = Note("entity whose mentions differ in type", "entities whose mentions differ in type")
BLANK_WORDS = Note("word without a visible character", "words without a visible character")
MADE_LABELS = "gpt_labels"
"""The key under which DocGNRE has labels that a language model has made."""
LEFT_ASIDE = Note(
    f"label made by a language model ({MADE_LABELS}), left aside",
    f"labels made by a language model ({MADE_LABELS}), left aside",
)
_ENTITY = Note("entity", "entities")
FEW_ENTITIES = Note(
    "document with fewer than two entities (no pairs)", "documents with fewer than two entities (no pairs)"
)
NO_MENTIONS = Note("entity without mentions, in no candidate pair", "entities without mentions, in no candidate pair")
OF_NO_MENTIONS = Note(
    "label of an entity without mentions: no candidate, so missed by every model here",
    "labels of entities without mentions: no candidates, so missed by every model here",
)
OF_ITSELF = Note(
    "label from an entity to itself: no candidate, so missed by every model here",
    "labels from an entity to itself: no candidates, so missed by every model here",
)


class DocumentChecker(JsonChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file.

    Subclasses read forms of DocRED's kind: under other keys, or with more around an entity.
    """

    keys = DOCRED
    spaced = True
    """Whether a name has a space between two words."""
    required = ("title", "sents", "vertexSet")

    def columns_of(self, item: Any) -> Columns:
        """The columns of an element. Raises TypeError, ValueError, LookupError and AttributeError, as `Columns.of`."""
        return Columns.of(item, self.keys)

    def check(self, index: int, item: Any) -> Document | None:
        """The document of a decoded element, or None after noting its problems."""
        self.begin(index)
        before = len(self.problems)
        columns = sound_columns(item, self.relations, self.columns_of)
        if columns is None:
            self._name_problems(item)
            assert len(self.problems) > before
            return None
        self.note_keys(item)
        self.title(columns.title, self.keys.title)
        self.mark_labelled(self.labels_field in item)
        if len(self.problems) > before:
            return None
        if not columns.heads and self.labels_field in item:
            self.notes[EMPTY_LABELS] += 1
        self.passed.append(index)
        document = self.made_of(columns)
        self._note_left_aside(item, document)
        return document

    def made_of(self, columns: Columns) -> Document:
        """What is kept of a document."""
        return columns.document()

    def oddities(self, document: Document) -> Iterator[Note]:
        """What is odd about a sound document, once for each time: all of it is in the published files."""
        return oddities_of(document, self.spaced)

    def _note_left_aside(self, item: dict[str, Any], document: Document) -> None:
        """Note what of an element is not in its document, though it may be what somebody wants."""
        self.changes[LEFT_ASIDE] += len(item.get(MADE_LABELS, ()))

    def _name_problems(self, item: Any) -> None:
        if not isinstance(item, dict):
            self.problem(shown("", item), f"expected an object with {', '.join(self.required)}")
            return
        self.note_keys(item)
        self.title(self._title_of(item), self.keys.title)
        lengths = self._check_sentences(item)
        self._check_entities(item, lengths)
        self._check_labels(item, None if lengths is None else len(lengths), self._entities_of(item))

    def _title_of(self, item: dict[str, Any]) -> str | None:
        title: str | None = self.get(item, self.keys.title, str, self.keys.title, "a string")
        return title

    def _entities_of(self, item: dict[str, Any]) -> Collection[int] | None:
        """The numbers by which labels may name the entities of a document; None where that cannot be told."""
        entities = item.get(self.keys.entities)
        return range(len(entities)) if isinstance(entities, list) else None

    def _named(self, entities: Collection[int]) -> str:
        """The entities of a document, for the message about a number that is of none of them."""
        return _ENTITY.of(len(entities))

    def _check_sentences(self, item: dict[str, Any]) -> list[int | None] | None:
        """The words of each sentence, None for one that is none, as far as there are sentences."""
        key = self.keys.sentences
        value = self.get(item, key, list, key, "a list of sentences, each a list of words")
        if value is None:
            return None
        if not value:
            self.problem(f"{key} = []", "empty document, expected at least one sentence")
            return None
        return [self._check_words(f"{key}[{index}]", words) for index, words in enumerate(value)]

    def _check_words(self, field: str, words: Any) -> int | None:
        if not isinstance(words, list):
            self.problem(shown(field, words), "expected a list of words")
            return None
        if not words:
            self.problem(f"{field} = []", "empty sentence, expected at least one word")
            return None
        before = len(self.problems)
        for at, word in enumerate(words):
            if not isinstance(word, str):
                self.problem(shown(f"{field}[{at}]", word), "expected a word (a string)")
            elif not encodable(word):
                self.problem(shown(f"{field}[{at}]", word), "holds half a character (a lone surrogate)")
        return None if len(self.problems) > before else len(words)

    def _check_entities(self, item: dict[str, Any], lengths: list[int | None] | None) -> None:
        key = self.keys.entities
        value = self.get(item, key, list, key, "a list of entities, each a list of mentions")
        for index, mentions in enumerate(value or []):
            field = f"{key}[{index}]"
            if not isinstance(mentions, list):
                self.problem(shown(field, mentions), "expected a list of mentions")
            else:
                for at, mention in enumerate(mentions):
                    self._check_mention(f"{field}[{at}]", mention, lengths)

    def _check_mention(self, field: str, item: Any, lengths: list[int | None] | None) -> None:
        if not isinstance(item, dict):
            self.problem(shown(field, item), "expected a mention (an object with name, sent_id, pos, type)")
            return
        self.get(item, "name", str, f"{field}.name", "a string")
        self.get(item, "type", str, f"{field}.type", "a string")
        sentence = self.get(item, "sent_id", int, f"{field}.sent_id", "a sentence number (an integer)")
        pos = self.get(item, "pos", list, f"{field}.pos", "two integers, [start, end)")
        if sentence is not None and lengths is not None and not 0 <= sentence < len(lengths):
            self.problem(
                f"{field}.sent_id = {short(sentence)}", f"outside the document ({plural(len(lengths), 'sentence')})"
            )
            sentence = None
        if pos is not None:
            length = lengths[sentence] if lengths is not None and sentence is not None else None
            wrong = _span_problem(pos, length, self.keys.unit)
            if wrong:
                self.problem(shown(f"{field}.pos", pos), wrong)

    def _check_labels(self, item: dict[str, Any], sentences: int | None, entities: Collection[int] | None) -> None:
        key = self.labels_field
        self.mark_labelled(key in item)
        if key in item:
            value = self.get(item, key, list, key, "a list of labels")
            for at, label in enumerate(value or []):
                self._check_label(f"{key}[{at}]", label, sentences, entities)

    def _check_label(self, field: str, item: Any, sentences: int | None, entities: Collection[int] | None) -> None:
        if not isinstance(item, dict):
            self.problem(shown(field, item), "expected a label (an object with h, t, r)")
            return
        head = self.get(item, "h", int, f"{field}.h", "an entity number (an integer)")
        tail = self.get(item, "t", int, f"{field}.t", "an entity number (an integer)")
        for key, value in (("h", head), ("t", tail)):
            if value is not None and entities is not None and value not in entities:
                self.problem(
                    f"{field}.{key} = {short(value)}", f"not an entity of this document ({self._named(entities)})"
                )
        relation = self.get(item, "r", str, f"{field}.r", "a relation (a string)")
        if relation is not None and self.relations is not None and relation not in self.relations:
            known = f"{len(self.relations)} known"
            self.problem(shown(f"{field}.r", relation), f"not a relation of this data set ({known})")
        evidence = []
        if "evidence" in item:
            evidence = self.get(item, "evidence", list, f"{field}.evidence", "a list of sentence numbers")
        for at, value in enumerate(evidence or []):
            if type(value) is not int:
                self.problem(shown(f"{field}.evidence[{at}]", value), "expected a sentence number (an integer)")
            elif sentences is not None and not 0 <= value < sentences:
                place = f"{field}.evidence[{at}] = {short(value)}"
                self.problem(place, f"outside the document ({plural(sentences, 'sentence')})")


def oddities_of(document: Document, spaced: bool) -> Iterator[Note]:
    """The notes on a sound document, one per occurrence: all of these are in the published files.

    spaced: whether the name of a mention has a space between two words.
    """
    if sum(map(bool, document.entities)) < 2:
        yield FEW_ENTITIES
    yield from [NO_MENTIONS] * (len(document.entities) - sum(map(bool, document.entities)))
    for words in document.sentences:
        for word in words:
            if not word.strip():
                yield BLANK_WORDS
    owners: dict[tuple[int, int, int], set[int]] = {}
    for entity, mentions in enumerate(document.entities):
        spans = [mention[:3] for mention in mentions]
        yield from [DUPLICATE_MENTIONS] * (len(spans) - len(set(spans)))
        if len({mention.type for mention in mentions}) > 1:
            yield MIXED_TYPES
        for mention in mentions:
            owners.setdefault((mention.sentence, mention.start, mention.end), set()).add(entity)
            words = document.sentences[mention.sentence][mention.start : mention.end]
            text = " ".join(words)
            if mention.name != text and (spaced or "".join(mention.name.split()) != "".join(text.split())):
                yield NAME_DIFFERS
    yield from [SHARED_SPANS for entities in owners.values() if len(entities) > 1]
    yield from [DUPLICATE_LABELS] * (len(document.labels) - len({label[:3] for label in document.labels}))
    for head, tail, *_ in document.labels:
        if head == tail:
            yield OF_ITSELF
        elif not (document.entities[head] and document.entities[tail]):
            yield OF_NO_MENTIONS


def _span_problem(pos: list[Any], length: int | None, unit: str) -> str:
    """What is wrong with [start, end) in a sentence of `length` units (None: not known), '' for nothing."""
    if len(pos) != 2 or any(type(value) is not int for value in pos):
        return "expected two integers, [start, end)"
    start, end = pos
    words = "" if length is None else f" ({plural(length, unit)})"
    if start < 0:
        return f"starts before the sentence{words}"
    if end == start:
        return "empty span, expected start < end"
    if end < start:
        return "reversed span, expected start < end"
    return f"ends after the sentence{words}" if length is not None and end > length else ""
