"""JSON files read with the place of every mistake: whole, or a list one element at a time."""

from __future__ import annotations

import codecs
import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.documents import Document, no_cycle_search
from bench.data.formats.scan import (
    Checker,
    DamagedGzipError,
    Note,
    Problem,
    Scan,
    Source,
    listed,
    nothing_read,
    open_source,
    read_source,
)
from bench.errors import UsageError


class BrokenJson(NamedTuple):
    """Where the text of a file stops being JSON, in place of the element that should have come."""

    field: str
    expected: str


class RepeatedKey(NamedTuple):
    """A key that stands more than once in an object, of whose values JSON readers keep the last."""

    object: dict[str, Any]
    key: str


_SPACE = re.compile(r"[ \t\n\r]*")
IN_NUMBERS = "0123456789.eE+-"
TWICE = "given twice in one object, of which only the last would be read"


class JsonChecker(Checker, ABC):
    """What makes documents of the elements of a JSON list, one after the other."""

    apart = False
    """Whether a document of the form stands by itself: one in a line or a file, without a list around them."""

    @abstractmethod
    def check(self, index: int, item: Any, /) -> Document | None:
        """The document of an element, or None after noting its problems."""

    def oddities(self, document: Document) -> Iterable[Note]:
        """What is odd about a sound document, in so far as `check` has not noted it."""
        return ()


def read_json(path: Path | str) -> Any:
    """A whole JSON file, gzipped or not. Raises UsageError with the line for what is not UTF-8 or not JSON.

    So does a key that stands twice in one object: which of its values was meant nobody knows.
    """
    content = read_source(Path(path))
    if isinstance(content, str):
        raise UsageError(f"{path}: {content}")
    text = decode(content[0], "JSON")
    if isinstance(text, BrokenJson):
        raise UsageError(f"{path}: {text.field}: {text.expected}")
    value, broken = value_of(text)
    if broken:
        raise UsageError("\n".join(f"{path}: {one.field}: {one.expected}" for one in broken))
    return value


def value_of(text: str) -> tuple[Any, list[BrokenJson]]:
    """The value of a JSON text, and what is wrong with it: where it is none, or keys that stand twice in an object."""
    repeated: list[RepeatedKey] = []
    try:
        value = json.loads(text, object_pairs_hook=noting(repeated))
    except (ValueError, RecursionError) as error:
        return None, [_not_json(error, text)]
    return value, [BrokenJson(place, TWICE) for place in places_of(value, repeated)] if repeated else []


def first_keys(blocks: Iterable[bytes]) -> frozenset[str]:
    """The keys of the first document in a file of JSON: of the first object of a list, or of the object it begins with.

    Empty where there is none, or where the file is no JSON until then. Reads no further than that document.
    """
    text = _Text(blocks)
    try:
        if text.skip_space() == "[":
            text.at += 1
            text.skip_space()
        value = text.take(json.JSONDecoder().raw_decode)[0]
    except (ValueError, RecursionError, DamagedGzipError):
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()


