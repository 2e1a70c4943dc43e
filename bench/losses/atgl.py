"""ATGL: one softmax over all relations and TH, the positives weighed (Xu et al., ACL 2026)."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters, mean_over_pairs


class AtglHyperparameters(LossHyperparameters):
    """The weight of a positive, which decides how far above TH it is pulled: every margin tends to log alpha."""

    alpha: float = Field(
        gt=0,
        description=(
            "weight of a positive; TH weighs 1. The paper's: 16.5 on Re-DocRED, 20 on DocGNRE, 6 on DWIE, 7.5 on CDR"
        ),
    )


class Atgl(Loss):
    """ATGL, adaptive-threshold global loss (Xu et al., ACL 2026)."""

    Hyperparameters = AtglHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Eq. 6."""
        return {"atgl": adaptive_threshold_global_loss(logits, labels, self.hp.alpha)}


def adaptive_threshold_global_loss(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """`-log p_TH - alpha sum_Pos log p_r`, p the softmax over all R + 1 columns; the mean over pairs (eq. 6).

    logits: [P, R + 1].   labels: [P, R], bool.   alpha: how many times TH's weight a positive has.
    """
    log_p = logits.log_softmax(1)
    positives = log_p[:, 1:].masked_fill(~labels, 0.0).sum(1)
    return mean_over_pairs(-log_p[:, 0] - alpha * positives)
