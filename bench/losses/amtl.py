"""AMTL: relations in blocks by frequency, each with a threshold class of its own (Xu et al., Findings of ACL 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters
from bench.nn.losses import adaptive_threshold_loss, among_highest
from bench.runs.recipe import Positive


class AmtlHyperparameters(LossHyperparameters):
    """The blocks and what they share."""

    blocks: Annotated[tuple[Positive, ...], Field(min_length=2)] = Field(
        (10, 20, 46, 20), description="sizes of the blocks, the most frequent relations first; in proportion to R"
    )
    divisor: float = Field(3.5, gt=0, description="lambda: what the sum of all thresholds is divided by in training")
    decode_threshold: Literal["own", "shared"] = Field(
        "own", description="own: the block's, as the released program; shared: what training compares with"
    )


class Amtl(Loss):
    """AMTL, adaptive multi-threshold loss (Xu et al., Findings of ACL 2025).

    K blocks, K threshold columns. Training knows the thresholds by their sum alone, so that all have the same gradient;
    decisions are made against each block's own.
    """

    Hyperparameters = AmtlHyperparameters
    against = "the threshold class of its block"

    def __init__(self, hp: AmtlHyperparameters, label_rates: Sequence[float]) -> None:
        super().__init__(hp, label_rates)
        # Of the data of the first stage, and kept with the weights: a threshold stands for its block from then on.
        self.register_buffer("block", blocks_of(label_rates, hp.blocks))

    @classmethod
    def threshold_columns(cls, hp: Any) -> int:
        """One for each block."""
        return len(hp.blocks)

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """ATL of each block's relations against `sum_j th_j / lambda`, the mean over blocks."""
        blocks = self._members()
        shared, relations = self._shared(logits), logits[:, len(blocks) :]
        parts = [adaptive_threshold_loss(torch.cat([shared, relations[:, b]], 1), labels[:, b]) for b in blocks]
        return {"amtl": torch.stack(parts).sum() / len(parts)}

    def thresholds(self, logits: Tensor) -> Tensor:
        """Of each relation that of its block, or what all share: [P, R] or [P, 1]."""
        if self.hp.decode_threshold == "shared":
            return self._shared(logits)
        return logits.index_select(1, self.get_buffer("block"))

    def candidates(self, logits: Tensor) -> Tensor:
        """The highest of each block, its threshold counted: up to `at_most` relations a block."""
        thresholds = self.thresholds(logits).expand(len(logits), self.relations)
        relations = logits[:, len(self.hp.blocks) :]
        highest = torch.zeros_like(relations, dtype=torch.bool)
        for members in self._members():
            columns = torch.cat([thresholds[:, members[:1]], relations[:, members]], 1)
            highest[:, members] = among_highest(columns, self.hp.at_most)[:, 1:]
        return highest

    def _members(self) -> list[Tensor]:
        """The relations of each block."""
        block = self.get_buffer("block")
        return [(block == number).nonzero().flatten() for number in range(len(self.hp.blocks))]

    def _shared(self, logits: Tensor) -> Tensor:
        return logits[:, : len(self.hp.blocks)].sum(1, keepdim=True) / self.hp.divisor


def blocks_of(label_rates: Sequence[float], sizes: Sequence[int]) -> Tensor:
    """The block of each relation, [R]: the most frequent in block 0. Relations of one rate are in the data's order.

    sizes: of the blocks; where they do not add up to R, in proportion to it. Raises ValueError for an empty block.
    """
    count, total = len(label_rates), sum(sizes)
    limits = [round(size * count / total) for size in accumulate(sizes, initial=0)]
    if any(last <= first for first, last in pairwise(limits)):
        raise ValueError(f"blocks of {', '.join(map(str, sizes))} leave one of them without any of {count} relations")
    block = torch.empty(count, dtype=torch.long)
    order = sorted(range(count), key=lambda relation: -label_rates[relation])
    for number, (first, last) in enumerate(pairwise(limits)):
        block[order[first:last]] = number
    return block
