"""Submissions: predictions in DocRED's JSON form, read with every problem reported at once, and written."""

from __future__ import annotations

import gzip
import io
import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.data.documents import Triple
from bench.data.formats.json_stream import BrokenJson, decode, kind_of
from bench.data.formats.scan import SHOWN_PROBLEMS
from bench.errors import UsageError, plural
from bench.filesystem import write_atomically

ARCHIVED = "result.json"
"""What DocRED's server calls the predictions in an archive."""


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


def read_submission(path: Path | str) -> list[Prediction]:
    """The predictions of a submission file, in its order, duplicates included.

    A JSON list of `{"title", "h_idx", "t_idx", "r"}`, optionally with `"evidence"` (sentence indices) and `"score"`;
    other fields are ignored. The file may be gzipped, or a zip archive with `result.json` in it, whatever its name.
    Raises `UsageError` naming every row and field that is not as expected (the first 50 in full), or why the file
    cannot be read.
    """
    rows = _read_rows(path)
    if not isinstance(rows, list):
        expected = 'a list of {"title": ..., "h_idx": ..., "t_idx": ..., "r": ...}'
        raise UsageError(f"{path}: expected {expected}, found {kind_of(rows)}")
    problems = [(index, problem) for index, row in enumerate(rows) for problem in _prediction_problems(row)]
    if problems:
        raise UsageError(_report(path, len(rows), problems))
    return [
        Prediction(
            row["title"],
            row["h_idx"],
            row["t_idx"],
            row["r"],
            None if row.get("evidence") is None else tuple(row["evidence"]),
            row.get("score"),
        )
        for row in rows
    ]


def write_submission(path: Path | str, predictions: Iterable[Prediction]) -> None:
    """Write predictions in the form `read_submission` reads, one row a line; the file appears whole or not at all.

    A path that ends in .zip gets what DocRED's server takes: `result.json` in an archive. Raises `ValueError` for a
    score that is not finite (JSON has no such number).
    """
    rows = ",\n".join(json.dumps(_row(prediction), allow_nan=False) for prediction in predictions)
    content = f"[\n{rows}\n]\n".encode("ascii")
    write_atomically(Path(path), _zipped(content) if Path(path).suffix == ".zip" else content)


def _read_rows(path: Path | str) -> Any:
    """The JSON of a submission. Raises UsageError with the line for what is not UTF-8 or not JSON."""
    text = decode(_unpacked(path), "JSON")
    if isinstance(text, BrokenJson):
        raise UsageError(": ".join(part for part in (str(path), text.field, text.expected) if part))
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{path}: not usable JSON: nested too deep") from None
    except ValueError:
        raise UsageError(f"{path}: not usable JSON: a number with too many digits") from None


def _unpacked(path: Path | str) -> bytes:
    """The bytes of a file, out of their archive or unzipped where they are in one. Raises UsageError."""
    try:
        raw = Path(path).read_bytes()
        if raw.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return _from_archive(raw, path)
        return gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # RuntimeError: an archive with a password. NotImplementedError: a compression nobody here knows.
        raise UsageError(f"{path}: cannot be unpacked: {error}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _from_archive(raw: bytes, path: Path | str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        # macOS puts a folder of its own beside what one zips; some zip the folder that the file is in.
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX/") and not name.endswith("/")]
        fitting = [name for name in names if name.rpartition("/")[2] == ARCHIVED]
        if len(fitting) != 1:
            held = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
            number = "several" if fitting else "no"
            raise UsageError(
                f"{path}: {number} {ARCHIVED} in the archive, which holds {held or 'nothing'}; expected one"
            )
        return archive.read(fitting[0])


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        # Without the hour, which ZipInfo sets to 1980: the same predictions are the same archive.
        archive.writestr(zipfile.ZipInfo(ARCHIVED), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _report(path: Path | str, rows: int, problems: list[tuple[int, str]]) -> str:
    wrong = len({row for row, _ in problems})
    lines = [f"{path}: {plural(len(problems), 'problem')} in {wrong:,} of {plural(rows, 'row')} (from row 0)"]
    lines += [f"  row {row}: {problem}" for row, problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"  and {len(problems) - SHOWN_PROBLEMS:,} more")
    return "\n".join(lines)


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
    if isinstance(value, int):
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


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
