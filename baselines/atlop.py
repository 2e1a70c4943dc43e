"""ATLOP: adaptive thresholding and localized context pooling (Zhou et al., AAAI 2021)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from torch import Tensor

from bench.interface import Hyperparameters, PairModel, Positive, Recipe, Stage, Task
from bench.nn.bilinear import GroupedBilinear, PairFeatures
from bench.nn.losses import above_threshold, adaptive_threshold_loss, among_highest
from bench.nn.pooling import Pairs


class AtlopHyperparameters(Hyperparameters):
    """The size of the pair representation and of the decision."""

    pair_size: Positive = Field(768, description="e, width of the head and tail features")
    block_size: Positive = Field(64, description="width of a group of the bilinear classifier")
    num_labels: Positive = Field(4, description="a relation must be among this many highest classes, TH counted")


class Atlop(PairModel):
    """Group-bilinear classifier over localized context, decided against a learned threshold class.

    Shapes: P pairs of a batch, R relations; column 0 of the logits is the threshold class (TH).
    """

    Hyperparameters = AtlopHyperparameters
    loss_settings = frozenset({"num_labels"})
    bilinear_head = "classifier"
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2}),
        ext=Stage(data="ext"),
    )

    def __init__(self, hp: AtlopHyperparameters, task: Task) -> None:
        super().__init__()
        self.hp = hp
        self.features = PairFeatures(task.encoder_size, hp.pair_size)
        self.classifier = GroupedBilinear(hp.pair_size, hp.block_size, task.classes)

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [P, R + 1]."""
        head, tail = self.features(pairs)  # eq. 3, 4, with the context of eq. 7-8 in them
        logits: Tensor = self.classifier(head, tail)  # eq. 5
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Eq. 9-11."""
        return {"adaptive_threshold": adaptive_threshold_loss(logits, labels)}

    def decode(self, logits: Tensor) -> Tensor:
        """Section 3.2: what is above the threshold class, at most `num_labels` classes."""
        return above_threshold(logits, at_most=self.hp.num_labels)

    def candidates(self, logits: Tensor, relations: Sequence[str]) -> Tensor:
        """At most `num_labels` classes of a pair, the threshold class counted."""
        return among_highest(logits, self.hp.num_labels)[:, 1:]
