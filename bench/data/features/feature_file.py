"""Features as Arrow files: what a part holds, and a split read from its parts, mapped into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.data.features.build import Features

Ints = NDArray[np.int32]

_INTS = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    {
        "title": pa.string(),
        "input_ids": _INTS,
        "mention_entity": _INTS,
        "mention_position": _INTS,
        "mention_end": _INTS,
        "entities": pa.int32(),
        "mentions_cut": pa.int32(),
        "labels": _INTS,
        "evidence": pa.list_(_INTS),
        "sentences": _INTS,
        "pairs": _INTS,  # null where the data set names no candidates
        "entity_types": pa.list_(pa.dictionary(pa.int32(), pa.string())),
        "word_starts": pa.list_(pa.uint8()),  # a bit for each piece: most words begin with one of their own
        "words_without_pieces": _INTS,  # and those that begin where another does
        "words": pa.list_(pa.list_(pa.string())),  # null where they are not kept
    }
)
_LISTS = tuple(field.name for field in _SCHEMA if field.type == _INTS)


def part_content(rows: Sequence[Features]) -> bytes:
    """The file of a part with these rows: the same bytes for the same rows."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _SCHEMA) as writer:
        writer.write_batch(pa.record_batch([_column(rows, field) for field in _SCHEMA], schema=_SCHEMA))
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _column(rows: Sequence[Features], field: pa.Field) -> pa.Array:
    if field.name == "word_starts":
        return _lists([_begun(row)[0] for row in rows], np.uint8)
    if field.name == "words_without_pieces":
        return _lists([_begun(row)[1] for row in rows])
    values = [getattr(row, field.name) for row in rows]
    if field.name == "entity_types":
        names = sorted({name for types in values for name in types})
        code_of = {name: code for code, name in enumerate(names)}
        codes = pa.array([code_of[name] for types in values for name in types], type=pa.int32())
        types = pa.DictionaryArray.from_arrays(codes, pa.array(names, type=pa.string()))
        return pa.ListArray.from_arrays(_offsets(map(len, values)), types)
    if field.type == _INTS:
        return _lists([None if value is None else value.reshape(-1) for value in values])
    if field.name == "evidence":
        inner = [sentences for of_document in values for sentences in of_document]
        flat = pa.array(list(chain.from_iterable(inner)), type=pa.int32())
        sentences = pa.ListArray.from_arrays(_offsets(map(len, inner)), flat)
        return pa.ListArray.from_arrays(_offsets(map(len, values)), sentences)
    return pa.array(values, type=field.type)


def _begun(row: Features) -> tuple[NDArray[np.uint8], Ints]:
    """Where words begin, as bits; and once more where so many do that a bit is not enough."""
    begun = np.zeros(len(row), dtype=np.bool_)
    begun[row.word_starts] = True
    again = row.word_starts[1:][np.diff(row.word_starts) == 0]
    return np.packbits(begun), again


def _word_starts(bits: NDArray[np.uint8], again: Ints) -> Ints:
    begun = np.flatnonzero(np.unpackbits(bits)).astype(np.int32)
    return np.sort(np.concatenate([begun, again])) if len(again) else begun


def _lists(values: Sequence[NDArray[Any] | None], kind: type[np.generic] = np.int32) -> pa.Array:
    """A column of lists; built from one array, where one Python object for each would take most of the time."""
    flat = np.concatenate([np.empty(0, dtype=kind), *(value for value in values if value is not None)])
    offsets = _offsets(0 if value is None else len(value) for value in values)
    missing = np.array([value is None for value in values])
    mask = pa.array(missing) if missing.any() else None
    return pa.ListArray.from_arrays(offsets, pa.array(flat), mask=mask)


def _offsets(lengths: Any) -> pa.Array:
    return pa.array(np.cumsum([0, *lengths], dtype=np.int32), type=pa.int32())


