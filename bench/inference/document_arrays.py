"""An array for each of many documents, as an artifact: made once, read by whoever needs it.

A folder holds flat arrays of some documents each, every one sealed by its checksum, which a process compares the first
time it meets one. Making them goes on where it stopped; reading maps them into memory, so that arrays of gigabytes need
no memory of their own.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sized
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bench.filesystem import DamagedFileError, part_state, read_sealed, tell_made_again, write_part
from bench.scratch import nearby_part, telling

OPEN = 64
"""Parts mapped at once: 101,873 documents have over a thousand, and each mapping holds a file descriptor."""


class DocumentArrays:
    """The finished arrays of `documents`: `arrays[i]` is a copy in float32, of the shape that it was given with.

    Raises DamagedFileError for a part that is not what was written: it is made again by who makes arrays.
    """

    def __init__(self, folder: Path, documents: Sized, per_part: int) -> None:
        firsts = range(0, len(documents), per_part)
        self._per_part = per_part
        self._part = lru_cache(OPEN)(lambda part: _mapped(_part(folder, firsts[part])))
        self._shapes = [np.array(_seal(_part(folder, first))["shapes"]) for first in firsts]
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
    damaged = []
    with telling(str(folder)):
        for first in range(0, len(documents), per_part):
            rows = list(range(first, min(first + per_part, len(documents))))
            on_progress(first)
            part = _part(folder, first)
            if (state := part_state(nearby_part(part))) == "intact":
                continue
            if state == "damaged":
                damaged.append(part)
            _write_part(part, make(rows), dtype)
    tell_made_again(damaged)
    on_progress(len(documents))
    return DocumentArrays(folder, documents, per_part)


def are_made(folder: Path, documents: Sized, per_part: int, on_progress: Callable[[int], None]) -> bool:
    """Whether all arrays of `documents` are in `folder`, and what was written. on_progress: as for `make_arrays`."""
    with telling(str(folder)):
        for first in range(0, len(documents), per_part):
            on_progress(first)
            if part_state(nearby_part(_part(folder, first))) != "intact":
                return False
    return True


def bytes_made(folder: Path) -> int:
    """How much of the arrays in a folder there is already."""
    return sum(path.stat().st_size for path in folder.glob("*.npy"))


def _write_part(path: Path, arrays: list[NDArray[Any]], dtype: DTypeLike) -> None:
    values = np.concatenate([array.astype(dtype, copy=False).reshape(-1) for array in arrays])
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    write_part(path, file.getvalue(), shapes=[array.shape for array in arrays])


def _mapped(path: Path) -> NDArray[Any]:
    path = nearby_part(path)
    if part_state(path) != "intact":
        raise DamagedFileError(f"{path}: not what was written (checksum). Run the same command again to make it anew")
    values: NDArray[Any] = np.load(path, mmap_mode="r")
    return values


def _seal(path: Path) -> dict[str, Any]:
    seal: dict[str, Any] | None = read_sealed(path.with_suffix(".json"), "part")
    if seal is None:
        raise DamagedFileError(f"{path}: no readable checksum beside it. Run the same command again to make it anew")
    return seal


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.npy"
