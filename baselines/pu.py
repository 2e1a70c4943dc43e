"""SSR-PU and what it is compared with: S-PU, PU and PN (Wang et al., EMNLP 2022).

One network (ATLOP's) and one family of losses: what the unlabelled pairs are taken for, and whether relations are
ranked against a threshold class (SSR) or against 0.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from bench.interface import Hyperparameters, PairModel, Positive, Recipe, Stage, Task
from bench.nn.bilinear import GroupedBilinear, PairFeatures
from bench.nn.losses import above_threshold
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import Estimator, NnCorrection, PuRisk, PuTerms


class PuHyperparameters(Hyperparameters):
    """The network's sizes and the terms of the risk (section 3 of the paper)."""

    pair_size: Positive = Field(768, description="e, width of the head and tail features")
    block_size: Positive = Field(64, description="width of a group of the bilinear classifier")
    prior_multiple: float = Field(1.0, gt=0, description="how many times more positives than labelled ones (pi / pi_l)")
    margin: float = Field(0.25, description="m of the squared loss s (y f - m)^2")
    scale: float = Field(0.25, gt=0, description="s of the squared loss s (y f - m)^2")
    class_weight: bool = Field(True, description="weigh positives by ((1 - pi) / pi)^0.5")
    beta: float = Field(0.0, description="a class whose negative risk is below it counts as overfitted")
    gamma: float = Field(1.0, ge=0, description="weight of the correction of an overfitted class")
    nn_correction: NnCorrection = Field("ascent", description="ascent: the released programs'; clamp: max(0, .)")


class SPu(PairModel):
    """S-PU: positive-unlabelled risk corrected for the prior shift of the labels, decided against 0."""

    estimator: ClassVar[Estimator] = "s-pu"
    ranking: ClassVar[bool] = False
    Hyperparameters = PuHyperparameters
    # Prior multiples of the paper: 1 for complete labels, 3 for DocRED's incomplete ones (taken for the distant
    # labels too, which are as incomplete), 12 for extremely unlabeled.
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2}, hyperparameters={"prior_multiple": 3.0}),
        ext=Stage(data="ext", hyperparameters={"prior_multiple": 12.0}),
    )

    def __init__(self, hp: PuHyperparameters, task: Task) -> None:
        super().__init__()
        self.hp = hp
        self.features = PairFeatures(task.encoder_size, hp.pair_size)
        classes = task.classes if self.ranking else len(task.relations)
        self.classifier = GroupedBilinear(hp.pair_size, hp.block_size, classes)
        self.risk = PuRisk(task.label_rates, PuTerms.of(hp, self.estimator))

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [P, R + 1] when ranking, else [P, R]."""
        logits: Tensor = self.classifier(*self.features(pairs))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The risk of the estimator, summed over classes."""
        scores = logits[:, 1:] - logits[:, :1] if self.ranking else logits
        return {f"{self.estimator}_risk": self.risk(scores, labels)}

    def decode(self, logits: Tensor) -> Tensor:
        """Every relation above the threshold: the threshold class when ranking, else 0."""
        return above_threshold(logits) if self.ranking else logits > 0


class SsrPu(SPu):
    """SSR-PU: S-PU with squared ranking against a threshold class (sections 3.3, 3.4)."""

    ranking = True
    loss_settings = frozenset(PuTerms.names())
    bilinear_head = "classifier"


class Pu(SPu):
    """PU: the unlabelled pairs are a sample of all pairs, no prior shift (section 3.2)."""

    estimator = "pu"


class Pn(SPu):
    """PN: the unlabelled pairs are negative (section 3.1)."""

    estimator = "pn"
