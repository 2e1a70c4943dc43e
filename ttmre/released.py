"""TTM-RE as its authors released it: the program that made the published numbers, where it differs from the paper.

    what                     the paper, `ttmre`               the released program, here
    attention of the layers  the two tokens of a pair         the heads, and the tails, of 256 neighbouring pairs
    tail projection          its own                          the head's
    positional embedding     added before the read            none
    memory tokens start      normal                           Xavier uniform
    layers start             each its own                     all the same
    bilinear input           residual: an option              the mean of before and after
    memory in fine-tuning    frozen                           goes on learning
    memory and layers learn  at the new layers' rate          at the encoder's
    risk                     S-PU, prior multiple by setting  prior multiple 1, where S-PU is PN (12 on ext)

So a pair's score depends on what else is in its batch, and the memory's output does not know which of the two tokens is
the head. This model exists to measure what that is worth.

Not reproduced: the write step, which is computed and thrown away; and the priors, which the program keeps at the human
data's while it trains on distant data. A `Task` has the rates of the stage's own labels, for every model.
"""

from __future__ import annotations

import copy

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.interface import Hyperparameters, PairModel, Positive, Recipe, Stage, Task
from bench.nn.bilinear import EntityInContext, GroupedBilinear
from bench.nn.losses import above_threshold
from bench.nn.pooling import Pairs
from bench.nn.pu_risk import PuRisk, PuTerms
from ttmre.memory import MemoryRead, ProcessingLayer


class TtmReReleasedHyperparameters(Hyperparameters):
    """The program's settings; what it does not offer as one is not one here."""

    pair_size: Positive = Field(768, description="e, width of the head, tail and memory tokens")
    block_size: Positive = Field(64, description="width of a group of the bilinear classifier")
    memory: Positive = Field(200, description="m, memory tokens")
    layers: Positive = Field(4, description="Transformer layers over what was read")
    heads: Positive = Field(8, description="attention heads of those layers; they divide pair_size")
    chunk: Positive = Field(256, description="pairs of a batch that attend to each other")
    prior_multiple: float = Field(1.0, gt=0, description="how many times more positives than labelled ones (pi / pi_l)")
    margin: float = Field(1.0, description="m of the squared loss s (y f - m)^2 (0.25 on ChemDisGene)")
    scale: float = Field(1.0, gt=0, description="s of the squared loss s (y f - m)^2")


class TtmReReleased(PairModel):
    """TTM-RE with the released program's attention across pairs: predictions depend on batch composition.

    Shapes: P pairs of a batch, R relations, e wide; column 0 of the logits is the threshold class (TH).
    """

    Hyperparameters = TtmReReleasedHyperparameters
    loss_settings = frozenset({"prior_multiple", "margin", "scale"})
    bilinear_head = "classifier"
    at_encoder_rate = ("read.", "process.")  # the program lists the new layers by name, and these are not on the list
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2, "head_lr": 5e-5}),
        ext=Stage(data="ext", hyperparameters={"prior_multiple": 12.0}),
        human_after=Stage(data="human", training={"head_lr": 1e-5}),
        ext_after=Stage(data="ext", training={"head_lr": 1e-5}, hyperparameters={"prior_multiple": 12.0}),
    )

    def __init__(self, hp: TtmReReleasedHyperparameters, task: Task) -> None:
        super().__init__()
        self.hp = hp
        self.projection = EntityInContext(task.encoder_size, hp.pair_size)
        self.read = MemoryRead(hp.pair_size, hp.memory, positions=False, initial="xavier")
        layer = ProcessingLayer(hp.pair_size, hp.heads)
        self.process = nn.Sequential(*(copy.deepcopy(layer) for _ in range(hp.layers)))
        self.classifier = GroupedBilinear(hp.pair_size, hp.block_size, task.classes)
        self.risk = PuRisk(task.label_rates, PuTerms.of(hp, "s-pu"))

    def forward(self, pairs: Pairs) -> Tensor:
        """Logits [P, R + 1]."""
        logits: Tensor = self.classifier(*self.augmented(pairs))
        return logits

    def augmented(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """`(Z_1 + z_h) / 2` and `(Z_2 + z_t) / 2`: two tensors [P, e]."""
        before = self.features(pairs)
        head, tail = ((self.remember(before) + before) / 2).unbind(1)
        return head, tail

    def features(self, pairs: Pairs) -> Tensor:
        """`z_h` and `z_t` of each pair, by the same projection: [P, 2, e]."""
        sides = (self.projection(pairs.entities, pairs.context, side) for side in (pairs.head, pairs.tail))
        return torch.stack(tuple(sides), dim=1)

    def remember(self, pair: Tensor) -> Tensor:
        """What comes out of the memory module, chunk by chunk over all pairs of the batch: [P, 2, e] -> [P, 2, e]."""
        # The layers were built without `batch_first`, so they take the pairs for the sequence and the two tokens for
        # the batch: [2, chunk, e] to our layer, whose second dimension is the sequence.
        whole = len(pair) // self.hp.chunk * self.hp.chunk
        parts = self.read(pair).split([whole, len(pair) - whole])  # the last chunk is shorter, the others go together
        return torch.cat([self._processed(part, len(part) // self.hp.chunk or 1) for part in parts])

    def _processed(self, pair: Tensor, chunks: int) -> Tensor:
        """Layers over `chunks` chunks of the same size: [P, 2, e] -> [P, 2, e]."""
        sequences = pair.unflatten(0, (chunks, -1)).transpose(1, 2)  # [chunks, 2, pairs of a chunk, e]
        processed = self.process(sequences.flatten(0, 1)).unflatten(0, (chunks, 2))
        return processed.transpose(1, 2).flatten(0, 1)

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The S-PU risk with class weights, the scores ranked against TH."""
        return {"s-pu_risk": self.risk(logits[:, 1:] - logits[:, :1], labels)}

    def decode(self, logits: Tensor) -> Tensor:
        """Every relation above the threshold class."""
        return above_threshold(logits)
