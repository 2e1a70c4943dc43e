"""What is kept of a file of documents, and which of them a split has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

from bench.data.documents import Document
from bench.data.formats.folder import checksum_of_files, files_of, is_pattern
from bench.data.formats.json_stream import BrokenJson, decode, read_json
from bench.data.formats.scan import Source, read_source, short
from bench.errors import UsageError
from bench.filesystem import sha256_once


class FileRecord(BaseModel):
    """A file, or a folder of files, as it was when it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    size: int
    mtime_ns: int
    sha256: str

    def verify(self, again: str) -> None:
        """Raise UsageError if the file is gone or its content changed. `again`: what the user can do about it.

        Size and time of change first, the hash only when they differ: a copied or touched file is still the file.
        """
        try:
            size, mtime_ns = size_and_time(Path(self.path))
            if (size, mtime_ns) == (self.size, self.mtime_ns):
                return
            changed = size != self.size or checksum_of_files(Path(self.path)) != self.sha256
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror or error}\n{again}") from None
        if changed:
            raise UsageError(f"{self.path}: has changed since it was registered\n{again}")

    def verify_content(self, again: str) -> None:
        """As `verify`, but a file that looks untouched is read as well, once: it may have been damaged."""
        self.verify(again)
        path = Path(self.path)
        if (checksum_of_files(path) if path.is_dir() else sha256_once(path)) != self.sha256:
            raise UsageError(f"{self.path}: has changed since it was registered\n{again}")


class Selection(BaseModel):
    """Which documents of a file a split has: those that pass by each of two rules.

    part: "train" or "test" where the file marks documents of both; "" where it does not.
    ids: a list of titles.   named: whether the split has those in the list, or those that are not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: Literal["", "train", "test"] = ""
    ids: FileRecord | None = None
    named: bool = True

    def of(self, documents: Sequence[Document], parts: Mapping[str, str]) -> tuple[Document, ...]:
        """Those of a file's documents. parts: what the file says of them, by title. Raises UsageError."""
        ids = None if self.ids is None else read_ids(Path(self.ids.path))
        return tuple(
            document
            for document in documents
            if (not self.part or parts.get(document.title, self.part) == self.part)
            and (ids is None or (document.title in ids) == self.named)
        )

    def __str__(self) -> str:
        rules = [f"marked {self.part}"] if self.part else []
        rules += [f"{'' if self.named else 'not '}listed in {self.ids.path}"] if self.ids else []
        return ", ".join(rules)

    def checksum(self, content: str) -> str:
        """sha256 (hex) of the split, of a file whose content has the given one."""
        listed = f", {'in' if self.named else 'not in'} {self.ids.sha256}" if self.ids else ""
        return sha256_of_text(f"part {self.part!r}{listed}, of {content}")


class SplitFile(FileRecord):
    """A file of documents. `documents`, `labels`: what of it is used; `left_out`: documents that are not.

    companions: other files read along with it (PubTator's tables of triples).   selection: which of its documents are
    the split's, where not all are.
    """

    documents: int
    labels: int
    labelled: bool
    left_out: int = 0
    companions: tuple[FileRecord, ...] = ()
    selection: Selection | None = None

    @property
    def content(self) -> str:
        """sha256 (hex) of what was read: the file's own, or of those of the file and its companions."""
        return checksum_of([self.sha256, *(file.sha256 for file in self.companions)])

    @property
    def checksum(self) -> str:
        """sha256 (hex) of what decides the documents of the split: what was read, and which of it was chosen."""
        return self.content if self.selection is None else self.selection.checksum(self.content)

    def verify(self, again: str) -> None:
        """As FileRecord's, of the file, its companions and the list of ids."""
        super().verify(again)
        for file in self._beside:
            file.verify(again)

    def verify_content(self, again: str) -> None:
        """As FileRecord's, of the file, its companions and the list of ids."""
        super().verify_content(again)
        for file in self._beside:
            file.verify_content(again)

    @property
    def _beside(self) -> tuple[FileRecord, ...]:
        ids = self.selection.ids if self.selection else None
        return self.companions if ids is None else (*self.companions, ids)

    @model_serializer(mode="wrap")
    def _written(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came later and is not used, so that versions from before can read it."""
        content: dict[str, Any] = serialized(self)
        if self.selection is None:
            content.pop("selection", None)
        return content


def read_ids(path: Path) -> frozenset[str]:
    """The ids (titles) of documents in a file: one a line, or a JSON list of strings or of documents in DocRED's form.

    Raises UsageError.
    """
    content = read_source(path)
    if isinstance(content, str):
        raise UsageError(f"{path}: {content}")
    text = decode(content[0], "ids of documents, one a line")
    if isinstance(text, BrokenJson):
        raise UsageError(f"{path}: " + ": ".join(filter(None, text)))
    if not text.lstrip().startswith("["):
        return frozenset(line.strip() for line in text.splitlines() if line.strip())
    ids = set()
    for item in read_json(path):
        id_ = item.get("title") if isinstance(item, dict) else item
        if not isinstance(id_, str):
            expected = "ids of documents, one a line or a JSON list of them, or documents with a title"
            raise UsageError(f"{path}: expected {expected}, found {short(id_)}")
        ids.add(id_)
    if not ids:
        raise UsageError(f"{path}: expected ids of documents, found an empty list")
    return frozenset(ids)


def size_and_time(path: Path) -> tuple[int, int]:
    """Size in bytes, and when it last changed in ns, of a file or of all files of a folder. Raises OSError."""
    stats = [os.stat(file) for file in files_of(path)]
    folder = path.parent if is_pattern(path) else path
    times = [stat.st_mtime_ns for stat in (*stats, os.stat(folder))]  # a file that went is a change of the folder
    return sum(stat.st_size for stat in stats), max(times)


def record_of(source: Source) -> FileRecord:
    """What is kept of a file that was read."""
    _, mtime_ns = size_and_time(source.path)
    return FileRecord(path=str(source.path), size=source.size, mtime_ns=mtime_ns, sha256=source.sha256)


def checksum_of(sha256s: Sequence[str]) -> str:
    """One sha256 for several: of a single file its own."""
    return sha256s[0] if len(sha256s) == 1 else sha256_of_text("\n".join(sha256s))


def sha256_of_text(text: str) -> str:
    """The sha256 (hex) of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
