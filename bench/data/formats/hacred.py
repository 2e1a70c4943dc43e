"""HacRED (Cheng et al., Findings of ACL 2021): Chinese documents, one a line, by character and by word.

    {"id": int, "text": str, "sents_char": [[character, ...], ...],
     "vertex_char": [[{"name": str, "sent_id": int, "pos": [start, end], "type": str}, ...], ...],
     "labels_char": [{"h": int, "t": int, "r": str}, ...], "sents_word": ..., "vertex_word": ..., "labels_word": ...}

Read by character, as encoders of Chinese do; `text` and what is given by word are not read. A sentence may also be one
string that nobody has split: its mentions are then at characters of it, and its words are those of
`bench.data.formats.offsets.segmented`. The title of a document is its id. The lines may stand in a list.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data.documents import Document
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.folder import scan_files
from bench.data.formats.offsets import segmented, words_of
from bench.data.formats.scan import Scan, encodable, shown
from bench.data.formats.sound import Columns, Keys

KEYS = Keys(title="id", sentences="sents_char", entities="vertex_char", labels="labels_char", unit="character")


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a whole file, as `bench.data.formats.docred.scan`."""
    return scan_files(path, HacredChecker(None if relations is None else frozenset(relations), repeated_titles))


class HacredChecker(DocumentChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file."""

    apart = True
    keys = KEYS
    spaced = False
    labels_field = KEYS.labels
    required = ("id", "sents_char", "vertex_char")

    def columns_of(self, item: Any) -> Columns:
        """As `DocumentChecker.columns_of`."""
        id_ = item["id"]
        named = {**item, "id": str(id_) if type(id_) is int else id_}
        return Columns.of(_with_words(named) if str in map(type, item["sents_char"]) else named, KEYS)

    def made_of(self, columns: Columns) -> Document:
        """As `DocumentChecker.made_of`."""
        return replace(columns.document(), spaced=False)

    def _title_of(self, item: dict[str, Any]) -> str | None:
        if type(item.get("id")) is int:
            return str(item["id"])
        title: str | None = self.get(item, "id", str, "id", "a number or a string")
        return title

    def _check_words(self, field: str, words: Any) -> int | None:
        if not isinstance(words, str):
            return super()._check_words(field, words)
        if not words.strip():
            self.problem(shown(field, words), "empty sentence, expected at least one visible character")
        elif not encodable(words):
            self.problem(shown(field, words), "holds half a character (a lone surrogate)")
        else:
            return len(words)
        return None


def _with_words(item: dict[str, Any]) -> dict[str, Any]:
    """The element with words in place of the sentences that are strings, and its mentions at these words.

    Raises TypeError, ValueError and LookupError.
    """
    if {type(mentions) for mentions in item["vertex_char"]} - {list}:
        raise TypeError("an entity is no list")
    sentences = list(item["sents_char"])
    entities = [[dict(mention) for mention in mentions] for mentions in item["vertex_char"]]
    for number, text in enumerate(sentences):
        if isinstance(text, str):
            own = [mention for mentions in entities for mention in mentions if mention["sent_id"] == number]
            if {type(at) for mention in own for at in mention["pos"]} - {int}:
                raise TypeError("an offset is no number")
            words, spans = words_of(text, [tuple(mention["pos"]) for mention in own], segmented)
            sentences[number] = list(words)
            for mention, span in zip(own, spans, strict=True):
                mention["pos"] = list(span)
    return {**item, "sents_char": sentences, "vertex_char": entities}