def kind_of(value: object) -> str:
    """JSON's word for a value, for "expected a list, found ..."."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def decode(raw: bytes, expected: str) -> str | BrokenJson:
    """The text of a UTF-8 file, without a byte order mark; or the line where it is not, or that there is none."""
    body = raw.removeprefix(b"\xef\xbb\xbf")  # the mark some Windows editors put before UTF-8
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        return BrokenJson(f"line {line}", f"not UTF-8 (byte 0x{body[error.start]:02x})")
    return text if text.strip(" \t\r\n") else BrokenJson("", f"empty file: expected {expected}")


def elements(
    blocks: Iterable[bytes],
    repeated: list[RepeatedKey] | None = None,
    required: Iterable[str] = (),
    lines: bool = False,
) -> Iterator[tuple[Any, str]]:
    """The documents in the list of a UTF-8 file, one at a time, each with its text; a `BrokenJson` where it is not one.

    blocks: the bytes of the file, in pieces of any size. One document is decoded, checked and let go before the next,
    and of the text no more than a block and an element is held: the distant file of DocRED has half a gigabyte.
    repeated: where to note the keys that stand twice in an object (None: not noticed); whoever passes it empties it.
    required: the keys of a document, for the message about a file that is no list.   lines: whether the documents may
    as well stand one after the other without a list around them.
    """

    def no_list(value: Any, several: bool) -> str:
        kind = kind_of(value)
        if isinstance(value, dict):
            kind += f" with the keys {listed(value)}" if value else ""
            kind += f", where a document has {', '.join(required)}" if not value.keys() >= set(required) else ""
            kind += " (one document per line? put them in one list)" if several else ""
        return f"expected a JSON list of documents, found {kind}"

    hook = None if repeated is None else noting(repeated)
    empty = True
    for item in list_items(blocks, "a JSON list of documents", no_list, hook, lines):
        empty = False
        yield item
    if empty:
        yield BrokenJson("", "expected at least one document, found an empty list"), ""


def list_items(
    blocks: Iterable[bytes],
    expected: str,
    no_list: Callable[[Any, bool], str],
    hook: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None,
    lines: bool = False,
) -> Iterator[tuple[Any, str]]:
    """The items of the JSON list in a UTF-8 file, one at a time, each with its text; a `BrokenJson` where it is none.

    blocks: as in `elements`.   expected: what is missing in an empty file.   no_list: what is wrong with a file that
    holds one value of another kind, or several such.   hook: makes objects of their pairs.   lines: whether objects one
    after the other are as good as a list of them.
    """
    text = _Text(blocks)
    decode_one = json.JSONDecoder(object_pairs_hook=hook).raw_decode
    try:
        if not text.skip_space():
            yield BrokenJson("", f"empty file: expected {expected}"), ""
            return
        if lines and text.next() == "{":
            while text.skip_space():
                yield text.take(decode_one)
            return
        if text.next() != "[":
            value = text.take(decode_one)[0]
            yield BrokenJson("", no_list(value, bool(text.skip_space()))), ""
            return
        text.at += 1
        if text.skip_space() != "]":
            while True:
                yield text.take(decode_one)
                if text.skip_space() != ",":
                    break
                text.at += 1
                text.skip_space()
        if text.next() != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter or the end of the list", text.held, text.at)
        text.at += 1
        if text.skip_space():
            raise json.JSONDecodeError("Extra data after the list", text.held, text.at)
    except DamagedGzipError as error:
        yield BrokenJson("", str(error)), ""
    except UnicodeDecodeError as error:
        line = text.lines + text.held.count("\n") + error.object.count(b"\n", 0, error.start) + 1
        yield BrokenJson(f"line {line}", f"not UTF-8 (byte 0x{error.object[error.start]:02x})"), ""
    except (ValueError, RecursionError) as error:
        yield _not_json(error, text.held, text.at, text.lines, text.columns), ""


def scan_list(path: Path, checker: JsonChecker) -> Scan:
    """Read and check a file of JSON, gzipped or not. Never raises for what it is or contains: it is in the result."""
    if path.is_dir():
        return nothing_read(
            path, "cannot be read: a folder, expected a file (DWIE and HacRED may have a document in each file of one)"
        )
    blocks = open_source(path)
    if isinstance(blocks, str):
        return nothing_read(path, blocks)
    return scan_of(path, checker, *checked(blocks, checker), blocks.finish())


def scan_of(
    path: Path, checker: JsonChecker, documents: list[Document], count: int, broken: list[Problem], source: Source
) -> Scan:
    """What was read, once a checker has seen all of it. broken: where it is no JSON."""
    sound, problems = checker.finish(documents)
    return Scan(
        path,
        count,
        sound,
        (*broken, *problems),
        +checker.notes,
        checker.labelled,
        (source,),
        +checker.changes,
        checker.why_no_labels(),
        checker.oddities,
        checker.parts,
    )


def checked(blocks: Iterable[bytes], checker: JsonChecker, count: int = 0) -> tuple[list[Document], int, list[Problem]]:
    """The documents that a checker makes of a list's elements, how many elements there are, and what is no JSON.

    count: how many elements it has seen before, in other files. A key that stands twice in an object of a document is a
    problem of it, which the checker is told.
    """
    documents: list[Document] = []
    broken: list[Problem] = []
    repeated: list[RepeatedKey] = []
    with no_cycle_search():
        for item, _ in elements(blocks, repeated, checker.required, checker.apart):
            if isinstance(item, BrokenJson):
                broken.append(Problem(None, "", item.field, item.expected))
                continue
            document = checker.check(count, item)
            if document is not None:
                documents.append(document)
            if repeated:
                for place in places_of(item, repeated):
                    checker.problem(place, TWICE)
                repeated.clear()
            count += 1
    return documents, count, broken


def noting(repeated: list[RepeatedKey]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """Makes objects of their pairs as `json` does by itself, and notes in `repeated` the keys that come again."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated.extend(RepeatedKey(value, key) for key, count in counts.items() if count > 1)
        return value

    return object_of


