"""A folder of JSON files as one file of documents (DWIE has an article in each)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from bench.data.documents import Document
from bench.data.formats.json_stream import JsonChecker, checked, scan_list, scan_of
from bench.data.formats.scan import Problem, Scan, Source, nothing_read, open_source
from bench.filesystem import sha256_of

_NAMES = (".json", ".json.gz")


def files_of(path: Path) -> list[Path]:
    """The JSON files of a folder, by name; of a file itself alone. Raises OSError."""
    if not path.is_dir():
        return [path]
    # An archive from a Mac has a hidden file of attributes, ._NAME.json, beside each.
    return sorted(file for file in path.iterdir() if file.name.endswith(_NAMES) and not file.name.startswith("."))


def checksum_of_files(path: Path) -> str:
    """sha256 (hex) of a file, or of the names and contents of a folder's files. Raises OSError."""
    if not path.is_dir():
        return sha256_of(path)
    return _checksum((file.name, sha256_of(file)) for file in files_of(path))


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
        path, sum(source.size for source in sources), _checksum((file.path.name, file.sha256) for file in sources)
    )
    return scan_of(path, checker, documents, count, broken, whole)


def _checksum(files: Iterable[tuple[str, str]]) -> str:
    """sha256 (hex) of names and the sha256 of each."""
    return hashlib.sha256("".join(f"{sha256} {name}\n" for name, sha256 in files).encode()).hexdigest()
