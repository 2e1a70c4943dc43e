"""Answers of language models as predictions: what can be read without guessing, and the rest counted by reason.

A line is a JSON object with a document's `title` and either `triples`, a list, or `answer`, the model's words, in which
the first JSON list is taken. A triple is `{"head", "relation", "tail"}` or `[head, relation, tail]`, with `evidence`
(sentence numbers) and `score` if there are any. Entities are named by number or by a name of one of their mentions,
relations by id or by name; a name that is nearly one of them, and of no other, is taken as that and counted.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.data.documents import Document
from bench.errors import UsageError
from bench.metrics.submission import Prediction

NEAR = 0.85
"""How alike two names have to be, by the share of characters in common (`difflib`), for one to stand for the other."""
EXAMPLES = 3
"""So many examples are kept of each reason."""
REPEATS = "keys given twice"
"""The key of what is read in place of an object with a key twice: the keys that it has."""


@dataclass
class Reading:
    """What became of the answers. predictions: what was read.   refused, taken: why some was not, or was only nearly.

    Both by reason, in words: how often, and some examples.
    """

    predictions: list[Prediction] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def refuse(self, reason: str, example: object) -> None:
        """Count something that was not read."""
        self.refused[reason] += 1
        self._keep(reason, example)

    def take(self, reason: str, example: object) -> None:
        """Count something that was read as what it nearly is."""
        self.taken[reason] += 1
        self._keep(reason, example)

    def _keep(self, reason: str, example: object) -> None:
        examples = self.examples[reason]
        text = example if isinstance(example, str) else json.dumps(example, ensure_ascii=False)
        if len(examples) < EXAMPLES and (short := text[:80]) not in examples:
            examples.append(short)


def read_answers(
    path: Path, documents: Sequence[Document], relations: Sequence[str], names: Mapping[str, str]
) -> Reading:
    """The predictions in a file of answers about `documents`, a JSON object a line.

    relations: their ids.   names: of each id. A document without an answer is counted as one. Raises UsageError for a
    file that cannot be read, or in which no line is an object.
    """
    reading = Reading()
    by_title = {document.title: document for document in documents}
    known = _Relations(relations, names)
    answered: set[str] = set()
    lines = 0
    for number, line in _lines(path):
        lines += 1
        row = _object(line)
        if row is None:
            reading.refuse("a line that is no JSON object", f"line {number}: {line}")
            continue
        if REPEATS in row:
            reading.refuse("a line that gives a key twice", f"line {number}: {line}")
            continue
        title = row.get("title")
        document = by_title.get(title) if isinstance(title, str) else None
        if document is None:
            reading.refuse("an answer about no document of the split", f"line {number}: {title!r}")
        elif document.title in answered:
            reading.refuse("a second answer about a document", f"line {number}: {title!r}")
        else:
            answered.add(document.title)
            _read_triples(row, _Entities(document), known, reading)
    if lines and not answered and reading.refused["a line that is no JSON object"] == lines:
        raise UsageError(f'{path}: expected a JSON object a line, {{"title": ..., "triples": [...]}}; no line is one')
    for document in documents:
        if document.title not in answered:
            reading.refuse("a document without an answer", document.title)
    return reading


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not empty, numbered from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start:,})") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.strip()


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object that JSON says; in place of one with a key twice, of which only the last would be read, REPEATS."""
    row = dict(pairs)
    return row if len(row) == len(pairs) else {REPEATS: [key for key, _ in pairs]}


def _read_triples(row: Mapping[str, Any], entities: _Entities, relations: _Relations, reading: Reading) -> None:
    triples = row.get("triples")
    if triples is None and isinstance(row.get("answer"), str):
        triples = _first_list(row["answer"])
    if not isinstance(triples, list):
        reading.refuse("an answer without a list of triples", entities.document.title)
        return
    seen: set[tuple[int, int, str]] = set()
    for triple in triples:
        prediction = _prediction(triple, entities, relations, reading)
        if prediction is None:
            continue
        if (same := (prediction.head, prediction.tail, prediction.relation)) in seen:
            reading.refuse("a triple that was there before", triple)
            continue
        seen.add(same)
        reading.predictions.append(prediction)


