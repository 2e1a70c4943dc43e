"""What reading a file of documents tells, whatever its form: the documents, and everything that is wrong with it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.documents import Document
from bench.errors import UsageError, plural

BLOCK = 1 << 20
"""Bytes of a file read at once."""
GZIPPED = b"\x1f"
"""How a gzip file begins and no text does: the first byte of its mark, which may be all that is left of a file."""
SHOWN_PROBLEMS = 50
"""How many problems of one file an error shows; `bench data validate` shows all."""


class Problem(NamedTuple):
    """One thing wrong with a file. `document`: its index in the file, None for the file as a whole."""

    document: int | None
    title: str
    field: str
    """The place and, where short, what it holds: `vertexSet[4][0].pos = [3, 99]`."""
    expected: str

    def __str__(self) -> str:
        parts = [self.field, self.expected]
        if self.document is not None:
            parts.insert(0, f"document {self.document}" + (f" {self.title!r}" if self.title else ""))
        return ": ".join(part for part in parts if part)


class Note(NamedTuple):
    """What is counted of a file, as it is said of one and of several: `document without labels`."""

    one: str
    several: str

    def of(self, count: int) -> str:
        """`1 document without labels`, `1,521 documents without labels`."""
        return f"{count:,} {self.one if count == 1 else self.several}"


@dataclass(frozen=True)
class Source:
    """A file that was read: where, how long, and the sha256 (hex) of its bytes."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Scan:
    """Everything one reading of a file tells. `documents` are the sound ones: all of them if `problems` is empty."""

    path: Path
    count: int
    """Documents found in the file, sound or not."""
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    noted: Counter[Note]
    """Of the notes, those made while reading."""
    labelled: bool
    """False where no document has labels at all (a blind test file)."""
    sources: tuple[Source, ...]
    """The bytes read: of the file itself, then of those that belong to it. Empty if it could not be read."""
    changes: Counter[Note] = field(default_factory=Counter)
    """What the reader left out or turned round, with how often: the rules of the form, never a repair."""
    no_labels: str = ""
    """Why there are no labels, where the form has a reason to give."""
    oddities: Callable[[Document], Iterable[Note]] = field(default=lambda document: (), compare=False)
    """The notes on a sound document that are made when somebody asks for them."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Of documents that say themselves whether they are for "train" or "test", by title."""

    @cached_property
    def notes(self) -> Counter[Note]:
        """Oddities of real files that are kept as they are, with how often they occur."""
        return self.noted + Counter(note for document in self.documents for note in self.oddities(document))

    @property
    def labels(self) -> int:
        """Labels in the sound documents, duplicates included."""
        return sum(len(document.labels) for document in self.documents)

    def report(self, at_most: int | None = None) -> str:
        """The problems, one line each under a line with their number; '' if there are none."""
        if not self.problems:
            return ""
        where = len({problem.document for problem in self.problems if problem.document is not None})
        count = len(self.problems)
        of = f" in {where} of {plural(self.count, 'document')}" if where else ""
        lines = [f"{self.path}: {plural(count, 'problem')}{of}"]
        lines += [f"  {problem}" for problem in self.problems[:at_most]]
        if at_most is not None and count > at_most:
            lines.append(f"  and {count - at_most} more: `bench data validate` lists them all")
        return "\n".join(lines)

    def refuse_problems(self) -> None:
        """Raise UsageError with the problems (the first 50 in full) if there are any."""
        if self.problems:
            raise UsageError(self.report(at_most=SHOWN_PROBLEMS))


def nothing_read(path: Path, expected: str) -> Scan:
    """The scan of a file that could not be read at all."""
    return Scan(path, 0, (), (Problem(None, "", "", expected),), Counter(), False, ())


