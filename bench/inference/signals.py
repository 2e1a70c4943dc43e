"""What a teacher says of every candidate pair of a data set: made once, read by any student.

One folder per (teacher, signal, documents), of `document_arrays`: the 101,873 distant documents of DocRED with 97
logits a pair are 7.5 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.inference.document_arrays import DocumentArrays, make_arrays

DOCUMENTS_PER_PART = 256
SIGNAL_VERSION = 3
"""Part of every artifact's key: raise it when the same teacher would leave other numbers, or in another form."""


class SignalFile(DocumentArrays):
    """The finished signals of `documents`: `signals[i]` is [p, k] in float32 for p candidate pairs, 0 or more.

    k is the number of classes (logits) or of the document's word pieces (token attention).
    """

    def __init__(self, folder: Path, documents: Sized) -> None:
        super().__init__(folder, documents, DOCUMENTS_PER_PART)


def make_signals(
    folder: Path,
    documents: Sized,
    signals_of: Callable[[list[int]], list[NDArray[np.float16]]],
    on_progress: Callable[[int], None] = lambda done: None,
) -> SignalFile:
    """The signals of `documents` in `folder`, in float16: what is there and intact is kept, the rest is made.

    signals_of: gives the signal [p, k] of each of the documents with these indices. It may raise to stop; parts that
    are finished stay.
    on_progress: is given the number of documents done.
    """
    make_arrays(folder, documents, signals_of, np.float16, DOCUMENTS_PER_PART, on_progress)
    return SignalFile(folder, documents)
