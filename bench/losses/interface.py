"""What a loss is that any model can be trained with. The page to read before adding one.

A `Loss` turns the logits of a batch's pairs and their labels into named scalars whose sum is minimised, and says what
the logits are decided against. The logits have the loss's threshold columns first, then a column for each relation, in
the order of the data set: [P, T + R]. It is registered under the entry-point group `docre_bench.losses`, or named
`file.py:Name`, and asked for as a hyperparameter of a model: `--models atlop:loss=atgl:alpha=16.5`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from bench.nn.losses import among_highest
from bench.runs.recipe import Positive, Rate


class LossHyperparameters(BaseModel):
    """The settings that every loss has. Subclass it; unknown keys are errors, and `bench losses show` prints the rest.

    No name may be one of a stage's training (`epochs`, ...), nor `loss`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_most: Positive | None = Field(
        4, description="a relation must be among this many highest columns of its pair, thresholds counted; null: any"
    )
    contrastive: Rate = Field(0.0, description="weight of the contrastive term on pairs' features (PEMSCL's lambda_3)")
    tau: float = Field(2.0, gt=0, description="temperature of the contrastive term")
    tau_base: float = Field(1.0, gt=0, description="what the contrastive term, times tau, is divided by")


class Loss(nn.Module, ABC):
    """Base class of losses. Subclasses define `forward`, and what else differs from a single threshold class TH.

    Shapes: P pairs of a batch, R relations, T threshold columns. Logits are float32 or wider. What must be known again
    where the trained model predicts belongs in buffers.
    """

    Hyperparameters: ClassVar[type[LossHyperparameters]] = LossHyperparameters
    against: ClassVar[str] = "the threshold class"
    """What the logits of relations are compared with, in a few words."""

    def __init__(self, hp: Any, label_rates: Sequence[float]) -> None:
        """hp: the `Hyperparameters`.   label_rates: [R], the share of the stage's candidate pairs with each label.

        The rates are 0 where a trained model is made to predict. Raises ValueError for what cannot be with so many
        relations, or with such rates.
        """
        super().__init__()
        self.hp = hp
        self.relations = len(label_rates)

    @classmethod
    def threshold_columns(cls, hp: Any) -> int:
        """T, how many columns of the logits come before those of the relations."""
        return 1

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Named scalar parts; their sum is minimised. logits: [P, T + R].   labels: [P, R], bool, left as they are."""

    def thresholds(self, logits: Tensor) -> Tensor:
        """What a relation's logit has to exceed to be predicted: [P, R], or of a shape that broadcasts to it."""
        return logits[:, :1]

    def candidates(self, logits: Tensor) -> Tensor:
        """The relations that may be predicted, whatever their thresholds: [P, R], bool."""
        return among_highest(logits, self.hp.at_most)[:, logits.shape[1] - self.relations :]

    def decode(self, logits: Tensor) -> Tensor:
        """The predicted relations: [P, R], bool. logits: [P, T + R]."""
        above = logits[:, logits.shape[1] - self.relations :] > self.thresholds(logits)
        return above & self.candidates(logits)


def mean_over_pairs(of_pairs: Tensor) -> Tensor:
    """The mean of [P], 0 for a batch without a pair."""
    return of_pairs.sum() / max(len(of_pairs), 1)
