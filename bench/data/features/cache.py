"""Features on disk, made once: parts of a few hundred documents each, and for every split the list of its parts.

A part is named by everything that decides what is in it: the content of its documents, tokenizer, relations and length.
So a build that was stopped goes on with what is missing, a file that changed makes those parts again whose documents
changed, and a large build is done by several processes, each of which makes its share, to the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.cores import usable_cores
from bench.data.documents import no_cycle_search
from bench.data.features.build import FEATURE_VERSION, WordPieces, build_features
from bench.data.features.feature_file import UNREADABLE, FeatureFile, part_content
from bench.data.formats.chunks import Chunk, FileChunks
from bench.filesystem import part_state, read_sealed, tell_made_again, write_part, write_sealed
from bench.locks import NO_HURRY, Waiting, waiting_for
from bench.scratch import nearby_part, telling

MOST_PROCESSES = 8
"""Each of them goes over the whole file to find its chunks: more would do little else."""
PARTS_BEFORE_HELP = 16
"""Other processes take seconds to start: a build begins alone, and calls them when it has made this many parts."""


@dataclass(frozen=True)
class PartMaker:
    """Makes the parts of one tokenizer, relations and length (in word pieces) in `folder`.

    keep_words: the words themselves are in them, too (`Features.words`).
    """

    folder: Path
    words: WordPieces
    tokenizer_fingerprint: str
    relations: tuple[str, ...]
    max_length: int
    keep_words: bool = False

    def index(self, checksum: str) -> Path:
        """Where the list of a file's parts is, or is to be. checksum: stands for the content of the file."""
        return self.folder / f"{self._name_of(checksum)}.json"

    def path(self, chunk: Chunk) -> Path:
        """Where the part of a chunk is, or is to be."""
        return self.folder / "parts" / f"{self._name_of(chunk.digest)}.arrow"

    def _name_of(self, content: str) -> str:
        """What decides what is made of documents: their content, and all fields but the folder. 24 hex digits."""
        identity = [FEATURE_VERSION, content, self.tokenizer_fingerprint, self.relations, self.max_length]
        return hashlib.sha256(json.dumps([*identity, self.keep_words]).encode()).hexdigest()[:24]

    def make(self, chunk: Chunk) -> bool:
        """Make the part of a chunk unless it is there and what was written; whether it had to be made."""
        path = self.path(chunk)
        if part_state(path) == "intact":
            return False
        rows = list(build_features(chunk.documents(), self.words, self.relations, self.max_length, self.keep_words))
        write_part(path, part_content(rows))
        return True

    def make_share(self, chunks: Iterable[Chunk], share: int, shares: int) -> None:
        """Make every `shares`-th part, from number `share` on: what one of several processes does."""
        with no_cycle_search():
            for number, chunk in enumerate(chunks):
                if number % shares == share:
                    self.make(chunk)


def features_of(
    chunks: Iterable[Chunk],
    checksum: str,
    maker: PartMaker,
    processes: int = 1,
    waiting: Waiting = NO_HURRY,
    on_progress: Callable[[int], None] = lambda documents: None,
) -> FeatureFile:
    """The cached features of the documents in `chunks`, which are asked for only if something has to be made.

    checksum: stands for the documents' content.   processes: how many may work on it.
    on_progress: is told, while they are made, how many documents the parts so far have.
    Two processes that want the same features make them once: the second waits for the first, as `waiting` says.
    Where all are there nothing is written: their folder need not allow it. Raises OSError, and LockHeldError.
    """
    index = maker.index(checksum)
    if (features := _opened(index)) is not None:
        return features
    with waiting_for(index.with_suffix(".lock"), waiting):
        if (features := _opened(index)) is not None:
            return features
        tell_made_again([path for path in _listed(index) if part_state(path) == "damaged"])
        with no_cycle_search():
            paths = _build(chunks, maker, processes, on_progress)
        write_sealed(index, "parts", [{"name": path.name} for path in paths])
        return FeatureFile(paths)


def usable_processes() -> int:
    """How many processes a build may use on this machine: one for every core that this process may use."""
    return min(usable_cores(), MOST_PROCESSES)


def _listed(index: Path) -> list[Path]:
    """The parts that `index` lists; none where it is not what was written."""
    return [index.parent / "parts" / part["name"] for part in read_sealed(index, "parts") or ()]


def _opened(index: Path) -> FeatureFile | None:
    """The features that `index` lists, or None where it or a part is not what was written."""
    if read_sealed(index, "parts") is None:
        return None
    with telling(f"features in {index.parent}"):
        paths = [nearby_part(path) for path in _listed(index)]
    # Short or not: a disk that was full, a crash or a bad block also leaves a part that has the right length.
    if any(part_state(path) != "intact" for path in paths):
        return None
    try:
        return FeatureFile(paths)
    except UNREADABLE:  # whole, but written by a pyarrow that this one does not understand
        return None


def _build(chunks: Iterable[Chunk], maker: PartMaker, processes: int, on_progress: Callable[[int], None]) -> list[Path]:
    """Make what is missing of the parts of `chunks`; all of them, in order."""
    # Documents in memory would have to be copied to every process.
    processes = processes if isinstance(chunks, FileChunks) else 1
    paths: list[Path] = []
    count = documents = 0
    helpers: list[BaseProcess] = []
    try:
        for number, chunk in enumerate(chunks):
            paths.append(maker.path(chunk))
            documents += chunk.count
            if helpers and number % processes:
                continue
            count += maker.make(chunk)
            on_progress(documents)
            if count == PARTS_BEFORE_HELP and not helpers:
                helpers = [_helper(maker, chunks, share, processes) for share in range(1, processes)]
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            helper.terminate()
    if helpers and any(part_state(path) != "intact" for path in paths):
        maker.make_share(chunks, 0, 1)  # a helper was killed
    return paths


def _helper(maker: PartMaker, chunks: Iterable[Chunk], share: int, shares: int) -> BaseProcess:
    # Not a fork: this process may have threads, and a GPU.
    helper = multiprocessing.get_context("spawn").Process(
        target=_help, args=(maker, chunks, share, shares), daemon=True
    )
    helper.start()
    return helper


def _help(maker: PartMaker, chunks: Iterable[Chunk], share: int, shares: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that called
    caller = multiprocessing.parent_process()
    assert caller is not None
    maker.make_share(takewhile(lambda _: caller.is_alive(), chunks), share, shares)
