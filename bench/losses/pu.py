"""The positive-unlabelled risks as losses of any model (Wang et al., EMNLP 2022): PN, PU, S-PU, SSR-PU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor

from bench.losses.interface import Loss, LossHyperparameters
from bench.nn.pu_risk import Estimator, NnCorrection, PuRisk, PuTerms
from bench.runs.recipe import Positive


class PuRiskHyperparameters(LossHyperparameters):
    """The terms of the risk (section 3 of the paper)."""

    at_most: Positive | None = Field(
        None,
        description="a relation must be among this many highest columns of its pair; null: any",
    )
    prior_multiple: float = Field(1.0, gt=0, description="how many times more positives than labelled ones (pi / pi_l)")
    margin: float = Field(0.25, description="m of the squared loss s (y f - m)^2; 1 in TTM-RE")
    scale: float = Field(0.25, gt=0, description="s of the squared loss s (y f - m)^2; 1 in TTM-RE")
    class_weight: bool = Field(True, description="weigh positives by ((1 - pi) / pi)^0.5")
    beta: float = Field(0.0, description="a class whose negative risk is below it counts as overfitted")
    gamma: float = Field(1.0, ge=0, description="weight of the correction of an overfitted class")
    nn_correction: NnCorrection = Field("ascent", description="ascent: the released programs'; clamp: max(0, .)")


class SPuRisk(Loss):
    """S-PU: positive-unlabelled risk corrected for the prior shift of the labels, decided against 0."""

    Hyperparameters = PuRiskHyperparameters
    against = "0"
    estimator: ClassVar[Estimator] = "s-pu"
    ranking: ClassVar[bool] = False

    def __init__(self, hp: PuRiskHyperparameters, label_rates: Sequence[float]) -> None:
        super().__init__(hp, label_rates)
        self.risk = PuRisk(label_rates, PuTerms.of(hp, self.estimator))

    @classmethod
    def threshold_columns(cls, hp: Any) -> int:
        """One where relations are ranked against a threshold class, else none."""
        return int(cls.ranking)

    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The risk of the estimator, summed over classes."""
        relations = logits[:, logits.shape[1] - self.relations :]
        return {f"{self.estimator}_risk": self.risk(relations - self.thresholds(logits), labels)}

    def thresholds(self, logits: Tensor) -> Tensor:
        """The threshold class when ranking, else 0."""
        return logits[:, :1] if self.ranking else logits.new_zeros(())


class SsrPuRisk(SPuRisk):
    """SSR-PU: S-PU with squared ranking against a threshold class (sections 3.3, 3.4)."""

    ranking = True
    against = "the threshold class"


class UnlabelledRisk(SPuRisk):
    """PU: the unlabelled pairs are a sample of all pairs, no prior shift (section 3.2); decided against 0."""

    estimator = "pu"


class PnRisk(SPuRisk):
    """PN: the unlabelled pairs are negative (section 3.1); decided against 0."""

    estimator = "pn"
