"""Balanced softmax: relations and a class "none" compared with 0 (DocuNet, Zhang et al., IJCAI 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.losses.interface import Loss, mean_over_pairs


class BalancedSoftmax(Loss):
    """Balanced softmax, the multi-label softmax with threshold 0 (DocuNet, Zhang et al., IJCAI 2021).

    Column 0 is a class "none", right where a pair has no label. Decisions do not ask it: a relation is predicted whose
    logit is above 0.
    """

    against = "0"

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`log(1 + sum_{y=1} e^-f) + log(1 + sum_{y=0} e^f)` over all R + 1 columns, the mean over pairs."""
        right = torch.cat([~labels.any(1, keepdim=True), labels], dim=1)
        zero = logits.new_zeros(len(logits), 1)
        of_pairs = logits.new_zeros(len(logits))
        for scores, side in ((-logits, right), (logits, ~right)):
            of_pairs = of_pairs + torch.cat([zero, scores.masked_fill(~side, -torch.inf)], dim=1).logsumexp(1)
        return {"balanced_softmax": mean_over_pairs(of_pairs)}

    def thresholds(self, logits: Tensor) -> Tensor:
        """0, whatever the class "none" has."""
        return logits.new_zeros(())
