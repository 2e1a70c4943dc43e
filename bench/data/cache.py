"""Features on disk: one Arrow file per (data, tokenizer, relations, length), memory-mapped when read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from bench.data.documents import Document
from bench.data.features import FEATURE_VERSION, Features, WordPieces, build_features

ROWS_PER_BATCH = 256

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
    }
)


class FeatureFile(Sequence[Features]):
    """The features of one split, read from a memory-mapped Arrow file: opening it costs no memory."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            self.table = pa.ipc.open_file(source).read_all()
        self.lengths: NDArray[np.int64] = _list_lengths(self.table.column("input_ids"))
        self.mentions_cut = int(np.sum(self.table.column("mentions_cut").to_numpy()))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, i):  # type: ignore[no-untyped-def]
        if isinstance(i, slice):
            return [self[j] for j in range(*i.indices(len(self)))]
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        row = {name: self.table.column(name)[i % len(self)] for name in _SCHEMA.names}
        return Features(
            title=row["title"].as_py(),
            input_ids=_integers(row["input_ids"]),
            mention_entity=_integers(row["mention_entity"]),
            mention_position=_integers(row["mention_position"]),
            mention_end=_integers(row["mention_end"]),
            entities=row["entities"].as_py(),
            mentions_cut=row["mentions_cut"].as_py(),
            labels=_integers(row["labels"]).reshape(-1, 3),
            evidence=tuple(tuple(sentences) for sentences in row["evidence"].as_py()),
            sentences=_integers(row["sentences"]).reshape(-1, 2),
            pairs=_integers(row["pairs"]).reshape(-1, 2) if row["pairs"].is_valid else None,
        )


def features_of(
    documents: Sequence[Document],
    checksum: str,
    words: WordPieces,
    tokenizer_fingerprint: str,
    relations: Sequence[str],
    max_length: int,
    folder: Path,
) -> FeatureFile:
    """The cached features of `documents`, built if absent. `checksum` stands for the documents' content.

    Two processes that want the same file build it once: the second waits for the first.
    """
    identity = [FEATURE_VERSION, checksum, tokenizer_fingerprint, list(relations), max_length]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    path = folder / f"{key}.arrow"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            try:
                return FeatureFile(path)
            except (pa.ArrowInvalid, OSError):
                path.unlink()  # truncated by a full disk or a crash outside our control: build it again
        _write(build_features(documents, words, relations, max_length), path)
        return FeatureFile(path)


def _write(features: Iterable[Features], path: Path) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            for rows in _chunks(features, ROWS_PER_BATCH):
                writer.write_batch(pa.record_batch(_columns(rows), schema=_SCHEMA))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _columns(rows: Sequence[Features]) -> list[pa.Array]:
    values: dict[str, list[object]] = {name: [getattr(row, name) for row in rows] for name in _SCHEMA.names}
    for flattened in ("labels", "sentences", "pairs"):
        values[flattened] = [None if (v := getattr(row, flattened)) is None else v.reshape(-1) for row in rows]
    return [pa.array(values[field.name], type=field.type) for field in _SCHEMA]


def _chunks(items: Iterable[Features], size: int) -> Iterator[list[Features]]:
    chunk: list[Features] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _integers(value: pa.ListScalar) -> NDArray[np.int32]:
    array: NDArray[np.int32] = value.values.to_numpy(zero_copy_only=True)
    return array


def _list_lengths(column: pa.ChunkedArray) -> NDArray[np.int64]:
    import pyarrow.compute as pc

    lengths: NDArray[np.int64] = pc.list_value_length(column).to_numpy().astype(np.int64)
    return lengths
