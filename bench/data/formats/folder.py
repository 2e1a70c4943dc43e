"""Several files as one file of documents: DWIE has an article in each, `datasets` divides tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from bench.data.documents import Document
from bench.data.formats.json_stream import JsonChecker, checked, scan_list, scan_of
from bench.data.formats.scan import Problem, Scan, Source, nothing_read, open_source
from bench.filesystem import sha256_of

_NAMES = (".json", ".json.gz")
TABLES = (".parquet", ".arrow")
STATE = "state.json"
"""In a folder that `datasets` has saved: which files are its data."""


def files_of(path: Path) -> list[Path]:
    """The files of documents of a folder, or of a pattern (`train-*.parquet`), by name; of a file itself alone.

    Those of a folder are its tables, where it has any, and else its JSON files. Raises OSError.
    """
    if not path.is_dir():
        return sorted(path.parent.glob(path.name)) if is_pattern(path) else [path]
    # An archive from a Mac has a hidden file of attributes, ._NAME.json, beside each.
    visible = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    tables = [file for file in visible if file.name.endswith(TABLES)]
    if not tables:
        return [file for file in visible if file.name.endswith(_NAMES)]
    own = _data_files(path / STATE)
    return [file for file in tables if own is None or file.name in own]


def is_pattern(path: Path) -> bool:
    """Whether a path stands for all files whose names fit it, not for one that is there."""
    return "*" in path.name and not path.exists()


def _data_files(state: Path) -> set[str] | None:
    """The files of a folder that `datasets` has saved: beside them it keeps what it computes of them later."""
    try:
        stored = json.loads(state.read_bytes())["_data_files"]
        return {file["filename"] for file in stored}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def checksum_of_files(path: Path) -> str:
    """sha256 (hex) of a file, or of the names and contents of several. Raises OSError."""
    files = files_of(path)
    return sha256_of(path) if files == [path] else checksum_of((file.name, sha256_of(file)) for file in files)


def scan_files(path: Path, checker: JsonChecker) -> Scan:
    """Read and check a folder of JSON files, or one file, of a form whose documents stand by themselves.

    Never raises for what it is or contains: it is in the result.
    """
    if not path.is_dir():
        return scan_list(path, checker)
    try:
        files = files_of(path)
    except OSError as error:
        return nothing_read(path, f"cannot be read: {error.strerror or error}")
    if not files:
        return nothing_read(path, f"a folder without files of documents (*{', *'.join(_NAMES)})")
    documents: list[Document] = []
    broken: list[Problem] = []
    sources: list[Source] = []
    count = 0
    for file in files:
        blocks = open_source(file)
        if isinstance(blocks, str):
            broken.append(Problem(None, "", file.name, blocks))
            continue
        found, count, wrong = checked(blocks, checker, count)
        documents += found
        broken += [problem._replace(field=", ".join(filter(None, (file.name, problem.field)))) for problem in wrong]
        sources.append(blocks.finish())
    whole = Source(
        path, sum(source.size for source in sources), checksum_of((file.path.name, file.sha256) for file in sources)
    )
    return scan_of(path, checker, documents, count, broken, whole)


def checksum_of(files: Iterable[tuple[str, str]]) -> str:
    """sha256 (hex) of names and the sha256 of each."""
    return hashlib.sha256("".join(f"{sha256} {name}\n" for name, sha256 in files).encode()).hexdigest()
