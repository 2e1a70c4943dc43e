"""Files in DocRED's JSON form (Yao et al., ACL 2019): read, checked as a whole, written.

    [{"title": str, "sents": [[word, ...], ...],
      "vertexSet": [[{"name": str, "sent_id": int, "pos": [start, end], "type": str}, ...], ...],
      "labels": [{"h": int, "t": int, "r": str, "evidence": [int, ...]}, ...]}, ...]

Optional: `labels` (in all documents of a file or in none: a blind test file has none), `evidence`. Other keys are
ignored. What no model could use is a *problem*, and the file is refused; what the published files contain and a
model can live with is a *note*: counted, kept as it is, never repaired and never dropped.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.checks import DocumentChecker, Problem
from bench.data.documents import Document, Fact
from bench.errors import UsageError
from bench.filesystem import write_atomically

SHOWN_PROBLEMS = 50
"""How many problems of one file an error shows; `bench data validate` shows all."""


class BrokenJson(NamedTuple):
    """Where the text of a file stops being JSON, in place of the document that should have come."""

    field: str
    expected: str


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
    """False where no document has the key `labels` (a blind test file)."""
    sha256: str
    """Of the bytes read ('' if the file could not be read)."""
    size: int

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
        of = f" in {where} of {_plural(self.count, 'document')}" if where else ""
        lines = [f"{self.path}: {_plural(count, 'problem')}{of}"]
        lines += [f"  {problem}" for problem in self.problems[:at_most]]
        if at_most is not None and count > at_most:
            lines.append(f"  and {count - at_most} more: `bench data validate` lists them all")
        return "\n".join(lines)


def scan(path: Path | str, relations: Collection[str] | None = None) -> Scan:
    """Read and check a whole file. Never raises for what the file is or contains: every problem is in the result.

    `relations`: the relations a label may have; None accepts any.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = Problem(None, "", "", f"cannot be read: {error.strerror or error}")
        return Scan(path, 0, (), (problem,), Counter(), False, "", 0)
    except ValueError as error:  # a null byte in the name
        problem = Problem(None, "", "", f"cannot be read: {error}")
        return Scan(path, 0, (), (problem,), Counter(), False, "", 0)
    sha256, size = hashlib.sha256(raw).hexdigest(), len(raw)
    checker = DocumentChecker(None if relations is None else frozenset(relations))
    documents: list[Document] = []
    count = 0
    broken: list[Problem] = []
    items = _items(raw)
    del raw  # half the memory of a large file; the generator lets go of it too
    for item in items:
        if isinstance(item, BrokenJson):
            broken.append(Problem(None, "", item.field, item.expected))
            continue
        document = checker.check(count, item)
        if document is not None:
            documents.append(document)
        count += 1
    problems = (*broken, *checker.finish())
    # finish() can find a document wrong that check() passed (labels missing in some documents only).
    wrong = {problem.document for problem in problems}
    if any(problem.document is not None for problem in problems):
        documents = [document for index, document in zip(checker.passed, documents, strict=True) if index not in wrong]
    return Scan(path, count, tuple(documents), problems, checker.notes, checker.labelled, sha256, size)


def read_documents(path: Path | str, relations: Collection[str] | None = None) -> list[Document]:
    """The documents of a file, in its order. Raises UsageError naming every problem (the first 50 in full)."""
    result = scan(path, relations)
    if result.problems:
        raise UsageError(result.report(at_most=SHOWN_PROBLEMS))
    return list(result.documents)


def find_problems(path: Path | str, relations: Collection[str] | None = None) -> tuple[int, list[Problem]]:
    """The number of documents in a file, and all its problems (none: the file can be used)."""
    result = scan(path, relations)
    return result.count, list(result.problems)


def write_documents(path: Path | str, documents: Iterable[Document], labelled: bool = True) -> None:
    """Write a file that `read_documents` reads back equal, in one step. `labelled=False` leaves the labels out."""
    write_atomically(Path(path), dump_documents(documents, labelled))


def dump_documents(documents: Iterable[Document], labelled: bool = True) -> bytes:
    """The file's bytes: one document per line, ASCII, so that a diff and a line number say something."""
    lines = ",\n".join(json.dumps(_as_json(document, labelled)) for document in documents)
    return f"[\n{lines}\n]\n".encode("ascii")


