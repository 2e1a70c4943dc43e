"""The losses of adaptive thresholds: ATLOP's and KD-DocRE's, which compare relations with a learned class TH."""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters
from bench.nn.losses import adaptive_focal_loss, adaptive_threshold_loss


class AdaptiveThreshold(Loss):
    """ATL, adaptive threshold loss (ATLOP, Zhou et al., AAAI 2021)."""

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`-sum_Pos log softmax(f_Pos, f_TH)_r - log softmax(f_Neg, f_TH)_TH`, the mean over pairs."""
        return {"adaptive_threshold": adaptive_threshold_loss(logits, labels)}


class AdaptiveFocalHyperparameters(LossHyperparameters):
    """How much the loss looks at what it is not sure of."""

    gamma: float = Field(1.0, ge=0, description="focus of the loss on positives the model is not sure of")


class AdaptiveFocal(Loss):
    """AFL, adaptive focal loss (KD-DocRE, Tan et al., Findings of ACL 2022)."""

    Hyperparameters = AdaptiveFocalHyperparameters

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """`-(1 + (1 - p_r)^gamma) log p_r` of each positive, `p = s(m)`, and ATL's term for TH; the mean over pairs."""
        return {"adaptive_focal": adaptive_focal_loss(logits, labels, self.hp.gamma)}
