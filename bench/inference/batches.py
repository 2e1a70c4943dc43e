"""Batches made ready while the one before them is computed with."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from bench.data.batching import Batch, collate
from bench.data.features.build import Features
from bench.inference.signals import SignalFile

Item = TypeVar("Item")

READY = 2
"""Batches waiting at most."""
_POLL_SECONDS = 0.1


def made_ahead(items: Iterator[Item], ready: int = READY) -> Iterator[Item]:
    """Hand on `items` in their order, made by a thread of their own, at most `ready` before they are asked for.

    An error in making one is raised where that item would have come. Whoever stops asking stops the thread.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ready)
    stopped = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                waiting.put((item, error), timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if stopped.is_set():
                    return
            put(None, None)
        except BaseException as error:  # it is the asker's to handle
            put(None, error)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def batches(
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    device: torch.device,
    signals: SignalFile | None = None,
    entity_types: Sequence[str] = (),
) -> Iterator[Batch]:
    """Collated batches of `order` on `device`, with a teacher's signals where there are any.

    entity_types: what the codes of entities' types stand for.
    For a GPU they are made and copied while it is at those before them.
    """
    collated = _collated(features, order, relations, pad_id, signals, entity_types)
    if device.type != "cuda":
        yield from collated
        return
    for batch in made_ahead(batch.pinned() for batch in collated):
        yield batch.to(device)


def _collated(
    features: Sequence[Features],
    order: Sequence[NDArray[np.int64]],
    relations: int,
    pad_id: int,
    signals: SignalFile | None,
    entity_types: Sequence[str],
) -> Iterator[Batch]:
    for rows in order:
        batch = collate([features[int(i)] for i in rows], relations, pad_id, entity_types)
        if signals is not None:
            batch = replace(batch, teacher=tuple(torch.from_numpy(signals[int(i)]) for i in rows))
        yield batch
