"""BRAN: bi-affine relation attention network (Verga et al., NAACL 2018), as ChemDisGene's comparison has it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.thresholds import PerRelationThresholds
from bench.interface import Hyperparameters, Positive, Task
from bench.nn.biaffine import TokenPairBiaffine
from bench.nn.tokens import Tokens


class BranHyperparameters(Hyperparameters):
    """The sizes of the encoder and of the bi-affine head."""

    size: Positive = Field(128, description="d, width of the word-piece embeddings and of the encoder")
    blocks: Positive = Field(2, description="blocks of attention and convolutions")
    heads: Positive = Field(4, description="attention heads; they divide size")
    filters: Positive = Field(512, description="width of the convolutions inside a block: a Transformer's usual 4 d")
    biaffine_size: Positive = Field(128, description="width of the head and tail vectors of a token")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the embeddings and of what a layer adds to its input")


class Bran(PerRelationThresholds):
    """A small encoder of its own, and the scores of all token pairs of two entities, summed.

    Shapes: P pairs of a batch, R relations, B documents of up to L word pieces, d wide. It reads word pieces: of the
    `--encoder` it takes the vocabulary, none of the weights. A document's scores do not depend on its batch.
    """

    Hyperparameters = BranHyperparameters
    reads = "pieces"

    def __init__(self, hp: BranHyperparameters, task: Task) -> None:
        super().__init__(task)
        self.embedding = nn.Embedding(task.vocabulary, hp.size)
        self.dropout = nn.Dropout(hp.dropout)
        self.blocks = nn.ModuleList(Block(hp) for _ in range(hp.blocks))
        self.biaffine = TokenPairBiaffine(hp.size, len(task.relations), hp.biaffine_size)

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits [P, R]."""
        states = self.states(tokens.input_ids, tokens.attention_mask.bool())
        own = [document_states[: d.length] for document_states, d in zip(states, tokens.documents, strict=True)]
        logits: Tensor = self.biaffine(own, tokens.documents)  # section 2.3
        return logits

    def states(self, input_ids: Tensor, present: Tensor) -> Tensor:
        """Token states [B, L, d] (sections 2.1, 2.2). input_ids: [B, L].   present: [B, L], false for padding."""
        embedded = self.embedding(input_ids)
        waves = sinusoids(embedded.shape[1], embedded.shape[2], embedded.device).to(embedded.dtype)
        states: Tensor = self.dropout(embedded + waves)
        for block in self.blocks:
            states = block(states, present)
        return states


class Block(nn.Module):
    """Self-attention, then three convolutions in place of a Transformer's feed-forward layer (section 2.2)."""

    def __init__(self, hp: BranHyperparameters) -> None:
        super().__init__()
        if hp.size % hp.heads:
            raise ValueError(f"size {hp.size} is not a multiple of heads {hp.heads}")
        self.heads = hp.heads
        self.query_key_value = nn.Linear(hp.size, 3 * hp.size)
        self.attended = nn.Linear(hp.size, hp.size)
        self.after_attention = nn.LayerNorm(hp.size)
        # A convolution of width 1 is a linear layer.
        self.narrow_in = nn.Linear(hp.size, hp.filters)
        self.wide = nn.Conv1d(hp.filters, hp.filters, kernel_size=5, padding=2)
        self.narrow_out = nn.Linear(hp.filters, hp.size)
        self.after_convolutions = nn.LayerNorm(hp.size)
        self.dropout = nn.Dropout(hp.dropout)

    def forward(self, states: Tensor, present: Tensor) -> Tensor:
        """states: [B, L, d].   present: [B, L], false for padding, which no other token sees.   Returns [B, L, d]."""
        states = self.after_attention(states + self.dropout(self._attention(states, present)))
        normed: Tensor = self.after_convolutions(states + self.dropout(self._convolutions(states, present)))
        return normed

    def _attention(self, states: Tensor, present: Tensor) -> Tensor:
        query, key, value = self.query_key_value(states).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=present[:, None, None, :])
        result: Tensor = self.attended(attended.transpose(1, 2).flatten(2))
        return result

    def _convolutions(self, states: Tensor, present: Tensor) -> Tensor:
        # What lies past a document's end must be the zeros that a document alone in its batch would see there.
        inner = F.relu(self.narrow_in(states)) * present[..., None]
        inner = F.relu(self.wide(inner.transpose(1, 2)).transpose(1, 2))
        result: Tensor = self.narrow_out(inner)
        return result


def sinusoids(length: int, size: int, device: torch.device) -> Tensor:
    """Sines and cosines of each position, of wavelengths from 2 pi to 10000 x 2 pi: [length, size]."""
    rates = torch.exp(torch.arange(0, size, 2, device=device) * (-math.log(10000.0) / size))
    angles = torch.arange(length, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :size]
