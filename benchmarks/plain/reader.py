"""Documents to word pieces as models.md 1.1 says it, the way it is usually programmed: every word tokenised where it is
met, markers and labelled pairs looked up in lists, a row of relations for every pair.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase


class PlainDocument(NamedTuple):
    """markers: of each entity where its mentions' markers are.   labels: for each of `pairs` one number a relation."""

    title: str
    input_ids: list[int]
    markers: list[list[int]]
    pairs: list[list[int]]
    labels: list[list[int]]


def read(
    path: Path, tokenizer: PreTrainedTokenizerBase, relations: Sequence[str], max_length: int
) -> Iterator[PlainDocument]:
    with path.open(encoding="utf-8") as file:
        documents = json.load(file)
    for document in documents:
        yield _document(document, tokenizer, relations, max_length)


def _document(
    document: dict[str, Any], tokenizer: PreTrainedTokenizerBase, relations: Sequence[str], max_length: int
) -> PlainDocument:
    firsts, lasts = [], []
    for entity in document["vertexSet"]:
        for mention in entity:
            firsts.append((mention["sent_id"], mention["pos"][0]))
            lasts.append((mention["sent_id"], mention["pos"][1] - 1))
    tokens: list[str] = []
    position_of: list[dict[int, int]] = []
    for s, sentence in enumerate(document["sents"]):
        positions = {}
        for w, word in enumerate(sentence):
            positions[w] = len(tokens)
            pieces = tokenizer.tokenize(word)
            if (s, w) in firsts:
                pieces = ["*", *pieces]
            if (s, w) in lasts:
                pieces = [*pieces, "*"]
            tokens.extend(pieces)
        position_of.append(positions)
    tokens = tokens[: max_length - 2]
    markers = []
    for entity in document["vertexSet"]:
        at = [position_of[mention["sent_id"]][mention["pos"][0]] for mention in entity]
        markers.append([position + 1 for position in at if position < max_length - 2])
    pairs, labels = [], []
    for label in document.get("labels", []):
        pair = [label["h"], label["t"]]
        if pair not in pairs:
            pairs.append(pair)
            labels.append([0] * len(relations))
        labels[pairs.index(pair)][relations.index(label["r"])] = 1
    for head in range(len(document["vertexSet"])):
        for tail in range(len(document["vertexSet"])):
            if head != tail and [head, tail] not in pairs:
                pairs.append([head, tail])
                labels.append([0] * len(relations))
    first, last = tokenizer("").input_ids
    ids = tokenizer.convert_tokens_to_ids(tokens)
    return PlainDocument(document["title"], [first, *ids, last], markers, pairs, labels)
