"""DocRED's documents as Hugging Face's `datasets` keeps them: Parquet files, and Arrow files of `save_to_disk`.

    title: string   sents: list<list<string>>   vertexSet: list<list<struct<name, sent_id, pos, type>>>
    labels: list<struct<h, t, r, evidence>>, or <head, tail, relation_id, evidence>, or one struct of such lists

A row is a document, and is held to the same rules as an element of DocRED's JSON, under whose names problems are told.
`datasets` turns a list of structs into a struct of lists where its features say `Sequence`; both are read. Numbers of a
`ClassLabel` are the names that the schema's metadata has for them. A file of which no document has a label is one
without labels: an Arrow table has an empty list where JSON has nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data.documents import Document, no_cycle_search
from bench.data.formats.document_checks import DocumentChecker
from bench.data.formats.folder import checksum_of, files_of
from bench.data.formats.json_stream import scan_of
from bench.data.formats.scan import Problem, Scan, Source, nothing_read
from bench.filesystem import sha256_of

if TYPE_CHECKING:
    import pyarrow as pa

MARKS = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
"""How Parquet files, Arrow files and Arrow streams begin."""
ROWS = 1000
"""Rows that are made Python's at once."""
LABELS = "labels"
RENAMED = {"head": "h", "tail": "t", "relation_id": "r", "relation": "r"}
"""What labels have for DocRED's keys."""

Decoder = Callable[[Any], Any]


def is_table(path: Path) -> bool:
    """Whether a file begins as one of Parquet or Arrow does."""
    try:
        with path.open("rb") as file:
            return file.read(6).startswith(MARKS)
    except (OSError, ValueError):
        return False


def scan(path: Path, relations: Collection[str] | None = None, repeated_titles: bool = False) -> Scan:
    """Read and check a file, a folder of files or those of a pattern, as `bench.data.formats.docred.scan`."""
    checker = DocumentChecker(None if relations is None else frozenset(relations), repeated_titles)
    try:
        files = files_of(path)
        sources = [Source(file, file.stat().st_size, sha256_of(file)) for file in files]
    except OSError as error:
        return nothing_read(path, f"cannot be read: {error.strerror or error}")
    if not files:
        return nothing_read(path, "no Parquet or Arrow files")
    documents: list[Document] = []
    broken: list[Problem] = []
    count = 0
    with no_cycle_search():
        labelled = any(map(_has_labels, files))
        for file in files:
            try:
                for item in _items(file, labelled):
                    if (document := checker.check(count, item)) is not None:
                        documents.append(document)
                    count += 1
            except _NotReadableError as error:
                broken.append(Problem(None, "", file.name, str(error)))
    if not count and not broken:
        broken.append(Problem(None, "", "", "expected at least one document, found a table without rows"))
    whole = sources[0] if files == [path] else _whole(path, sources)
    return scan_of(path, checker, documents, count, broken, whole)


class _NotReadableError(Exception):
    """A file that is no Parquet and no Arrow file, or not a whole one, or has values that cannot be read."""


def _whole(path: Path, sources: list[Source]) -> Source:
    size = sum(source.size for source in sources)
    return Source(path, size, checksum_of((source.path.name, source.sha256) for source in sources))


def _items(file: Path, labelled: bool) -> Iterator[Any]:
    """The rows of a file as elements of DocRED's JSON."""
    decoders: dict[str, Decoder] | None = None
    for batch in _batches(file):
        if decoders is None:
            decoders = _decoders(batch.schema)
        for row in _rows(batch):
            for column, decode in decoders.items():
                row[column] = decode(row[column])
            yield _as_docred(row, labelled)


def _has_labels(file: Path) -> bool:
    """Whether any document of a file has a label; looks no further than the first that has."""
    try:
        for batch in _batches(file, LABELS):
            for labels in (row[LABELS] for row in _rows(batch)):
                if any(labels.values()) if isinstance(labels, dict) else labels:
                    return True
    except _NotReadableError:  # which is said where its rows are read
        return False
    return False


