"""The memory module of TTM-RE (Gao et al., ACL 2024, section 3.2): reading from memory, and processing what was read.

Both registered models are made of these two parts; they differ in how the parts start and in what attends to what.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.nn.contraction import contract

HEAD_AND_TAIL = 2
"""Tokens in and tokens out: n = r = 2, the head and the tail of one pair."""


class MemoryRead(nn.Module):
    """`Z = Read(M, I) = S_r([M || I])`: r weighted sums over the m memory tokens and the 2 tokens of a pair.

    A memory token weighs the same before normalisation whichever pair reads it. So the memory is summed up once per
    step, as if it were one token, and a pair costs the same whether there are 10 tokens in the memory or 10,000.

    initial: how the memory tokens start, "normal" (the paper) or "xavier" (the released code).
    std: of "normal"; the paper gives none. Small tokens leave an untrained read to the pair: of the spread of what it
    returns, with 200 tokens, 85 % is between pairs at std 0.02, and 5 % at std 1.
    positions: add a learned embedding to each of the m + 2 positions before the read.
    """

    def __init__(
        self, size: int, tokens: int, *, positions: bool, initial: Literal["normal", "xavier"], std: float = 0.02
    ) -> None:
        super().__init__()
        self.memory_tokens = nn.Parameter(torch.empty(tokens, size))
        if initial == "normal":  # not zeros, "which led to a lack of gradient updates"
            nn.init.normal_(self.memory_tokens, std=std)
        else:
            nn.init.xavier_uniform_(self.memory_tokens)
        # In two parts, so that whoever freezes the memory can freeze the positions of its tokens with it: the sum of
        # frozen tokens and positions that learn would be a memory that learns.
        self.memory_positions = _positions(tokens, size) if positions else None
        self.pair_positions = _positions(HEAD_AND_TAIL, size) if positions else None
        self.norm = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, HEAD_AND_TAIL))

    def forward(self, pair: Tensor) -> Tensor:
        """pair: [P, 2, e], `I`, the head and tail of each pair.   Returns `Z`: [P, 2, e]."""
        memory: Tensor = self.memory_tokens
        if self.memory_positions is not None and self.pair_positions is not None:
            memory, pair = memory + self.memory_positions, pair + self.pair_positions  # V = [M || I]
        of_memory, of_pair = self.importance(memory), self.importance(pair)  # [m, r], [P, 2, r]

        # Once per step: the whole memory as one token, whose importance is the logsumexp of its tokens'.
        summary = contract("mr,me->re", of_memory.softmax(0), memory)
        of_summary = of_memory.logsumexp(0)

        # Per pair: w_i = softmax(MLP(V)) over the summary and the pair's own two tokens, z_i = w_i V.
        weights = torch.cat([of_summary.expand(len(pair), 1, -1), of_pair], dim=1).softmax(1)  # [P, 1 + 2, r]
        from_memory = weights[:, 0, :, None] * summary
        return from_memory + contract("ptr,pte->pre", weights[:, 1:], pair)

    def importance(self, tokens: Tensor) -> Tensor:
        """`MLP(LayerNorm(V))`, the logits of the importance weights: [..., e] -> [..., r], in float32 or wider."""
        logits: Tensor = self.mlp(self.norm(tokens))
        return logits if logits.dtype == torch.float64 else logits.float()


def _positions(tokens: int, size: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(tokens, size) * 0.02)  # as in Dosovitskiy et al., 2020


class ProcessingLayer(nn.Module):
    """One Transformer encoder layer: attention, then a feed-forward of width e, each added and normalised; no dropout.

    It computes what `nn.TransformerEncoderLayer` does, in less time on many short sequences: with two tokens to attend
    to, the attention is nothing beside the projections, which are one product over all tokens.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        if size % heads:
            raise ValueError(f"pair_size {size} is not a multiple of heads {heads}")
        self.heads = heads
        self.query_key_value = nn.Linear(size, 3 * size)
        self.attended = nn.Linear(size, size)
        self.norm_attended = nn.LayerNorm(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, size))
        self.norm = nn.LayerNorm(size)
        nn.init.xavier_uniform_(self.query_key_value.weight)
        nn.init.zeros_(self.query_key_value.bias)
        nn.init.zeros_(self.attended.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: [groups, s, e]; the s tokens of a group attend to each other.   Returns the same shape."""
        query, key, value = self.query_key_value(tokens).unflatten(-1, (3, self.heads, -1)).unbind(2)
        scores = contract("gqhd,gkhd->ghqk", query * query.shape[-1] ** -0.5, key)
        attended = contract("ghqk,gkhd->gqhd", scores.softmax(-1).to(value.dtype), value).flatten(2)
        tokens = self.norm_attended(tokens + self.attended(attended))
        result: Tensor = self.norm(tokens + self.feed_forward(tokens))
        return result
