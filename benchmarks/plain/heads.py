"""What the models compute of pooled pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.nn.axial import AxialLayer, LineAttention
from bench.nn.bilinear import EntityInContext, GroupedBilinear
from plain.pooling import PlainPairs
from ttmre.memory import MemoryRead, ProcessingLayer

LARGEST_MATRIX = 42
"""KD-DocRE's program fills every document's entity matrix up to this many entities."""


def in_context(layer: EntityInContext, entity: Tensor, context: Tensor) -> Tensor:
    """`z = tanh(W [h ; c] + b)`: [P, e]."""
    return torch.tanh(layer.linear(torch.cat([entity, context], dim=1)))


def bilinear(layer: GroupedBilinear, head: Tensor, tail: Tensor) -> Tensor:
    """The outer products of all groups, [P, e block], and one linear layer over them: [P, classes]."""
    groups = layer.groups
    outer = head.unflatten(1, (groups, -1)).unsqueeze(3) * tail.unflatten(1, (groups, -1)).unsqueeze(2)
    return nn.functional.linear(outer.flatten(1), layer.weight.flatten(1), layer.bias)


def read(memory: MemoryRead, pair: Tensor) -> Tensor:
    """`Z = S_r([M || I])` with the memory repeated for every pair: [P, 2, e] -> [P, 2, e]."""
    tokens = torch.cat([memory.memory_tokens.expand(len(pair), -1, -1), pair], dim=1)  # [P, m + 2, e]
    if memory.memory_positions is not None and memory.pair_positions is not None:
        tokens = tokens + torch.cat([memory.memory_positions, memory.pair_positions])
    weights = memory.mlp(memory.norm(tokens)).softmax(dim=1)
    return torch.einsum("ptr,pte->pre", weights, tokens)


class Write(nn.Module):
    """`M' = S_m([Z || M || I])`: computed by TTM-RE's program for every pair, and thrown away."""

    def __init__(self, size: int, tokens: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, tokens))

    def forward(self, after: Tensor, memory: Tensor, pair: Tensor) -> Tensor:
        """after, pair: [P, 2, e].   memory: [m, e].   Returns [P, m, e]."""
        tokens = torch.cat([after, memory.expand(len(pair), -1, -1), pair], dim=1)
        weights = self.mlp(self.norm(tokens)).softmax(dim=1)  # [P, m + 4, m]
        return torch.einsum("ptm,pte->pme", weights, tokens)


def transformer_layer(layer: ProcessingLayer) -> nn.TransformerEncoderLayer:
    """torch's own, with the same parameters; tokens come as [groups, s, e]."""
    size = layer.norm.normalized_shape[0]
    twin = nn.TransformerEncoderLayer(size, layer.heads, size, dropout=0.0, batch_first=True)
    parameters = {
        "self_attn.in_proj_weight": layer.query_key_value.weight,
        "self_attn.in_proj_bias": layer.query_key_value.bias,
        "self_attn.out_proj.weight": layer.attended.weight,
        "self_attn.out_proj.bias": layer.attended.bias,
        "linear1.weight": layer.feed_forward[0].weight,
        "linear1.bias": layer.feed_forward[0].bias,
        "linear2.weight": layer.feed_forward[2].weight,
        "linear2.bias": layer.feed_forward[2].bias,
        "norm1.weight": layer.norm_attended.weight,
        "norm1.bias": layer.norm_attended.bias,
        "norm2.weight": layer.norm.weight,
        "norm2.bias": layer.norm.bias,
    }
    twin.load_state_dict(parameters, assign=True)
    return twin


def axial(layers: list[AxialLayer], cells: Tensor, pairs: PlainPairs, filling: Tensor | None = None) -> Tensor:
    """KD-DocRE's attention over entity matrices, all filled up to the size of the largest: [P, d] -> [P, d].

    filling: [d], what they are filled with where that is attended to, too.
    """
    most = max([LARGEST_MATRIX, *pairs.entities])
    matrix = cells.new_zeros(len(pairs.entities), most, most, cells.shape[1])
    if filling is not None:
        matrix = matrix + filling
    present = torch.zeros(len(pairs.entities), most, dtype=torch.bool, device=cells.device)
    for b, (own, n) in enumerate(zip(cells.split([n * n for n in pairs.entities]), pairs.entities, strict=True)):
        matrix[b, :n, :n] = own.view(n, n, -1)
        present[b, : n if filling is None else most] = True
    for layer in layers:
        along_columns = _line(layer.column, matrix.transpose(1, 2), present).transpose(1, 2)
        matrix = layer.norm(layer.linear(matrix + _line(layer.row, matrix, present) + along_columns))
    return torch.cat([matrix[b, :n, :n].flatten(0, 1) for b, n in enumerate(pairs.entities)])


def _line(layer: LineAttention, lines: Tensor, present: Tensor) -> Tensor:
    """Attention within each line.   lines: [B, n, n, d], line by line.   present: [B, n], which cells of a line are."""
    query, key, value = layer.query_key_value(lines).unflatten(-1, (3, layer.heads, -1)).unbind(3)
    scores = torch.einsum("blqhd,blkhd->blhqk", query, key) * query.shape[-1] ** -0.5
    weights = scores.masked_fill(~present[:, None, None, None, :], -torch.inf).softmax(-1)
    return layer.output(torch.einsum("blhqk,blkhd->blqhd", weights, value).flatten(3))