def _first_list(answer: str) -> list[Any] | None:
    """The first JSON list of objects or lists in a model's words, or an empty one; None where there is none.

    What a model thinks aloud before it answers (`</think>` ends that) is not its answer.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_repeats)
    answer = answer.rpartition("</think>")[2]
    for start in re.finditer(r"\[", answer):
        try:
            value, _ = decoder.raw_decode(answer, start.start())
        except (ValueError, RecursionError):
            continue
        if all(isinstance(item, (dict, list)) for item in value):
            return list(value)
    return None


def _prediction(triple: Any, entities: _Entities, relations: _Relations, reading: Reading) -> Prediction | None:
    """What a triple says; None, with its reason counted, where that cannot be read."""
    if isinstance(triple, list) and len(triple) == 3:
        triple = dict(zip(("head", "relation", "tail"), triple, strict=True))
    if isinstance(triple, dict) and REPEATS in triple:
        reading.refuse("a triple that gives a key twice", ", ".join(triple[REPEATS]))
        return None
    if not (isinstance(triple, dict) and {"head", "relation", "tail"} <= triple.keys()):
        reading.refuse("a triple that is not head, relation and tail", triple)
        return None
    # One reason for each triple that is not read: the first.
    if (head := entities.find(triple["head"], reading)) is None:
        return None
    if (tail := entities.find(triple["tail"], reading)) is None:
        return None
    if (relation := relations.find(triple["relation"], reading)) is None:
        return None
    if head == tail:
        reading.refuse("a triple of an entity with itself", triple)
        return None
    evidence, score = triple.get("evidence"), triple.get("score")
    if evidence is not None and not entities.are_sentences(evidence):
        reading.take("evidence that names no sentences of the document: left out", triple)
        evidence = None
    if score is not None and not (type(score) in (int, float) and math.isfinite(score)):
        reading.take("a score that is no finite number: left out", triple)
        score = None
    sentences = None if evidence is None else tuple(sorted(set(evidence)))
    return Prediction(entities.document.title, head, tail, relation, sentences, score)


def _folded(name: str) -> str:
    """A name without what people write differently: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


class _Entities:
    """The entities of a document, by number and by name."""

    def __init__(self, document: Document) -> None:
        self.document = document

    @cached_property
    def _by_name(self) -> dict[str, set[int]]:
        by_name: dict[str, set[int]] = defaultdict(set)
        for number, mentions in enumerate(self.document.entities):
            for mention in mentions:
                by_name[_folded(mention.name)].add(number)
        return by_name

    def find(self, said: Any, reading: Reading) -> int | None:
        """The number of the entity that is meant; None, counted, where that is not clear."""
        found = self._by_name.get(_folded(said), set()) if isinstance(said, str) else set()
        number = int(said) if isinstance(said, str) and re.fullmatch(r"\d{1,9}", said.strip()) else said
        if type(number) is int:
            is_number = 0 <= number < len(self.document.entities)
            if is_number and not found - {number}:
                return number
            if is_number:
                reading.refuse("a name that is the number of another entity", said)
                return None
            if not found:
                reading.refuse("an entity number that the document lacks", said)
                return None
        if not isinstance(said, str):
            reading.refuse("an entity that is neither number nor name", said)
            return None
        if len(found) == 1:
            return next(iter(found))
        reading.refuse("a name of several entities" if found else "a name of no entity", said)
        return None

    def are_sentences(self, evidence: Any) -> bool:
        """Whether it is a list of numbers of sentences."""
        count = len(self.document.sentences)
        return isinstance(evidence, list) and all(type(number) is int and 0 <= number < count for number in evidence)


class _Relations:
    """The relations of a data set, by id, by name and by what is nearly one of these."""

    def __init__(self, relations: Sequence[str], names: Mapping[str, str]) -> None:
        self._ids = frozenset(relations)
        self._by_name: dict[str, set[str]] = defaultdict(set)
        for relation in relations:
            for name in (relation, names.get(relation, relation)):
                self._by_name[_folded(name)].add(relation)
        self._near: dict[str, set[str]] = {}

    def find(self, said: Any, reading: Reading) -> str | None:
        """The id of the relation that is meant; None, counted, where that is not clear."""
        if not isinstance(said, str):
            reading.refuse("a relation that is no text", said)
            return None
        if said in self._ids:
            return said
        name = _folded(said)
        found = self._by_name.get(name)
        if found is None:
            found = self._nearly(name)
            if len(found) == 1:
                reading.take("a relation by nearly its name", f"{said} -> {next(iter(found))}")
        if len(found) == 1:
            return next(iter(found))
        reading.refuse("a relation name of several relations" if found else "a relation that there is not", said)
        return None

    def _nearly(self, name: str) -> set[str]:
        if name not in self._near:
            alike = difflib.get_close_matches(name, self._by_name, n=5, cutoff=NEAR)
            self._near[name] = set().union(*(self._by_name[other] for other in alike))
        return self._near[name]
