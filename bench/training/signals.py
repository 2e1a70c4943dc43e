"""What a teacher says of every candidate pair of a data set, as an artifact: made once, read by any student.

One folder per (teacher, signal, documents): flat float16 arrays of a few hundred documents each, every one sealed by
its checksum. Making them goes on where it stopped; reading maps them into memory, so that the 101,873 distant documents
of DocRED with 97 logits a pair (7.5 GB) need no memory of their own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sized
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.filesystem import read_sealed, write_atomically, write_sealed

DOCUMENTS_PER_PART = 256
SIGNAL_VERSION = 2
"""Part of every artifact's key: raise it when the same teacher would leave other numbers, or in another form."""


class SignalFile:
    """The finished signals of `documents`: `signals[i]` is [p, k] in float32 for p candidate pairs, 0 or more.

    k is the number of classes (logits) or of the document's word pieces (token attention).
    """

    def __init__(self, folder: Path, documents: Sized) -> None:
        firsts = range(0, len(documents), DOCUMENTS_PER_PART)
        self._parts = [np.load(_part(folder, first), mmap_mode="r") for first in firsts]
        self._shapes = [np.array(read_sealed(_seal(folder, first), "part")["shapes"]) for first in firsts]
        self._ends = [np.cumsum(shapes.prod(1)) for shapes in self._shapes]
        self._documents = len(documents)

    def __len__(self) -> int:
        return self._documents

    def __getitem__(self, i: int) -> NDArray[np.float32]:
        part, at = divmod(i, DOCUMENTS_PER_PART)
        ends = self._ends[part]
        values: NDArray[np.float32] = self._parts[part][ends[at - 1] if at else 0 : ends[at]].astype(np.float32)
        return values.reshape(self._shapes[part][at])


def make_signals(
    folder: Path,
    documents: Sized,
    speak: Callable[[list[int]], list[NDArray[np.float16]]],
    told: Callable[[int], None] = lambda done: None,
) -> SignalFile:
    """The signals of `documents` in `folder`: what is there and intact is kept, the rest is made.

    speak: the signal [p, k] of each of the documents with these indices. It may raise to stop; finished parts stay.
    told: is given the number of documents done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(documents), DOCUMENTS_PER_PART):
        rows = list(range(first, min(first + DOCUMENTS_PER_PART, len(documents))))
        told(first)
        if not _is_intact(folder, first):
            _write_part(folder, first, speak(rows))
    told(len(documents))
    return SignalFile(folder, documents)


def _write_part(folder: Path, first: int, spoken: list[NDArray[np.float16]]) -> None:
    values = np.concatenate([signal.astype(np.float16).reshape(-1) for signal in spoken])
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    content = file.getvalue()
    write_atomically(_part(folder, first), content)
    shapes = [signal.shape for signal in spoken]
    write_sealed(_seal(folder, first), "part", {"sha256": hashlib.sha256(content).hexdigest(), "shapes": shapes})


def _is_intact(folder: Path, first: int) -> bool:
    """Whether a part is there and is what was written; reads all of it."""
    seal = read_sealed(_seal(folder, first), "part")
    try:
        with _part(folder, first).open("rb") as file:
            return seal is not None and hashlib.file_digest(file, "sha256").hexdigest() == seal["sha256"]
    except FileNotFoundError:
        return False


def _part(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.npy"


def _seal(folder: Path, first: int) -> Path:
    return folder / f"{first:07d}.json"
