"""The updates of a stage: how many, and which documents each of them sees."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from bench.data.batching import training_order, training_order_within
from bench.runs.recipe import Training

Update = list[NDArray[np.int64]]
"""The batches of one update, as document indices."""


class Schedule:
    """The updates of a stage over documents of these `lengths`: a function of the seed alone, nothing is carried along.

    steps: how many there are. With batches of a number of word pieces, epochs differ in how many they have.
    """

    def __init__(self, lengths: NDArray[np.int64], training: Training, seed: int) -> None:
        self._lengths, self._training, self._seed = lengths, training, seed
        if training.tokens_per_batch is None:
            counts = [-(-len(lengths) // (training.batch_size * training.accumulate))] * training.epochs
        else:
            counts = [-(-len(self._batches(epoch)) // training.accumulate) for epoch in range(training.epochs)]
        self._starts = [0, *accumulate(counts)]
        self.steps = self._starts[-1]

    def at(self, step: int) -> tuple[int, int]:
        """The epoch (from 0) that update `step` is in, and its place there; past the last one, the epoch after."""
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        return epoch, step - self._starts[epoch]

    def updates(self, epoch: int) -> list[Update]:
        """All updates of an epoch (from 0): for each, the document indices of its batches."""
        batches, size = self._batches(epoch), self._training.accumulate
        return [batches[i : i + size] for i in range(0, len(batches), size)]

    def _batches(self, epoch: int) -> list[NDArray[np.int64]]:
        pieces = self._training.tokens_per_batch
        if pieces is None:
            return training_order(self._lengths, self._training.batch_size, self._seed, epoch)
        return training_order_within(self._lengths, pieces, self._seed, epoch)
