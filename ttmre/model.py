"""TTM-RE: memory-augmented document-level relation extraction (Gao et al., ACL 2024), as the paper describes it.

The released program computes something else; `ttmre.released` has it, and says where the two differ. Where the paper is
silent or an equation needs help, the comment beside the line says what was chosen.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.interface import Hyperparameters, PairModel, Positive, Recipe, Stage, Task
from bench.nn.bilinear import GroupedBilinear, PairFeatures
from bench.nn.losses import above_threshold
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import NnCorrection, PuRisk, PuTerms
from ttmre.memory import MemoryRead, ProcessingLayer

FROZEN_MEMORY = ("read.memory",)
"""The memory tokens and the embeddings of their positions: "freeze the memory tokens" (section 4.2)."""


class TtmReHyperparameters(Hyperparameters):
    """The sizes of the network and its memory, and the terms of the risk."""

    pair_size: Positive = Field(768, description="e, width of the head, tail and memory tokens")
    block_size: Positive = Field(64, description="width of a group of the bilinear classifier")
    memory: Positive = Field(200, description="m, memory tokens (10, 50, 100, 200 in the paper)")
    memory_std: float = Field(0.02, gt=0, description="spread of the memory tokens at the start (not in the paper)")
    layers: Positive = Field(4, description="Transformer layers over what was read (1 to 4 in the paper)")
    heads: Positive = Field(8, description="attention heads of those layers; they divide pair_size")
    residual: Literal["mean", "none"] = Field(
        "mean", description="classify the mean of each token before and after the memory, or only what comes out of it"
    )
    loss: Literal["s-pu", "pu"] = Field("s-pu", description="s-pu corrects for the prior shift; pu is TTM-RE PU")
    prior_multiple: float = Field(1.0, gt=0, description="how many times more positives than labelled ones (pi / pi_l)")
    margin: float = Field(1.0, description="m of the squared loss s (y f - m)^2")
    scale: float = Field(1.0, gt=0, description="s of the squared loss s (y f - m)^2")
    class_weight: bool = Field(True, description="weigh positives by ((1 - pi) / pi)^0.5; appendix F does without")
    beta: float = Field(0.0, description="a class whose negative risk is below it counts as overfitted")
    gamma: float = Field(1.0, ge=0, description="weight of the correction of an overfitted class")
    nn_correction: NnCorrection = Field("ascent", description="ascent: the released program's; clamp: max(0, .)")


class TtmRe(PairModel):
    """Each pair's head and tail read a learned memory before they are classified.

    Shapes: P pairs of a batch, R relations, m memory tokens, e wide; column 0 of the logits is the threshold class
    (TH). A pair's logits depend on that pair alone, whatever else is in the batch.
    """

    Hyperparameters = TtmReHyperparameters
    loss_settings = frozenset({"loss", *PuTerms.names()})
    bilinear_head = "classifier"
    # Section 4.2: "fine-tune on distantly supervised training data via the regular loss, freeze the memory tokens, and
    # then fine-tune on the training set." Prior multiples are SSR-PU's: 1 for Re-DocRED's complete labels, 3 for
    # incomplete ones (taken for the distant labels), 12 for extremely unlabeled.
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2, "head_lr": 5e-5}, hyperparameters={"prior_multiple": 3.0}),
        ext=Stage(data="ext", hyperparameters={"prior_multiple": 12.0}),
        human_after=Stage(data="human", training={"head_lr": 1e-5}, freeze=FROZEN_MEMORY),
        ext_after=Stage(
            data="ext", training={"head_lr": 1e-5}, hyperparameters={"prior_multiple": 12.0}, freeze=FROZEN_MEMORY
        ),
    )

    def __init__(self, hp: TtmReHyperparameters, task: Task) -> None:
        super().__init__()
        self.hp = hp
        self.features = PairFeatures(task.encoder_size, hp.pair_size)
        self.read = MemoryRead(hp.pair_size, hp.memory, positions=True, initial="normal", std=hp.memory_std)
        self.process = nn.Sequential(*(ProcessingLayer(hp.pair_size, hp.heads) for _ in range(hp.layers)))
        self.classifier = GroupedBilinear(hp.pair_size, hp.block_size, task.classes)
        self.risk = PuRisk(task.label_rates, PuTerms.of(hp, hp.loss))

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [P, R + 1]."""
        logits: Tensor = self.classifier(*self.augmented(pairs))  # section 3.3
        return logits

    def augmented(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The memory-augmented head and tail of each pair, `e_h'` and `e_t'`: two tensors [P, e]."""
        before = torch.stack(self.features(pairs), dim=1)  # I, [P, 2, e]
        # Section 3.2: read, then process; in the layers the two tokens of a pair attend to each other. No write: "since
        # we are not applying this model sequentially, we can ignore this step".
        after = self.process(self.read(before))
        if self.hp.residual == "mean":
            # Not in the paper, but in the program that made its numbers. The pair's own two tokens are 2 of m + 2 in an
            # untrained read, about 1 % of what comes out of it.
            after = (after + before) / 2
        head, tail = after.unbind(1)
        return head, tail

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Section 3.4 and appendix F, eq. 3 ("s-pu") or eq. 1 ("pu"), with the scores ranked against TH."""
        return {f"{self.hp.loss}_risk": self.risk(logits[:, 1:] - logits[:, :1], labels)}

    def decode(self, logits: Tensor) -> Tensor:
        """Every relation above the threshold class (section 3.3)."""
        return above_threshold(logits)
