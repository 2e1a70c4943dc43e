"""KD-DocRE: axial attention, adaptive focal loss and knowledge distillation (Tan et al., Findings of ACL 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.data.batching import Batch
from bench.interface import Hyperparameters, PairModel, Positive, Recipe, Stage, Task
from bench.nn.axial import AxialTransformer
from bench.nn.bilinear import GroupedBilinear, PairFeatures
from bench.nn.losses import above_threshold, adaptive_focal_loss, among_highest
from bench.nn.pooling import Pairs


class KdDocReHyperparameters(Hyperparameters):
    """The sizes of the network, the terms of the loss, and the decision."""

    pair_size: Positive = Field(1024, description="e, width of the head and tail features")
    block_size: Positive = Field(64, description="width of a group of the bilinear product")
    axial_layers: Positive = Field(6, description="layers of attention over the entity matrix")
    axial_heads: Positive = Field(8, description="attention heads of those layers; they divide the encoder's width")
    gamma: float = Field(1.0, ge=0, description="focus of the loss on positives the model is not sure of")
    teacher_weight: float = Field(1.0, ge=0, description="weight of the student's squared distance to its teacher")
    num_labels: Positive = Field(4, description="a relation must be among this many highest classes, TH counted")


FINE_TUNING = {"epochs": 20, "batch_size": 1, "warmup": 0.1, "encoder_lr": 1e-6, "head_lr": 3e-6}


class KdDocRe(PairModel):
    """All pairs of a document's entities as a matrix, whose rows and columns attend to themselves.

    Shapes: P pairs of a batch, P the sum of n^2 over its documents; d features of a pair, as wide as the encoder; R
    relations; column 0 of the logits is the threshold class (TH).
    """

    Hyperparameters = KdDocReHyperparameters
    loss_settings = frozenset({"gamma", "num_labels"})
    pooled_heads = "sum"
    pooling_epsilon = 1e-10
    whole_grid = True
    # Rates, and all of fine-tuning, are those of the released program's scripts for RoBERTa-large. The student's two
    # epochs are chosen here, as many as the other models see the distant documents; the script says 20.
    recipe = Recipe.teacher_and_student(
        human=Stage(data="human"),
        ext=Stage(data="ext"),
        student=Stage(data="distant", training={"epochs": 2, "encoder_lr": 1e-5, "head_lr": 5e-5}, signal="logits"),
        human_after=Stage(data="human", training=FINE_TUNING),
        ext_after=Stage(data="ext", training=FINE_TUNING),
        without_teacher=(
            "its student learns the distant documents from a teacher trained on annotated ones; the paper has no row "
            "for distant documents alone"
        ),
    )

    def __init__(self, hp: KdDocReHyperparameters, task: Task) -> None:
        super().__init__()
        self.hp = hp
        size = task.encoder_size
        self.features = PairFeatures(size, hp.pair_size)
        self.projection = GroupedBilinear(hp.pair_size, hp.block_size, size, bias=False)
        self.axial = AxialTransformer(size, hp.axial_layers, hp.axial_heads)
        self.classifier = nn.Linear(size, task.classes)

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [C, R + 1] of the C candidates among the pairs."""
        assert pairs.candidates is not None, "whole_grid"
        cells: Tensor = self.projection(*self.features(pairs))  # [P, d]
        # Only the document's own cells: the released program fills every matrix up to 42 entities and lets what it
        # fills it with be attended to. The diagonal is attended to here as there, and classified in neither.
        cells = cells + self.axial(cells, [math.isqrt(size) for size in pairs.sizes])
        logits: Tensor = self.classifier(cells.index_select(0, pairs.candidates))
        return logits

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Adaptive focal loss."""
        return {"adaptive_focal": adaptive_focal_loss(logits, labels, self.hp.gamma)}

    def batch_loss(self, logits: Tensor, inputs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """Knowledge distillation: to a student's own loss its mean squared distance to the teacher's logits."""
        parts = self.loss(logits, batch.labels)
        if batch.teacher is not None:
            parts["teacher"] = self.hp.teacher_weight * F.mse_loss(logits, torch.cat(batch.teacher))
        return parts

    def decode(self, logits: Tensor) -> Tensor:
        """As ATLOP: what is above the threshold class, at most `num_labels` classes."""
        return above_threshold(logits, at_most=self.hp.num_labels)

    def candidates(self, logits: Tensor, relations: Sequence[str]) -> Tensor:
        """At most `num_labels` classes of a pair, the threshold class counted."""
        return among_highest(logits, self.hp.num_labels)[:, 1:]
