"""Files in DocRED's JSON form (Yao et al., ACL 2019): read, checked as a whole, written.

    [{"title": str, "sents": [[word, ...], ...],
      "vertexSet": [[{"name": str, "sent_id": int, "pos": [start, end], "type": str}, ...], ...],
      "labels": [{"h": int, "t": int, "r": str, "evidence": [int, ...]}, ...]}, ...]

Optional: `labels` (in all documents of a file or in none: a blind test file has none), `evidence`. Other keys are
ignored. What no model could use is a *problem*, and the file is refused; what the published files contain and a
model can live with is a *note*: counted, kept as it is, never repaired and never dropped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.data.documents import Document, Fact
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.json_stream import kind_of, read_json, scan_list
from bench.data.formats.scan import SHOWN_PROBLEMS, Problem, Scan
from bench.data.formats.sound import Columns
from bench.errors import UsageError, plural
from bench.filesystem import write_atomically


def scan(path: Path | str, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a whole file. Never raises for what the file is or contains: every problem is in the result.

    `relations`: the relations a label may have; None accepts any. `repeated_titles`: whether documents may share a
    title. Predictions name documents by title, so only those that are never predicted on may: distant training data.
    """
    return scan_list(Path(path), DocumentChecker(None if relations is None else frozenset(relations), repeated_titles))


def read_documents(path: Path | str, relations: Collection[str] | None = None) -> list[Document]:
    """The documents of a file, in its order. Raises UsageError naming every problem (the first 50 in full)."""
    result = scan(path, relations)
    result.refuse_problems()
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
    lines = ",\n".join(json.dumps(document_as_json(document, labelled)) for document in documents)
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
        raise UsageError(
            "\n".join([f"{path}: {plural(len(wrong), 'problem')} in {plural(len(value), 'fact')}", *shown])
        )
    return frozenset((head, tail, relation) for head, tail, relation in value)


def read_labelled_facts(path: Path) -> frozenset[Fact]:
    """The facts of the labels of a file of documents, of which nothing else is held: a distant file has gigabytes.

    Documents may have one title, as there. Raises UsageError naming every problem, or that there is no label.
    """
    collector = _FactCollector()
    result = scan_list(path, collector)
    result.refuse_problems()
    if not collector.facts:
        raise UsageError(no_labels(path, result.count))
    return frozenset(collector.facts)


class _FactCollector(DocumentChecker):
    """Keeps the facts of the labels, and of a document its title."""

    def __init__(self) -> None:
        super().__init__(None, repeated_titles=True)
        self.facts: set[Fact] = set()

    def made_of(self, columns: Columns) -> Document:
        self.facts.update(columns.facts())
        return Document(columns.title, (), ())


def no_labels(path: Path, count: int) -> str:
    """What to say of a file of so many documents without any label, where labels are needed."""
    return (
        f"{path}: none of its {plural(count, 'document')} has labels. Expected a labelled file "
        "(DocRED's own test.json is published without labels: use its dev file, or Re-DocRED's test_revised.json)"
    )


def document_as_json(document: Document, labelled: bool = True) -> dict[str, Any]:
    """The element of a file that a document is."""
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


def titles(documents: Sequence[Document]) -> frozenset[str]:
    """The titles of some documents."""
    return frozenset(document.title for document in documents)
