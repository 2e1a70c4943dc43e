"""The documents of a split as chunks: what features are made of at once, and made again when it changes.

Where a chunk ends is decided by the documents in it, not by their number in the file: a document that is put in, taken
out or changed changes its own chunk, and all others stay what they were.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bench.data.documents import Document
from bench.data.formats.json_stream import BrokenJson, elements
from bench.data.formats.scan import SourceReader
from bench.errors import UsageError

DOCUMENTS_PER_CHUNK = 256
"""On average."""
MOST_PER_CHUNK = 4 * DOCUMENTS_PER_CHUNK

Item = TypeVar("Item")
Sound = Callable[[Any], Document]
"""From an element of a JSON file that was checked when it was registered to its document."""


@dataclass(frozen=True)
class Chunk:
    """A few hundred documents. digest: of their content, 32 hex digits.   documents: makes them, in order.

    count: how many they are.
    """

    digest: str
    documents: Callable[[], list[Document]]
    count: int


@dataclass(frozen=True)
class DocumentChunks:
    """The chunks of documents that are read as a whole, when they are asked for."""

    documents: Callable[[], Sequence[Document]]
    most: int = MOST_PER_CHUNK

    def __iter__(self) -> Iterator[Chunk]:
        pieces = ((document, _content(document)) for document in self.documents())
        for digest, held in _cut(pieces, self.most):
            yield Chunk(digest, partial(list, held), len(held))


@dataclass(frozen=True)
class FileChunks:
    """The chunks of a JSON file that was checked when it was registered, read as they are asked for.

    sha256: of the file then. Raises UsageError, at the end, if that is not what was read.   again: what to do then.
    """

    path: Path
    sha256: str
    sound: Sound
    again: str
    most: int = MOST_PER_CHUNK

    def __iter__(self) -> Iterator[Chunk]:
        reader = SourceReader(self.path)
        for digest, items in _cut(self._items(reader), self.most):
            yield Chunk(digest, partial(_all_sound, self.sound, items), len(items))
        if reader.finish().sha256 != self.sha256:
            raise self._changed()

    def _items(self, reader: SourceReader) -> Iterator[tuple[Any, bytes]]:
        for item, text in elements(reader):
            if isinstance(item, BrokenJson):
                raise self._changed()
            yield item, text.encode()

    def _changed(self) -> UsageError:
        return UsageError(f"{self.path}: has changed since it was registered\n{self.again}")


def _content(document: Document) -> bytes:
    # Of a script without spaces the same words have other pieces.
    return f"{document!r}{'' if document.spaced else ' unspaced'}".encode()


def _all_sound(sound: Sound, items: Sequence[Any]) -> list[Document]:
    return [sound(item) for item in items]


def _cut(pieces: Iterable[tuple[Item, bytes]], most: int) -> Iterator[tuple[str, tuple[Item, ...]]]:
    """The items in chunks, each with the digest of its content, which is given with every item."""
    held: list[Item] = []
    content = hashlib.blake2b(digest_size=16)
    for item, piece in pieces:
        held.append(item)
        content.update(len(piece).to_bytes(8) + piece)
        if zlib.crc32(piece) % DOCUMENTS_PER_CHUNK == 0 or len(held) >= most:
            yield content.hexdigest(), tuple(held)
            held, content = [], hashlib.blake2b(digest_size=16)
    if held:
        yield content.hexdigest(), tuple(held)
