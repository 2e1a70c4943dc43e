"""BioC, in XML and JSON, as BC5CDR and BioRED come in it: passages with annotations by offset, relations by concept.

    {"documents": [{"id": str, "passages": [{"offset": int, "text": str, "annotations": [{
        "infons": {"type": str, "identifier" or "MESH": str}, "text": str,
        "locations": [{"offset": int, "length": int}, ...]}, ...]}, ...],
      "relations": [{"infons": {"type" or "relation": str, "entity1" or "Chemical": str, "entity2" or "Disease": str,
                                "novel": str}}, ...]}, ...]}

XML has the same parts as elements (infons as <infon key="...">), and is read into the same objects first. Offsets count
the characters of the whole document. The BioC of BC5CDR gives a composite mention and, marked as such, its parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from bench.data.formats.concepts import Abstract, ConceptChecker, RawMention, RawRelation
from bench.data.formats.json_stream import BrokenJson, kind_of, value_of
from bench.data.formats.scan import Problem, listed, shown

_CONCEPT = ("identifier", "MESH")
_RELATION = ("relation", "type")
_ENDS = (("entity1", "entity2"), ("Chemical", "Disease"))
_PART = "IndividualMention"

Read = tuple[Any, list[BrokenJson]]
"""The object that a file holds, and where it is broken."""


def abstracts_of(read: Read, checker: ConceptChecker) -> Iterator[Abstract | Problem | None]:
    """The documents of a collection; None for one that is none, whose problems are noted with the checker."""
    collection, broken = read
    yield from (Problem(None, "", *one) for one in broken)
    if broken:
        return
    documents = collection.get("documents") if isinstance(collection, dict) else None
    if not isinstance(documents, list):
        found = kind_of(collection) + (f" with the keys {listed(collection)}" if isinstance(collection, dict) else "")
        yield Problem(None, "", "", f"expected a BioC collection (an object with documents), found {found}")
        return
    for index, item in enumerate(documents):
        checker.begin(index)
        before = len(checker.problems)
        abstract = _Reading(checker).document(item)
        yield abstract if len(checker.problems) == before else None


def from_json(text: str) -> Read:
    """The collection in a JSON text."""
    return value_of(text)


class _Reading:
    """Reads one document; what is not as it should be is noted with the checker, and left out."""

    def __init__(self, checker: ConceptChecker) -> None:
        self._checker = checker

    def document(self, item: Any) -> Abstract | None:
        if not isinstance(item, dict):
            self._checker.problem(shown("", item), "expected a document (an object with id and passages)")
            return None
        docid = self._checker.title(self._get(item, "id", str, "id", "a string"), "id")
        abstract = Abstract(docid or "", [])
        for at, passage in enumerate(self._list(item, "passages", "passages", "a list of passages", required=True)):
            self._passage(abstract, passage, f"passages[{at}]")
        self._relations(abstract, item, "")
        return abstract

    def _passage(self, abstract: Abstract, item: Any, place: str) -> None:
        if not isinstance(item, dict):
            self._checker.problem(shown(place, item), "expected a passage (an object with offset and text)")
            return
        if item.get("sentences") and "text" not in item:
            self._checker.problem(f"{place}.text", "missing, expected the passage's text: sentences are not read")
            return
        offset = self._get(item, "offset", int, f"{place}.offset", "an offset (an integer)")
        text = self._get(item, "text", str, f"{place}.text", "a string")
        if offset is not None and text is not None:
            abstract.passages.append((offset, text))
        for at, annotation in enumerate(self._list(item, "annotations", f"{place}.annotations", "a list of mentions")):
            self._annotation(abstract, annotation, f"{place}.annotations[{at}]")
        self._relations(abstract, item, f"{place}.")

    def _annotation(self, abstract: Abstract, item: Any, place: str) -> None:
        if not isinstance(item, dict):
            self._checker.problem(shown(place, item), "expected a mention (an object with infons, locations, text)")
            return
        infons = self._infons(item, place)
        text = self._get(item, "text", str, f"{place}.text", "a string")
        pieces = []
        locations = self._list(item, "locations", f"{place}.locations", "a list of offsets and lengths", required=True)
        for at, location in enumerate(locations):
            of = f"{place}.locations[{at}]"
            if not isinstance(location, dict):
                self._checker.problem(shown(of, location), "expected an object with offset and length")
                continue
            start = self._get(location, "offset", int, f"{of}.offset", "an offset (an integer)")
            length = self._get(location, "length", int, f"{of}.length", "a number of characters (an integer)")
            if start is not None and length is not None and start >= 0:
                pieces.append((start, start + length))
            elif start is not None and start < 0:
                self._checker.problem(f"{of}.offset = {start}", "expected at least 0")
        if not locations:
            self._checker.problem(f"{place}.locations", "expected at least one")
        type_ = self._get(infons, "type", str, f"{place}.infons.type", "a type (a string)")
        if text is None or type_ is None or not pieces:
            return
        concept = next((infons[key] for key in _CONCEPT if key in infons), "")
        is_part = infons.get("CompositeRole") == _PART
        abstract.mentions.append(RawMention(place, tuple(sorted(pieces)), text, type_, concept, is_part))

    def _relations(self, abstract: Abstract, item: dict[str, Any], before: str) -> None:
        for at, relation in enumerate(self._list(item, "relations", f"{before}relations", "a list of relations")):
            place = f"{before}relations[{at}]"
            if not isinstance(relation, dict):
                self._checker.problem(shown(place, relation), "expected a relation (an object with infons)")
                continue
            infons = self._infons(relation, place)
            name = next((infons[key] for key in _RELATION if key in infons), None)
            ends = next(((infons[one], infons[two]) for one, two in _ENDS if one in infons and two in infons), None)
            if name is None or ends is None:
                wanted = "type (or relation), entity1 and entity2 (or Chemical and Disease)"
                self._checker.problem(f"{place}.infons", f"expected {wanted}, found {listed(infons) or 'none'}")
                continue
            abstract.relations.append(RawRelation(place, name, *ends, infons.get("novel")))

    def _infons(self, item: dict[str, Any], place: str) -> dict[str, str]:
        """The infons that are strings: numbers are the strings that they are, as XML has them."""
        infons = self._get(item, "infons", dict, f"{place}.infons", "an object") or {}
        return {key: str(value) for key, value in infons.items() if type(value) in (str, int)}

    def _list(self, item: dict[str, Any], key: str, place: str, expected: str, required: bool = False) -> list[Any]:
        if key not in item and not required:
            return []
        found: list[Any] = self._get(item, key, list, place, expected) or []
        return found

    def _get(self, item: dict[str, Any], key: str, kind: type, place: str, expected: str) -> Any:
        return self._checker.get(item, key, kind, place, expected)


def from_xml(raw: bytes) -> Read:
    """The collection in the bytes of an XML file.

    Nothing outside of the file is read (its DTD is named, and not looked at), and no entity may be declared in it: a
    few lines of such declarations can stand for gigabytes.
    """
    builder = _XmlBuilder()
    try:
        builder.parser.Parse(raw, True)
    except expat.ExpatError as error:
        return None, [BrokenJson(f"line {error.lineno}", f"not XML: {expat.errors.messages[error.code]}")]
    except _RefusedXmlError as error:
        return None, [BrokenJson(f"line {builder.parser.CurrentLineNumber}", str(error))]
    return builder.collection, []


_LISTS = {
    "document": "documents",
    "passage": "passages",
    "sentence": "sentences",
    "annotation": "annotations",
    "relation": "relations",
    "location": "locations",
}
"""Elements that may come several times -> what JSON calls the list of them."""
_TEXTS = frozenset({"id", "offset", "text", "infon"})
_PLACE = ("offset", "length")
"""The attributes that say something: those of a location."""
_OWN_ENCODINGS = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1"})
"""What expat reads by itself; all else it reads by a table of 256 letters that Python makes for it."""


class _RefusedXmlError(Exception):
    """XML that says more than BioC has to say."""


class _XmlBuilder:
    """Makes of BioC's elements the objects that its JSON has."""

    def __init__(self) -> None:
        self.collection: dict[str, Any] | None = None
        self._open: list[dict[str, Any]] = []
        self._key = ""
        self._text: list[str] | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.EntityDeclHandler = self._declared
        self.parser.SkippedEntityHandler = self._skipped

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        """Refuses an encoding that the parser would otherwise raise errors of Python's about, which name no line."""
        if encoding is not None and encoding.lower() not in _OWN_ENCODINGS and not _by_single_bytes(encoding):
            raise _RefusedXmlError(f"encoding {encoding!r} is not read; UTF-8 is, and what writes a letter as one byte")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "collection":
            if self.collection is not None:
                raise _RefusedXmlError("a collection in the collection")
            self.collection = {"documents": []}
            self._open.append(self.collection)
        elif self._open and name in _LISTS:
            item: dict[str, Any] = {key: _number(attributes[key]) for key in _PLACE if key in attributes}
            if name in ("passage", "annotation", "relation"):
                item["infons"] = {}
            if name == "document":
                item["passages"] = []
            self._open[-1].setdefault(_LISTS[name], []).append(item)
            self._open.append(item)
        elif self._open and name in _TEXTS:
            self._key, self._text = attributes.get("key", "") if name == "infon" else name, []

    def _end(self, name: str) -> None:
        if self._open and (name in _LISTS or name == "collection"):
            self._open.pop()
        elif name in _TEXTS and self._text is not None:
            item, text = self._open[-1], "".join(self._text)
            self._text = None
            if name == "infon":
                item.setdefault("infons", {})[self._key] = text
            else:
                item[self._key] = _number(text) if name == "offset" else text

    def _characters(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _declared(self, name: str, *_: object) -> None:
        raise _RefusedXmlError(f"entity {name!r} is declared; BioC needs none, and none is read")

    def _skipped(self, name: str, is_parameter: bool) -> None:
        raise _RefusedXmlError(f"entity {name!r} is not declared in the file, and nothing else is read")


def _by_single_bytes(encoding: str) -> bool:
    """Whether Python knows the encoding, as one in which every byte is a letter."""
    try:
        return len(bytes(range(256)).decode(encoding, "replace")) == 256
    except (LookupError, ValueError):
        return False


def _number(text: str) -> int | str:
    """The whole number that a text is; the text itself, to be told, where it is none."""
    return int(text) if re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text) else text
