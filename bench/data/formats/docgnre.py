"""DocGNRE (Li et al., EMNLP 2023): Re-DocRED's documents with further labels that a language model has made.

DocRED's form, and in documents to train on, beside `labels`,

    "gpt_labels": [{"h": int, "t": int, "r": str, "score": float}, ...]

Those with a score above 0 are labels as well, as in the authors' program, unless `labels` has the same. Dev and test
documents are compared with `labels` alone (`Format.evaluated_as`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.data.documents import Document
from bench.data.formats.document_checks import MADE_LABELS, DocumentChecker
from bench.data.formats.json_stream import scan_list
from bench.data.formats.scan import Note, Scan, shown
from bench.data.formats.sound import Columns

ADDED = Note(
    f"label made by a language model ({MADE_LABELS}), added", f"labels made by a language model ({MADE_LABELS}), added"
)


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a whole file, as `bench.data.formats.docred.scan`."""
    return scan_list(path, DocgnreChecker(None if relations is None else frozenset(relations), repeated_titles))


class DocgnreChecker(DocumentChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file."""

    def columns_of(self, item: Any) -> Columns:
        """As `DocumentChecker.columns_of`."""
        return Columns.of(_with_made_labels(item) if MADE_LABELS in item else item)

    def _note_left_aside(self, item: dict[str, Any], document: Document) -> None:
        self.changes[ADDED] += len(document.labels) - len(item.get(self.labels_field, []))

    def _check_labels(self, item: dict[str, Any], sentences: int | None, entities: Collection[int] | None) -> None:
        super()._check_labels(item, sentences, entities)
        if MADE_LABELS not in item:
            return
        if self.labels_field not in item:
            self.problem(self.labels_field, f"missing, though the document has {MADE_LABELS}")
        made = self.get(item, MADE_LABELS, list, MADE_LABELS, "a list of labels with a score")
        for at, label in enumerate(made or []):
            field = f"{MADE_LABELS}[{at}]"
            score = label.get("score") if isinstance(label, dict) else None
            if isinstance(label, dict) and type(score) not in (int, float):
                self.problem(shown(f"{field}.score", score), "expected a number")
            elif score is None or score > 0:
                self._check_label(field, label, sentences, entities)


def _with_made_labels(item: dict[str, Any]) -> dict[str, Any]:
    """The element with all its labels in one list. Raises TypeError, ValueError and LookupError."""
    labels, made = item["labels"], item[MADE_LABELS]
    if {type(labels), type(made)} != {list} or {type(label["score"]) for label in made} - {int, float}:
        raise TypeError("no list of labels with a score")
    added = [label for label in made if label["score"] > 0]
    if {(type(label["h"]), type(label["t"]), type(label["r"])) for label in added} - {(int, int, str)}:
        raise TypeError("a number or a relation is none")
    known = {(label["h"], label["t"], label["r"]) for label in labels}
    new = {(label["h"], label["t"], label["r"]): label for label in added}
    return {**item, "labels": [*labels, *(label for triple, label in new.items() if triple not in known)]}
