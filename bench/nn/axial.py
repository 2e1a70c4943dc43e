"""Attention along the rows and the columns of a document's entity matrix (Tan et al., Findings of ACL 2022).

The pairs of a batch stay one flat list of cells, document after document and row after row: only the attention itself
goes document by document. So there is no padding, and nothing that a document's cells could see of another's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nn.precision import wide


class LineAttention(nn.Module):
    """Self-attention of each cell (i, j) over the cells of its row i, or of its column j."""

    def __init__(self, size: int, heads: int, along: Literal["row", "column"]) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"{heads} attention heads do not divide the {size} features of a pair")
        self.heads = heads
        self.along = along
        self.query_key_value = nn.Linear(size, 3 * size, bias=False)
        self.output = nn.Linear(size, size)

    def forward(self, cells: Tensor, entities: Sequence[int], last: Sequence[int] | None = None) -> Tensor:
        """cells: [P, d], P the sum of n^2.   entities, last: as in `AxialTransformer`.   Returns [P, d]."""
        matrices = self.query_key_value(cells).split([n * n for n in entities])
        times = last or [1] * len(entities)
        attended = [
            self._attend(own.unflatten(0, (n, n)), count)
            for own, n, count in zip(matrices, entities, times, strict=True)
            if n
        ]
        result: Tensor = self.output(torch.cat(attended) if attended else cells)
        return result

    def _attend(self, matrix: Tensor, last: int) -> Tensor:
        """The queries, keys and values of one document's cells, [n, n, 3 d], to [n n, d]."""
        lines = matrix if self.along == "row" else matrix.transpose(0, 1)
        # [n, n, 3 d] to three of [n lines, heads, n cells of a line, d / heads]
        query, key, value = lines.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        counts = None
        if last > 1:  # exp(s + log k) is k times exp(s)
            counts = torch.zeros_like(wide(query[:1, 0, :, 0]))
            counts[:, -1] = math.log(last)
        attended = _line_attention(query, key, value, counts).transpose(1, 2).flatten(2)
        return (attended if self.along == "row" else attended.transpose(0, 1)).flatten(0, 1)


class AxialLayer(nn.Module):
    """`x + (attention along its row) + (attention along its column)`, then `LayerNorm(Linear(.))` of that."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.row = LineAttention(size, heads, "row")
        self.column = LineAttention(size, heads, "column")
        self.linear = nn.Linear(size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, cells: Tensor, entities: Sequence[int], last: Sequence[int] | None = None) -> Tensor:
        """cells: [P, d], P the sum of n^2.   entities, last: as in `AxialTransformer`.   Returns [P, d]."""
        cells = cells + self.row(cells, entities, last) + self.column(cells, entities, last)
        # Autocast normalises in float32 on a GPU; on the CPU what the next layer adds to would be rounded.
        normalised: Tensor = self.norm(wide(self.linear(cells)))
        return normalised


class AxialTransformer(nn.Module):
    """Layers of attention over an entity matrix: after two of them a cell has seen every other."""

    def __init__(self, size: int, layers: int, heads: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(AxialLayer(size, heads) for _ in range(layers))

    def forward(self, cells: Tensor, entities: Sequence[int], last: Sequence[int] | None = None) -> Tensor:
        """cells: [P, d], the n x n matrices of all documents, row by row.   entities: n of each.   Returns [P, d].

        last: how many equal rows, and columns, the last one of each matrix stands for; None: each for itself.
        """
        for layer in self.layers:
            cells = layer(cells, entities, last)
        return cells


def _line_attention(query: Tensor, key: Tensor, value: Tensor, counts: Tensor | None) -> Tensor:
    """counts: added to the scores of each cell of a line, [1, n], or None."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, None if counts is None else counts.to(query.dtype))
    # In float32 at least: on lines as short as these the CPU's kernel for bfloat16 takes four times as long.
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(wide(query), wide(key), wide(value), counts)
