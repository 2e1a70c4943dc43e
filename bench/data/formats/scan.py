"""What reading a file of documents tells, whatever its form: the documents, and everything that is wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.documents import Document
from bench.errors import UsageError

BLOCK = 1 << 20
"""Bytes of a file read at once."""
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
    notes: Counter[str]
    """Oddities of real files that are kept as they are, with how often they occur."""
    labelled: bool
    """False where no document has labels at all (a blind test file)."""
    sources: tuple[Source, ...]
    """The bytes read: of the file itself, then of those that belong to it. Empty if it could not be read."""
    changes: Counter[str] = field(default_factory=Counter)
    """What the reader left out or turned round, with how often: the rules of the form, never a repair."""
    no_labels: str = ""
    """Why there are no labels, where the form has a reason to give."""

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


def read_source(path: Path) -> tuple[bytes, Source] | str:
    """The bytes of a file and what they are; or why it cannot be read."""
    try:
        raw = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return raw, Source(path, len(raw), hashlib.sha256(raw).hexdigest())


class SourceReader:
    """The bytes of a file, block by block, and at the end what they were. Raises OSError, ValueError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._hash = hashlib.sha256()
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        while block := self._file.read(BLOCK):
            self._hash.update(block)
            self._size += len(block)
            yield block

    def finish(self) -> Source:
        """What the file is; reads what has not been read of it."""
        deque(self, maxlen=0)
        self._file.close()
        return Source(self._path, self._size, self._hash.hexdigest())


def open_source(path: Path) -> SourceReader | str:
    """The bytes of a file; or why it cannot be read."""
    try:
        return SourceReader(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


class Checker:
    """Collects the problems and notes of one file while its documents are made, one after the other.

    A part that is not what it should be is named once, and the parts that depend on it are left alone: one mistake is
    one line. `repeated_titles`: whether several documents may have one title, which is then a note.
    """

    REPEATED_TITLES = "documents whose title another one has"
    labels_field = "labels"
    """What the form calls the labels of a document."""

    def __init__(self, relations: frozenset[str] | None, repeated_titles: bool = False) -> None:
        self.relations = relations
        self.repeated_titles = repeated_titles
        self.problems: list[Problem] = []
        self.notes: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.passed: list[int] = []
        self.labelled = False
        self._unlabelled: list[tuple[int, str]] = []
        self._titles: dict[str, int] = {}
        self._index = 0
        self._title = ""
        # The words of 100,000 documents are the same few hundred thousand strings: keep each once.
        self._words: dict[str, str] = {}

    def finish(self, documents: Sequence[Document]) -> tuple[tuple[Document, ...], list[Problem]]:
        """The sound ones of the documents that passed, and all problems in order, after what needs the whole file."""
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

    def interned(self, text: str) -> str:
        """The one copy of a string that occurs often."""
        return self._words.setdefault(text, text)

    def interned_all(self, texts: Iterable[str]) -> tuple[str, ...]:
        """The one copy of each."""
        keep = self._words.setdefault
        return tuple([keep(text, text) for text in texts])


def plural(count: int, noun: str) -> str:
    """`1 document`, `1,521 documents`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
    """A value as JSON, cut to 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list a thousand deep
        return "..."
    text = text if encodable(text) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def shown(field: str, value: object) -> str:
    """`field = value`, strings in Python's single quotes, long values cut."""
    text = repr(value) if isinstance(value, str) and len(value) <= 60 else short(value)
    return f"{field} = {text}" if field else text
