"""What a language model is told of a document: its text with numbered entities, and the relations to look for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.data.documents import Document, gaps


def marked_text(sentences: Sequence[Sequence[str]], entities: Sequence[Sequence[Any]]) -> list[str]:
    """Each sentence as text, every mention in brackets with the number of its entity: `[Ada Lovelace|3] met ...`.

    Mentions within mentions are brackets within brackets.
    """
    opening: dict[tuple[int, int], list[tuple[int, int]]] = {}
    closing: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, mentions in enumerate(entities):
        for mention in mentions:
            opening.setdefault((mention.sentence, mention.start), []).append((mention.end, number))
            closing.setdefault((mention.sentence, mention.end), []).append((mention.start, number))
    texts = []
    for s, words in enumerate(sentences):
        marked = []
        for at, (gap, word) in enumerate(zip(gaps(words), words, strict=True)):
            # Of mentions that begin at a word the longest is opened first, and of those that end there closed last.
            before = "".join("[" for _ in opening.get((s, at), ()))
            after = "".join(f"|{number}]" for _, number in sorted(closing.get((s, at + 1), ()), reverse=True))
            marked.append(f"{gap}{before}{word}{after}")
        texts.append("".join(marked))
    return texts


def described_relations(
    relations: Iterable[str], names: Mapping[str, str], descriptions: Mapping[str, str]
) -> list[dict[str, str]]:
    """Each relation with its name, and what it means where that is known."""
    return [
        {"id": relation, "name": names.get(relation, relation)}
        | ({"description": descriptions[relation]} if relation in descriptions else {})
        for relation in relations
    ]


def prompts(documents: Iterable[Document], relations: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """A JSON object for each document, without its labels.

    title: to be given back with the answer.   sentences: numbered from 0, as `marked_text` has them.
    entities: number, type and names of each.   candidates: the pairs [head, tail] to be looked at, by number; null for
    all pairs of two different entities.   relations: `described_relations`.
    """
    for document in documents:
        entities = [
            {
                "number": number,
                "type": document.entity_type(number),
                "names": list(dict.fromkeys(mention.name for mention in mentions)),
            }
            for number, mentions in enumerate(document.entities)
        ]
        candidates = None if document.candidates is None else [list(pair) for pair in document.candidates]
        yield {
            "title": document.title,
            "sentences": marked_text(document.sentences, document.entities),
            "entities": entities,
            "candidates": candidates,
            "relations": list(relations),
        }
