"""Submissions: predictions in DocRED's JSON form, read with every problem reported at once, and written."""

from __future__ import annotations

import gzip
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import IO, Any, NamedTuple

from bench.data.documents import Document, Triple, no_cycle_search
from bench.data.formats.json_stream import (
    TWICE,
    BrokenJson,
    RepeatedKey,
    kind_of,
    list_items,
    noting,
    places_of,
)
from bench.data.formats.scan import BLOCK, SHOWN_PROBLEMS
from bench.errors import UsageError, plural
from bench.filesystem import write_atomically, write_checksum

ARCHIVED = "result.json"
"""What DocRED's server calls the predictions in an archive."""
_FIELDS = ("title", "h_idx", "t_idx", "r")
_ROWS_AT_ONCE = 1 << 14


class Prediction(NamedTuple):
    """One row of a submission. `evidence` are sentence indices; None where evidence or score were not predicted."""

    title: str
    head: int
    tail: int
    relation: str
    evidence: tuple[int, ...] | None = None
    score: float | None = None

    @property
    def triple(self) -> Triple:
        """The triple that is evaluated: title, head, tail, relation."""
        return (self.title, self.head, self.tail, self.relation)


def read_submission(path: Path | str, on_read: Callable[[int], None] = lambda size: None) -> list[Prediction]:
    """The predictions of a submission file, in its order, duplicates included.

    A JSON list of `{"title", "h_idx", "t_idx", "r"}`, optionally with `"evidence"` (sentence indices) and `"score"`;
    other fields are ignored. The file may be gzipped, or a zip archive with `result.json` in it, whatever its name.
    on_read: told of every piece that has been read, in unpacked bytes.
    Raises `UsageError` naming every row and field that is not as expected, also a key that stands twice in a row (the
    first 50 in full), or why the file cannot be read.
    """
    predictions: list[Prediction] = []
    problems = _Problems()
    with no_cycle_search():
        rows = _rows(path, on_read, problems.twice)
        while some := list(islice(rows, _ROWS_AT_ONCE)):
            if problems.twice or (sound := _predictions(some)) is None:
                problems.look_through(some)
            else:
                predictions += sound
            problems.rows += len(some)
    if problems.count:
        raise UsageError(problems.report(path))
    return predictions


def either_way_round(predictions: Iterable[Prediction], documents: Iterable[Document]) -> list[Prediction]:
    """The predictions with each pair in the order in which it is a candidate or labelled; others as they are.

    For documents in which a pair counts either way round, and stands one way.
    """
    pairs = {
        document.title: {*(document.candidates or ()), *(label[:2] for label in document.labels)}
        for document in documents
    }
    none: set[tuple[int, int]] = set()
    return [
        row._replace(head=row.tail, tail=row.head) if (row.tail, row.head) in pairs.get(row.title, none) else row
        for row in predictions
    ]


def write_submission(path: Path | str, predictions: Iterable[Prediction]) -> None:
    """Write predictions in the form `read_submission` reads, one row a line; the file appears whole or not at all.

    A path that ends in .zip gets what DocRED's server takes: `result.json` in an archive. Raises `ValueError` for a
    score that is not finite (JSON has no such number).
    """
    content = submission_bytes(predictions)
    write_atomically(Path(path), _zipped(content) if Path(path).suffix == ".zip" else content)


