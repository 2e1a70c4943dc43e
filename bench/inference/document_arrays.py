"""An array for each of many documents, as an artifact: made once, read by whoever needs it.

A folder holds flat arrays of some documents each, every one sealed by its checksum. Making them goes on where it
stopped; reading maps them into memory, so that arrays of gigabytes need no memory of their own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sized
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bench.filesystem import read_sealed, write_atomically, write_sealed

OPEN = 64
"""Parts mapped at once: 101,873 documents have over a thousand, and each mapping holds a file descriptor."""


class DocumentArrays:
    """The finished arrays of `documents`: `arrays[i]` is a copy in float32, of the shape that it was given with."""

    def __init__(self, folder: Path, documents: Sized, per_part: int) -> None:
        firsts = range(0, len(documents), per_part)
        self._per_part = per_part
        self._part = lru_cache(OPEN)(lambda part: np.load(_part(folder, firsts[part]), mmap_mode="r"))
        self._shapes = [np.array(read_sealed(_seal(folder, first), "part")["shapes"]) for first in firsts]
        self._ends = [np.cumsum(shapes.prod(1)) for shapes in self._shapes]
        self._documents = len(documents)

    def __len__(self) -> int:
        return self._documents

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        part, at = divmod(i, self._per_part)
        ends = self._ends[part]
        values: NDArray[np.float32] = self._part(part)[ends[at - 1] if at else 0 : ends[at]].astype(np.float32)
        return values.reshape(self._shapes[part][at])


def make_arrays(
    folder: Path,
    documents: Sized,
    make: Callable[[list[int]], list[NDArray[Any]]],
    dtype: DTypeLike,
    per_part: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> DocumentArrays:
    """The arrays of `documents` in `folder`: what is there and intact is kept, the rest is made.

    make: the array, of two dimensions, of each of the documents with these indices; kept as `dtype`. It may raise to
    stop; finished parts stay.   on_progress: is given the number of documents done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(documents), per_part):
        rows = list(range(first, min(first + per_part, len(documents))))
        on_progress(first)
        if not _is_intact(folder, first):
            _write_part(folder, first, make(rows), dtype)
    on_progress(len(documents))
    return DocumentArrays(folder, documents, per_part)


def bytes_made(folder: Path) -> int:
    """How much of the arrays in a folder there is already."""
    return sum(path.stat().st_size for path in folder.glob("*.npy"))


def _write_part(folder: Path, first: int, arrays: list[NDArray[Any]], dtype: DTypeLike) -> None:
    values = np.concatenate([array.astype(dtype, copy=False).reshape(-1) for array in arrays])
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    content = file.getvalue()
    part = _part(folder, first)
    write_atomically(part, content)
    seal = {"sha256": hashlib.sha256(content).hexdigest(), "shapes": [array.shape for array in arrays]}
    write_sealed(_seal(folder, first), "part", seal | {"written": _written(part)})


def _is_intact(folder: Path, first: int) -> bool:
    """Whether a part is there and is what was written; reads all of it unless nobody has touched it since."""
    seal = read_sealed(_seal(folder, first), "part")
    part = _part(folder, first)
    try:
        if seal is None or seal["written"] == _written(part):
            return seal is not None
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == seal["sha256"]
    except FileNotFoundError:
        return False


def _written(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.npy"


def _seal(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.json"