class DamagedGzipError(Exception):
    """A file that begins as a gzip file and is none, or not a whole one."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"damaged or cut off, not a whole gzip file ({reason})")


def read_source(path: Path) -> tuple[bytes, Source] | str:
    """The content of a file, unzipped where it is gzipped, and what lies on disk; or why it cannot be read."""
    reader = open_source(path)
    if isinstance(reader, str):
        return reader
    try:
        content = b"".join(reader)
    except DamagedGzipError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return content, reader.finish()


class SourceReader:
    """The content of a file, block by block, unzipped where it is gzipped; at the end, what lies on disk.

    Raises OSError and ValueError where the file cannot be read, DamagedGzipError while its content is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _HashedFile(path)

    def __iter__(self) -> Iterator[bytes]:
        if not self._file.peek().startswith(GZIPPED):
            while block := self._file.read(BLOCK):
                yield block
            return
        unzipped = gzip.GzipFile(fileobj=self._file)
        while True:
            try:
                block = unzipped.read(BLOCK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DamagedGzipError(error) from None
            if not block:
                return
            yield block

    def finish(self) -> Source:
        """What the file is, as it lies on disk; reads what has not been read of it."""
        while self._file.read(BLOCK):
            pass
        self.close()
        return Source(self._path, self._file.size, self._file.sha256.hexdigest())

    def close(self) -> None:
        """Leave the rest of the file unread."""
        self._file.close()


class _HashedFile(io.RawIOBase):
    """A file whose bytes are counted and hashed as they are read, each once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.sha256 = hashlib.sha256()
        self.size = 0

    def peek(self) -> bytes:
        """Some bytes that come next, left to be read."""
        return self._file.peek(1)

    def readable(self) -> bool:
        """It can be read, and nothing else."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes, `size` at most."""
        block = self._file.read(size)
        self.sha256.update(block)
        self.size += len(block)
        return block

    def close(self) -> None:
        """Close the file on disk with it."""
        self._file.close()
        super().close()


def open_source(path: Path) -> SourceReader | str:
    """The bytes of a file; or why it cannot be read."""
    try:
        return SourceReader(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


class Checker:
    """Collects the problems and notes of one file while its documents are made, one after the other.

    A part that is not what it should be is named once, and the parts that depend on it are left alone: one mistake is
    one line. A file of which no document has a key that the form needs, but keys the form does not know, is in another
    form: that is one problem, and the only one. `repeated_titles`: whether several documents may have one title, which
    is then a note.
    """

    REPEATED_TITLES = Note("document whose title another one has", "documents whose title another one has")
    labels_field = "labels"
    """What the form calls the labels of a document."""
    required: tuple[str, ...] = ()
    """The keys that every document of a JSON form has, beside that of the labels."""

    def __init__(self, relations: frozenset[str] | None, repeated_titles: bool = False) -> None:
        self.relations = relations
        self.repeated_titles = repeated_titles
        self.problems: list[Problem] = []
        self.notes: Counter[Note] = Counter()
        self.changes: Counter[Note] = Counter()
        self.passed: list[int] = []
        self.parts: dict[str, str] = {}
        self.labelled = False
        self._unlabelled: list[tuple[int, str]] = []
        self._titles: dict[str, int] = {}
        self._keys: dict[str, None] = {}
        self._index = 0
        self._title = ""

    def finish(self, documents: Sequence[Document]) -> tuple[tuple[Document, ...], list[Problem]]:
        """The sound ones of the documents that passed, and all problems in order, after what needs the whole file."""
        if (other := self._another_form()) is not None:
            self.notes.clear()
            self.changes.clear()
            return (), [other]
        if self.labelled:
            # A file labelled in part is a mistake: as "no labels" the rest would count as negatives.
            for index, title in self._unlabelled:
                self.problems.append(
                    Problem(index, title, self.labels_field, "missing, though other documents have labels")
                )
        problems = sorted(self.problems, key=lambda problem: -1 if problem.document is None else problem.document)
        wrong = {problem.document for problem in problems}
        sound = [document for index, document in zip(self.passed, documents, strict=True) if index not in wrong]
        return tuple(sound), problems

    def note_keys(self, item: dict[str, Any]) -> None:
        """Note which keys the current document has."""
        self._keys.update(dict.fromkeys(item))

    def why_no_labels(self) -> str:
        """Where no document has labels, but keys that the form does not know: which, since they may be the labels."""
        other = self._other_keys()
        return f"labels would be in {self.labels_field!r}, found {listed(other)}" if other and not self.labelled else ""

    def _other_keys(self) -> list[str]:
        return [key for key in self._keys if key not in (*self.required, self.labels_field)]

    def _another_form(self) -> Problem | None:
        absent = [key for key in self.required if key not in self._keys]
        if not absent or not self._other_keys():
            return None
        expected = f"expected {', '.join(self.required)} (and {self.labels_field}): no document has {', '.join(absent)}"
        return Problem(None, "", f"documents with the keys {listed(self._keys)}", expected)

    def problem(self, field: str, expected: str) -> None:
        """Note a problem of the current document."""
        self.problems.append(Problem(self._index, self._title, field, expected))

    def begin(self, index: int) -> None:
        """Go on to the next document."""
        self._index, self._title = index, ""

    def title(self, title: str | None, field: str) -> str | None:
        """The title of the current document, if it can be one."""
        if title is None:
            return None
        if not title:
            self.problem(f"{field} = ''", "expected at least one character")
            return None
        self._title = title
        first = self._titles.setdefault(title, self._index)
        if first != self._index:
            if self.repeated_titles:
                self.notes[self.REPEATED_TITLES] += 1
            else:
                self.problem("", f"{field} already used by document {first}")
        return title

    def mark_labelled(self, labelled: bool) -> None:
        """Note whether the current document has labels, be it an empty list of them."""
        if labelled:
            self.labelled = True
        else:
            self._unlabelled.append((self._index, self._title))

    def get(self, item: dict[str, Any], key: str, kind: type, field: str, expected: str) -> Any:
        """item[key] if it is there and of that type (a bool is no int), else None and a problem at `field`."""
        if key not in item:
            self.problem(field, f"missing, expected {expected}")
            return None
        value = item[key]
        if type(value) is not kind:
            self.problem(shown(field, value), f"expected {expected}")
            return None
        if isinstance(value, str) and not encodable(value):
            self.problem(shown(field, value), "holds half a character (a lone surrogate)")
            return None
        return value


def listed(keys: Iterable[str], at_most: int = 12) -> str:
    """Keys of an object for a message: `title, sents, vertexSet`, those beyond `at_most` counted."""
    names = [key if len(key) <= 40 and encodable(key) else short(key) for key in keys]
    more = [f"{len(names) - at_most:,} more"] if len(names) > at_most else []
    return ", ".join([*names[:at_most], *more])


def encodable(text: str) -> bool:
    """Whether the text can be written as UTF-8 (JSON may hold half a character)."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def short(value: object) -> str:
    """A value as JSON, cut to 60 characters; as Python writes it where JSON has no such values."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:  # bytes, say, or a date of a table
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list a thousand deep
        return "..."
    text = text if encodable(text) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def shown(field: str, value: object) -> str:
    """`field = value`, strings in Python's single quotes, long values cut."""
    text = repr(value) if isinstance(value, str) and len(value) <= 60 else short(value)
    return f"{field} = {text}" if field else text