class _Part:
    """The rows of one file, as views of its mapped bytes."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            batch = pa.ipc.open_file(source).get_batch(0)
        self.rows = int(batch.num_rows)
        self.titles = batch.column("title")
        self.entities: Ints = batch.column("entities").to_numpy()
        self.mentions_cut: Ints = batch.column("mentions_cut").to_numpy()
        self.lists: dict[str, tuple[Ints, NDArray[Any]]] = {name: _list_views(batch.column(name)) for name in _LISTS}
        self.has_pairs = batch.column("pairs").is_valid().to_numpy(zero_copy_only=False)
        evidence = batch.column("evidence")
        self.evidence_offsets: Ints = evidence.offsets.to_numpy()
        self.evidence = _list_views(evidence.values)
        self.word_bits = _list_views(batch.column("word_starts"))
        types = batch.column("entity_types")
        self.type_offsets: Ints = types.offsets.to_numpy()
        self.type_codes: Ints = types.values.indices.to_numpy()
        self.type_names: list[str] = types.values.dictionary.to_pylist()
        self.words = batch.column("words")

    def ints(self, name: str, i: int) -> Ints:
        offsets, values = self.lists[name]
        return values[offsets[i] : offsets[i + 1]]

    def lengths(self, name: str) -> NDArray[np.int64]:
        return np.diff(self.lists[name][0]).astype(np.int64)

    def features(self, i: int) -> Features:
        offsets, values = self.evidence
        first, last = self.evidence_offsets[i], self.evidence_offsets[i + 1]
        bounds = offsets[first : last + 1].tolist()
        bit_offsets, bits = self.word_bits
        types, words = self.type_codes[self.type_offsets[i] : self.type_offsets[i + 1]].tolist(), self.words[i].as_py()
        return Features(
            title=self.titles[i].as_py(),
            input_ids=self.ints("input_ids", i),
            mention_entity=self.ints("mention_entity", i),
            mention_position=self.ints("mention_position", i),
            mention_end=self.ints("mention_end", i),
            entities=int(self.entities[i]),
            mentions_cut=int(self.mentions_cut[i]),
            labels=self.ints("labels", i).reshape(-1, 3),
            evidence=tuple([tuple(values[a:b].tolist()) for a, b in pairwise(bounds)]),
            sentences=self.ints("sentences", i).reshape(-1, 2),
            entity_types=tuple([self.type_names[code] for code in types]),
            word_starts=_word_starts(bits[bit_offsets[i] : bit_offsets[i + 1]], self.ints("words_without_pieces", i)),
            pairs=self.ints("pairs", i).reshape(-1, 2) if self.has_pairs[i] else None,
            words=None if words is None else tuple(map(tuple, words)),
        )


def _list_views(column: pa.Array) -> tuple[Ints, NDArray[Any]]:
    """Where each list begins (and the last ends), and the numbers of all: no copies."""
    return column.offsets.to_numpy(), column.values.to_numpy()


UNREADABLE = (pa.ArrowException, KeyError, OSError)
"""What opening a file raises that is not one of features."""


class FeatureFile(Sequence[Features]):
    """The features of one split, from memory-mapped Arrow files: opening it costs no memory.

    Raises one of UNREADABLE for a part that is truncated, gone or something else.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts = [_Part(path) for path in paths]
        self._ends = np.cumsum([part.rows for part in self._parts], dtype=np.int64)
        self.lengths = self._joined(lambda part: part.lengths("input_ids"))
        self.mentions_cut = int(self._joined(lambda part: part.mentions_cut).sum())

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i):  # type: ignore[no-untyped-def]
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        i %= len(self)
        part = int(np.searchsorted(self._ends, i, side="right"))
        return self._parts[part].features(i - int(self._ends[part - 1] if part else 0))

    def mentions(self) -> NDArray[np.int64]:
        """How many mentions each document has: [documents]."""
        return self._joined(lambda part: part.lengths("mention_entity"))

    def entity_types(self) -> tuple[str, ...]:
        """The types of entities that the documents name, sorted."""
        return tuple(sorted({name for part in self._parts for name in part.type_names} - {""}))

    def digest(self, *names: str) -> str:
        """Of the word pieces and the like of all documents, whatever parts they are in: 64 hex digits."""
        content = hashlib.sha256()
        for name in names:
            content.update(self._joined(lambda part: part.lengths(name)).tobytes())  # noqa: B023
            for part in self._parts:
                offsets, values = part.lists[name]
                content.update(values[offsets[0] : offsets[-1]].tobytes())
        return content.hexdigest()

    def label_rates(self, relations: int) -> tuple[float, ...]:
        """The share of all candidate pairs that carry each of the `relations` labels, a pair's label counted once."""
        pairs = 0
        counts = np.zeros(relations, dtype=np.int64)
        for part in self._parts:
            entities = part.entities.astype(np.int64)
            every = entities * (entities - 1)
            pairs += int(np.where(part.has_pairs, part.lengths("pairs") // 2, every).sum())
            offsets, values = part.lists["labels"]
            document = np.repeat(np.arange(part.rows), np.diff(offsets) // 3)
            distinct = np.unique(np.column_stack([document, values.reshape(-1, 3)]), axis=0)
            counts += np.bincount(distinct[:, 3], minlength=relations)
        return tuple((counts / max(1, pairs)).tolist())

    def _joined(self, numbers: Callable[[_Part], NDArray[Any]]) -> NDArray[np.int64]:
        columns = [numbers(part) for part in self._parts]
        return np.concatenate([np.empty(0, dtype=np.int64), *columns])