def _batches(file: Path, column: str | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file, of one column alone if it is named; none where the file lacks it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _explained(), file.open("rb") as opened:
        mark = opened.read(6)
        opened.seek(0)
        if mark.startswith(MARKS[0]):
            table = pq.ParquetFile(opened)
            if column is None or column in table.schema_arrow.names:
                yield from table.iter_batches(ROWS, columns=None if column is None else [column])
            return
        if mark.startswith(MARKS[1]):
            stored = pa.ipc.open_file(opened)
            batches = map(stored.get_batch, range(stored.num_record_batches))
        else:
            stored = pa.ipc.open_stream(opened)
            batches = iter(stored)
        if column is not None and column not in stored.schema.names:
            return
        for batch in batches:
            for first in range(0, batch.num_rows, ROWS):
                rows = batch.slice(first, ROWS)
                yield rows if column is None else rows.select([column])


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Rows as Python's objects. Raises _NotReadableError where it has none for a value: text that is no UTF-8, say."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
        return rows
    except (ValueError, OverflowError):  # it says of what, but not where
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            try:
                column.to_pylist()
            except (ValueError, OverflowError) as error:
                reason = f"column {name!r}, of type {column.type}: a value that cannot be read ({error})"
                raise _NotReadableError(reason) from None
        raise


@contextmanager
def _explained() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise _NotReadableError(f"no Parquet or Arrow file, or damaged or cut off ({reason})") from None


def _as_docred(row: dict[str, Any], labelled: bool) -> dict[str, Any]:
    """A row with the lists and keys of DocRED's JSON. What is of no shape that is known stays, and is told as such."""
    item = {key: value for key, value in row.items() if value is not None}
    entities = _objects(item.get("vertexSet"))
    if isinstance(entities, list):
        item["vertexSet"] = list(map(_objects, entities))
    if not labelled:
        item.pop(LABELS, None)
    elif isinstance(labels := _objects(item.get(LABELS)), list):
        item[LABELS] = list(map(_as_label, labels))
    return item


def _as_label(label: Any) -> Any:
    if not isinstance(label, dict):
        return label
    named = {RENAMED[key] if key in RENAMED and RENAMED[key] not in label else key: v for key, v in label.items()}
    return {key: value for key, value in named.items() if value is not None}


def _objects(value: Any) -> Any:
    """A struct of lists of one length as the list of structs that it stands for; anything else as it is."""
    if not isinstance(value, dict) or not all(isinstance(column, list) for column in value.values()):
        return value
    if len(set(map(len, value.values()))) > 1:
        return value
    return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _decoders(schema: pa.Schema) -> dict[str, Decoder]:
    """Of each column with a `ClassLabel` in it, what puts names in the place of its numbers."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    decoders = {}
    for column in schema.names:
        decode = _decoder(features.get(column)) if isinstance(features, dict) else None
        if decode is not None:
            decoders[column] = decode
    return decoders


def _decoder(feature: Any) -> Decoder | None:
    """What decodes values of a feature; None where there is nothing to decode in it."""
    if isinstance(feature, list):
        return _of_list(_decoder(feature[0])) if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        return _of_class(feature.get("names"))
    if "_type" not in feature:
        return _of_struct({key: decode for key, inner in feature.items() if (decode := _decoder(inner)) is not None})
    inner = feature.get("feature")
    if isinstance(inner, dict) and "_type" not in inner:  # a struct of lists, or a list of structs
        by_key = {key: decode for key, of_key in inner.items() if (decode := _decoder(of_key)) is not None}
        lists, structs = _of_struct({key: _list_of(decode) for key, decode in by_key.items()}), _of_struct(by_key)
        if lists is None or structs is None:
            return None
        return lambda value: lists(value) if isinstance(value, dict) else _list_of(structs)(value)
    return _of_list(_decoder(inner))


def _of_class(names: Any) -> Decoder | None:
    if not isinstance(names, list):
        return None
    return lambda number: names[number] if isinstance(number, int) and 0 <= number < len(names) else number


def _of_struct(by_key: dict[str, Decoder]) -> Decoder | None:
    if not by_key:
        return None

    def decode(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: by_key[key](inner) if key in by_key else inner for key, inner in value.items()}

    return decode


def _of_list(decode: Decoder | None) -> Decoder | None:
    return None if decode is None else _list_of(decode)


def _list_of(decode: Decoder) -> Decoder:
    return lambda value: list(map(decode, value)) if isinstance(value, list) else value
