"""KD-DocRE as its authors released it: every document's entity matrix is filled up, and the filling attended to.

    what                     the paper, `kd_docre`        the released program, here
    entity matrix            n x n, a document's own      42 x 42, whatever n is
    attention along a line   over its n cells             over its n cells and 42 - n of filling
    filling, in evaluation   none                         what the network makes of entities and a context of zeros
    filling, in training     none                         zeros: a mask sets them so, which evaluation does without

So a pair's score depends on how many entities its document lacks of 42, and by other rules in training than afterwards.
This model exists to measure what that is worth, and to read the program's checkpoints.

Not reproduced: that a pair of an entity with itself counts in the mean of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor

from baselines.kd_docre import KdDocRe, KdDocReHyperparameters
from bench.interface import Positive
from bench.nn.pooling import Pairs


class KdDocReReleasedHyperparameters(KdDocReHyperparameters):
    """KD-DocRE's, and the size to which matrices are filled up."""

    filled_to: Positive = Field(42, description="entities up to which a document's matrix is filled")


class KdDocReReleased(KdDocRe):
    """KD-DocRE whose matrices are filled up to one size, as its program does. Larger ones stay as they are.

    Shapes: P pairs of a batch, P the sum of n^2 over its documents; d features of a pair, as wide as the encoder.
    """

    Hyperparameters = KdDocReReleasedHyperparameters
    hp: KdDocReReleasedHyperparameters

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [C, R + 1] of the C candidates among the pairs."""
        assert pairs.candidates is not None, "whole_grid"
        cells: Tensor = self.projection(*self.features(pairs))  # [P, d]
        cells = cells + self.attended(cells, [math.isqrt(size) for size in pairs.sizes])
        logits: Tensor = self.classifier(cells.index_select(0, pairs.candidates))
        return logits

    def attended(self, cells: Tensor, entities: Sequence[int]) -> Tensor:
        """The cells after attention over the filled matrices: [P, d] -> [P, d].   entities: n of each document."""
        # All rows of filling begin alike, so they stay alike, and so do the columns: one row and one column, which
        # attention counts as often as there are, give what a matrix of 42 x 42 gives.
        filling = self.filling(cells)
        missing = [max(self.hp.filled_to - n, 0) for n in entities]
        sizes = [n + 1 if more else n for n, more in zip(entities, missing, strict=True)]
        own = cells.split([n * n for n in entities])
        framed = [
            _framed(matrix.unflatten(0, (n, n)), filling) if more else matrix
            for matrix, n, more in zip(own, entities, missing, strict=True)
        ]
        attended = self.axial(torch.cat(framed), sizes, missing).split([size * size for size in sizes])
        inside = [
            of_document.unflatten(0, (size, size))[:n, :n].flatten(0, 1)
            for of_document, size, n in zip(attended, sizes, entities, strict=True)
        ]
        return torch.cat(inside)

    def filling(self, cells: Tensor) -> Tensor:
        """A cell of filling, [d]: in training zeros, else the features of two entities and a context of zeros."""
        if self.training:
            return cells.new_zeros(cells.shape[1])
        head, tail = (torch.tanh(side.linear.bias)[None] for side in (self.features.head, self.features.tail))
        filling: Tensor = self.projection(head, tail)[0]
        return filling.to(cells.dtype)


def _framed(matrix: Tensor, filling: Tensor) -> Tensor:
    """A matrix with one more row and column of filling: [n, n, d], [d] -> [(n + 1)^2, d]."""
    n = len(matrix)
    with_column = torch.cat([matrix, filling.expand(n, 1, -1)], dim=1)
    return torch.cat([with_column, filling.expand(1, n + 1, -1)]).flatten(0, 1)