def keep_submission(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions that belong to a run: with their checksum beside them."""
    write_submission(path, predictions)
    write_checksum(path)


def submission_bytes(predictions: Iterable[Prediction]) -> bytes:
    """What `write_submission` writes of the predictions. Raises `ValueError` for a score that is not finite."""
    rows = ",\n".join(json.dumps(_row(prediction), allow_nan=False) for prediction in predictions)
    return f"[\n{rows}\n]\n".encode("ascii")


def _rows(path: Path | str, on_read: Callable[[int], None], twice: dict[int, list[str]]) -> Iterator[Any]:
    """The items of the list in a submission. Raises UsageError with the line for what is not UTF-8 or not JSON.

    twice: where to note the keys that stand twice in an object, by the number of the row.
    """

    def no_list(value: Any, several: bool) -> str:
        found = kind_of(value) + (" and more after it" if several else "")
        return f'expected a list of {{"title": ..., "h_idx": ..., "t_idx": ..., "r": ...}}, found {found}'

    repeated: list[RepeatedKey] = []
    for number, (item, _) in enumerate(list_items(_blocks(path, on_read), "JSON", no_list, noting(repeated))):
        if isinstance(item, BrokenJson):
            raise UsageError(": ".join(part for part in (str(path), item.field, item.expected) if part))
        if repeated:
            twice[number] = places_of(item, repeated)
            repeated.clear()
        yield item


def _blocks(path: Path | str, on_read: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a file, out of their archive or unzipped where they are in one. Raises UsageError."""
    try:
        with _opened(path) as file:
            while block := file.read(BLOCK):
                on_read(len(block))
                yield block
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, NotImplementedError, RuntimeError) as error:
        # RuntimeError: an archive with a password. NotImplementedError: a compression nobody here knows.
        raise UsageError(f"{path}: cannot be unpacked: {error}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


@contextmanager
def _opened(path: Path | str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with open(path, "rb") as file:
        beginning = file.peek(4)
        if beginning.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            with zipfile.ZipFile(file) as archive, archive.open(_archived(archive, path)) as inside:
                yield inside
        elif beginning.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=file) as inside:
                yield inside
        else:
            yield file


def _archived(archive: zipfile.ZipFile, path: Path | str) -> str:
    # macOS puts a folder of its own beside what one zips; some zip the folder that the file is in.
    names = [name for name in archive.namelist() if not name.startswith("__MACOSX/") and not name.endswith("/")]
    fitting = [name for name in names if name.rpartition("/")[2] == ARCHIVED]
    if len(fitting) != 1:
        held = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
        number = "several" if fitting else "no"
        raise UsageError(f"{path}: {number} {ARCHIVED} in the archive, which holds {held or 'nothing'}; expected one")
    return fitting[0]


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        # Without the hour, which ZipInfo sets to 1980: the same predictions are the same archive.
        archive.writestr(zipfile.ZipInfo(ARCHIVED), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _predictions(rows: Sequence[Any]) -> list[Prediction] | None:
    """The predictions that some rows are; None where anything may be wrong with one of them.

    Whole columns are looked at: to look at each field of each row takes three times as long.
    """
    try:
        titles, heads, tails, relations = (list(map(itemgetter(name), rows)) for name in _FIELDS)
        evidence, scores = ([row.get(name) for row in rows] for name in ("evidence", "score"))
    except (TypeError, LookupError, AttributeError):
        return None
    sentences = [of for of in evidence if of is not None]
    indices: list[Any] = [*heads, *tails]
    if set(map(type, sentences)) <= {list}:
        indices += chain.from_iterable(sentences)
    else:
        return None
    numbers = [score for score in scores if score is not None]
    sound = (
        set(map(type, chain(titles, relations))) == {str}
        and all(titles)
        and all(relations)
        and set(map(type, indices)) == {int}
        and min(indices) >= 0
        and all(map(_is_number, numbers))
    )
    if not sound:
        return None
    tuples = evidence if not sentences else [None if of is None else tuple(of) for of in evidence]
    columns = (map(intern, titles), heads, tails, map(intern, relations), tuples, scores)
    return list(map(Prediction._make, zip(*columns, strict=True)))


class _Problems:
    """What is wrong with the rows of a submission, of which `rows` have been read: counted, the first kept in words.

    twice: of rows that are still to be looked through, the keys that stand twice in an object.
    """

    def __init__(self) -> None:
        self.twice: dict[int, list[str]] = {}
        self.rows = self.wrong = self.count = 0
        self.shown: list[str] = []

    def look_through(self, rows: Iterable[Any]) -> None:
        """Note the problems of the next rows."""
        before = self.count
        for index, row in enumerate(rows, self.rows):
            problems = [*_prediction_problems(row), *(f"{key}: {TWICE}" for key in self.twice.get(index, ()))]
            self.wrong += bool(problems)
            self.count += len(problems)
            self.shown += [f"  row {index}: {problem}" for problem in problems[: SHOWN_PROBLEMS - len(self.shown)]]
        assert self.count > before
        self.twice.clear()

    def report(self, path: Path | str) -> str:
        """All of it, a line for each of the first problems."""
        of = f"in {self.wrong:,} of {plural(self.rows, 'row')} (from row 0)"
        more = [f"  and {self.count - len(self.shown):,} more"] if self.count > len(self.shown) else []
        return "\n".join([f"{path}: {plural(self.count, 'problem')} {of}", *self.shown, *more])


def _prediction_problems(row: Any) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield f"{_shown(row)}: expected an object with title, h_idx, t_idx, r"
        return
    for name in ("title", "r"):
        expected = "the document's title" if name == "title" else "a relation id"
        if not (isinstance(row.get(name), str) and row[name]):
            yield f"{_field(row, name)}: expected {expected}, a non-empty string"
    for name in ("h_idx", "t_idx"):
        if not _is_index(row.get(name)):
            yield f"{_field(row, name)}: expected the index of an entity in the document's vertexSet, 0 or more"
    evidence = row.get("evidence")
    if evidence is not None and not (isinstance(evidence, list) and all(map(_is_index, evidence))):
        yield f"{_field(row, 'evidence')}: expected a list of sentence indices, 0 or more"
    if row.get("score") is not None and not _is_number(row["score"]):
        yield f"{_field(row, 'score')}: expected a finite number"


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


def _field(row: Mapping[str, Any], name: str) -> str:
    return f"{name} = {_shown(row[name])}" if name in row else f"{name} is missing"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _row(prediction: Prediction) -> dict[str, Any]:
    title, head, tail, relation = prediction.triple
    row: dict[str, Any] = {"title": title, "h_idx": head, "t_idx": tail, "r": relation}
    if prediction.evidence is not None:
        row["evidence"] = list(prediction.evidence)
    if prediction.score is not None:
        row["score"] = prediction.score
    return row