def places_of(value: Any, repeated: Iterable[RepeatedKey]) -> list[str]:
    """Where in `value` the keys stand that are given twice: `labels[3].r`."""
    keys: dict[int, list[str]] = {}
    for object_, key in repeated:
        keys.setdefault(id(object_), []).append(key)
    # An object that is itself a value which was overwritten by a repeated key is no part of `value` any more.
    return [_join(place, key) for place, inner in _objects("", value) for key in keys.get(id(inner), ())]


def _objects(place: str, value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object within `value`, with its place, in the order of the file; JSON may be nested a thousand deep."""
    pending = [(place, value)]
    while pending:
        place, value = pending.pop()
        if isinstance(value, dict):
            yield place, value
            pending += reversed([(_join(place, key), inner) for key, inner in value.items()])
        elif isinstance(value, list):
            pending += reversed([(f"{place}[{index}]", inner) for index, inner in enumerate(value)])


def _join(place: str, key: str) -> str:
    name = listed([key])
    return f"{place}.{name}" if place else name


class _Text:
    """The text of a file as far as it is needed.

    held: the part that is in memory.   at: where in it we are.   lines, columns: how many lines came before `held`, and
    how many characters of the line that it begins in.
    """

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        # utf-8-sig: some Windows editors put a mark before UTF-8.
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self.held, self.at, self.ended = "", 0, False
        self.lines = self.columns = 0

    def more(self) -> None:
        """Let go of what lies behind and hold the next block as well. Raises UnicodeDecodeError."""
        passed = self.held[: self.at]
        newlines = passed.count("\n")
        self.columns = len(passed) - passed.rfind("\n") - 1 if newlines else self.columns + len(passed)
        self.lines += newlines
        self.held, self.at = self.held[self.at :], 0
        block = next(self._blocks, b"")
        self.ended = not block
        self.held += self._decode(block, self.ended)

    def next(self) -> str:
        """The character we are at; '' at the end of the file."""
        while self.at == len(self.held) and not self.ended:
            self.more()
        return self.held[self.at : self.at + 1]

    def skip_space(self) -> str:
        """Go on to the next character that is no white space; that character, '' at the end of the file."""
        while True:
            self.at = _SPACE.match(self.held, self.at).end()  # type: ignore[union-attr]  # nothing matches too
            if self.at < len(self.held) or self.ended:
                return self.held[self.at : self.at + 1]
            self.more()

    def take(self, decode_one: Callable[[str, int], tuple[Any, int]]) -> tuple[Any, str]:
        """The value that begins here, with its text. Raises JSONDecodeError and the like, without reading on."""
        while True:
            try:
                value, end = decode_one(self.held, self.at)
            except json.JSONDecodeError as error:
                if self.ended or not _may_be_cut(error):
                    raise
            else:
                whole = end < len(self.held)
                if isinstance(value, int | float):
                    # A number may go on in the next block: of "1.5e3" the first characters are 1, or 1.5.
                    whole = bool(self.held[end:].strip(IN_NUMBERS))
                if whole or self.ended:
                    text, self.at = self.held[self.at : end], end
                    return value, text
            self.more()


def _may_be_cut(error: json.JSONDecodeError) -> bool:
    """Whether the text may be wrong only because it ends here: in a string, or within a few characters of its end."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc) - len("\\ud83d\\ude00")


def _not_json(
    error: ValueError | RecursionError, text: str, at: int = 0, lines: int = 0, columns: int = 0
) -> BrokenJson:
    """lines, columns: how much of the file came before `text`."""
    if isinstance(error, json.JSONDecodeError):
        column = error.colno + (columns if error.lineno == 1 else 0)
        return BrokenJson(f"line {lines + error.lineno}, column {column}", f"not JSON: {error.msg}")
    reason = "nested too deep" if isinstance(error, RecursionError) else "a number with too many digits"
    return BrokenJson(f"line {lines + text.count(chr(10), 0, at) + 1}", f"not usable JSON: {reason}")
