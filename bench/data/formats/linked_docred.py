"""Linked-DocRED and Linked-Re-DocRED (Genest et al., SIGIR 2023): DocRED's form with more said of an entity.

    [{"title": str, "sents": [[word, ...], ...],
      "entities": [{"id": int, "type": str, "mentions": [{"name": str, "sent_id": int, "pos": [start, end]}, ...],
                    "entity_linking": {...}}, ...],
      "relations": [{"h": id, "t": id, "r": str, "evidence": [int, ...]}, ...]}, ...]

Relations name entities by id; here, as in predictions, they are numbered by their place in the list. A type belongs to
an entity, not to its mentions. Not read: `entity_linking`, `text`, and `old-entities` of the test file, which are
DocRED's own entities, some of which this corpus has joined.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from bench.data.documents import Document
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.json_stream import scan_list
from bench.data.formats.scan import Scan, short, shown
from bench.data.formats.sound import Columns, Keys

KEYS = Keys(entities="entities", labels="relations")


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a whole file, as `bench.data.formats.docred.scan`."""
    return scan_list(path, LinkedChecker(None if relations is None else frozenset(relations), repeated_titles))


def sound_document(item: Any) -> Document:
    """The document of an element in which nothing is wrong: made without looking again."""
    return _columns_of(item).document()


class LinkedChecker(DocumentChecker):
    """Turns decoded JSON into Documents and collects problems and notes over one file."""

    keys = KEYS
    labels_field = KEYS.labels
    required = ("title", "sents", "entities")

    def columns_of(self, item: Any) -> Columns:
        """As `DocumentChecker.columns_of`."""
        return _columns_of(item)

    def _check_entities(self, item: dict[str, Any], lengths: list[int | None] | None) -> None:
        value = self.get(item, "entities", list, "entities", "a list of entities")
        ids: set[int] = set()
        for index, entity in enumerate(value or []):
            field = f"entities[{index}]"
            if not isinstance(entity, dict):
                self.problem(shown(field, entity), "expected an entity (an object with id, type, mentions)")
                continue
            id_ = self.get(entity, "id", int, f"{field}.id", "a number (an integer)")
            if id_ in ids:
                self.problem(shown(f"{field}.id", id_), "the id of an entity before")
            ids |= {id_} - {None}
            self.get(entity, "type", str, f"{field}.type", "a string")
            mentions = self.get(entity, "mentions", list, f"{field}.mentions", "a list of mentions")
            for at, mention in enumerate(mentions or []):
                # The type is the entity's, whose problem it would be.
                typed = {**mention, "type": ""} if isinstance(mention, dict) else mention
                self._check_mention(f"{field}.mentions[{at}]", typed, lengths)

    def _entities_of(self, item: dict[str, Any]) -> Collection[int] | None:
        entities = item.get("entities")
        if not isinstance(entities, list):
            return None
        ids = [entity["id"] for entity in entities if isinstance(entity, dict) and type(entity.get("id")) is int]
        # Where an id is wrong, which one a relation meant cannot be told.
        return ids if len(ids) == len(entities) else None

    def _named(self, entities: Collection[int]) -> str:
        return (
            f"ids {', '.join(map(short, list(entities)[:10]))}{', ...' * (len(entities) > 10)}" if entities else "none"
        )


def _columns_of(item: Any) -> Columns:
    """The columns of a decoded element. Raises TypeError, ValueError, LookupError and AttributeError."""
    entities, labels = item["entities"], item.get("relations", [])
    ids, types = [entity["id"] for entity in entities], [entity["type"] for entity in entities]
    lists = [entities, labels, *(entity["mentions"] for entity in entities)]
    arguments = [label[key] for label in labels for key in "ht"]
    number = {id_: index for index, id_ in enumerate(ids)}
    if set(map(type, lists)) != {list} or set(map(type, [*ids, *arguments])) - {int} or len(number) < len(ids):
        raise ValueError("a list, a number or an id is none")
    "".join(types).encode()  # raises where one is no text
    flat = {
        "title": item["title"],
        "sents": item["sents"],
        "entities": [
            [{**mention, "type": type_} for mention in entity["mentions"]]
            for entity, type_ in zip(entities, types, strict=True)
        ],
    }
    if "relations" in item:
        flat["relations"] = [{**label, "h": number[label["h"]], "t": number[label["t"]]} for label in labels]
    return Columns.of(flat, KEYS)