def read_facts(path: Path | str) -> frozenset[Fact]:
    """The facts of a `.fact` file: a JSON list of [head name, tail name, relation]. Raises UsageError."""
    value = read_json(path)
    if not isinstance(value, list):
        raise UsageError(f"{path}: expected a list of [head name, tail name, relation], found {kind_of(value)}")
    wrong = [
        f"  fact {index} = {json.dumps(fact)[:80]}: expected [head name, tail name, relation]"
        for index, fact in enumerate(value)
        if not (isinstance(fact, list) and len(fact) == 3 and all(isinstance(part, str) for part in fact))
    ]
    if wrong:
        shown = wrong[:SHOWN_PROBLEMS] + ([f"  and {len(wrong) - SHOWN_PROBLEMS} more"] * (len(wrong) > SHOWN_PROBLEMS))
        raise UsageError("\n".join([f"{path}: {_plural(len(wrong), 'problem')} in {len(value):,} facts", *shown]))
    return frozenset((head, tail, relation) for head, tail, relation in value)


def read_json(path: Path | str) -> Any:
    """A whole JSON file. Raises UsageError with the line for what is not UTF-8 or not JSON."""
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    text = _decode(raw)
    if isinstance(text, BrokenJson):
        raise UsageError(f"{path}: {text.field}: {text.expected}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        broken = _not_json(error, text)
        raise UsageError(f"{path}: {broken.field}: {broken.expected}") from None


def kind_of(value: object) -> str:
    """JSON's word for a value, for "expected a list, found ..."."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _as_json(document: Document, labelled: bool) -> dict[str, Any]:
    item: dict[str, Any] = {
        "title": document.title,
        "sents": document.sentences,
        "vertexSet": [
            [{"name": m.name, "sent_id": m.sentence, "pos": [m.start, m.end], "type": m.type} for m in mentions]
            for mentions in document.entities
        ],
    }
    if labelled:
        item["labels"] = [{"h": x.head, "t": x.tail, "r": x.relation, "evidence": x.evidence} for x in document.labels]
    return item


def _decode(raw: bytes) -> str | BrokenJson:
    body = raw.removeprefix(b"\xef\xbb\xbf")  # the mark some Windows editors put before UTF-8
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        return BrokenJson(f"line {line}", f"not UTF-8 (byte 0x{body[error.start]:02x})")
    return text if text.strip(" \t\r\n") else BrokenJson("", "empty file: expected a JSON list of documents")


def _not_json(error: ValueError | RecursionError, text: str, at: int = 0) -> BrokenJson:
    if isinstance(error, json.JSONDecodeError):
        return BrokenJson(f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}")
    reason = "nested too deep" if isinstance(error, RecursionError) else "a number with too many digits"
    return BrokenJson(f"line {text.count(chr(10), 0, at) + 1}", f"not usable JSON: {reason}")


def _items(raw: bytes) -> Iterator[Any]:
    """The elements of the list a file holds, one at a time; a `BrokenJson` where it stops being one.

    One document is decoded, checked and let go before the next: the distant file (101,873 documents) held whole as
    JSON objects would need several times the memory of its Documents.
    """
    text = _decode(raw)
    del raw  # see scan()
    if isinstance(text, BrokenJson):
        yield text
        return
    at = _skip_space(text, 0)
    decode = json.JSONDecoder().raw_decode
    try:
        if text[at] != "[":
            value, end = decode(text, at)
            several = _skip_space(text, end) < len(text)
            hint = " (one document per line? put them in one list)" if several and isinstance(value, dict) else ""
            yield BrokenJson("", f"expected a JSON list of documents, found {kind_of(value)}{hint}")
            return
        at = _skip_space(text, at + 1)
        if text[at : at + 1] == "]":
            yield BrokenJson("", "expected at least one document, found an empty list")
        else:
            while True:
                value, at = decode(text, at)
                yield value
                at = _skip_space(text, at)
                if text[at : at + 1] != ",":
                    break
                at = _skip_space(text, at + 1)
        if text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter or the end of the list", text, at)
        at = _skip_space(text, at + 1)
        if at < len(text):
            raise json.JSONDecodeError("Extra data after the list", text, at)
    except (ValueError, RecursionError) as error:
        yield _not_json(error, text, at)


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at


def titles(documents: Sequence[Document]) -> frozenset[str]:
    """The titles of some documents."""
    return frozenset(document.title for document in documents)
