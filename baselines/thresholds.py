"""What the ChemDisGene baselines share: a sigmoid per relation, decided at thresholds tuned on dev, and a recipe.

The comparison of Zhang et al. (LREC 2022): BRAN, PubMedBERT, and PubMedBERT + BRAN.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.interface import PairModel, Recipe, Stage, Task

# The defaults of Zhang et al.'s released program. It accumulates 16 steps and has no option for documents a step, which
# is taken for one. The rate is BRAN's too, which starts from random weights. Theirs stays constant; here it falls
# linearly, as everyone's does, but without a warm-up as theirs.
PUBLISHED = {
    "epochs": 10,
    "batch_size": 1,
    "accumulate": 16,
    "encoder_lr": 1e-5,
    "head_lr": 1e-5,
    "warmup": 0.0,
    "clip": 10.0,
    "weight_decay": 1e-4,
    "patience": 5,
}


class PerRelationThresholds(PairModel):
    """Each relation is a question of its own: R logits, no threshold class, predicted above the relation's threshold.

    thresholds: [R], in logits, a buffer that goes with the weights. 0 (probability 1/2) until `tune` has chosen.
    A dev F1 with thresholds tuned on that dev is a little too good; test scores say what they are worth.
    """

    # One training set in the comparison, ChemDisGene's, which is `human` here. For distant documents before annotated
    # ones it has no precedent: 2 epochs on them, as for the other models.
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human", training=PUBLISHED),
        distant=Stage(data="distant", training=PUBLISHED | {"epochs": 2}),
        ext=Stage(data="ext", training=PUBLISHED),
    )
    tunes_decisions = True
    thresholds: Tensor

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.relations = task.relations
        self.register_buffer("thresholds", torch.zeros(len(task.relations)))

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Binary cross-entropy, summed over relations, the mean over pairs.

        A mean over both would divide by R as well: with 96 relations and some hundred pairs, gradients so small that
        AdamW's epsilon outweighs them and the limit on their norm never acts. A sum over both would let a document of
        40 entities count a hundred times as much as one of 4.
        """
        summed = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
        return {"cross_entropy": summed / max(len(logits), 1)}

    def tune(self, logits: Tensor, labels: Tensor) -> None:
        """The thresholds with the best F1 of each relation on dev, among its candidate pairs."""
        columns = zip(logits.unbind(1), labels.unbind(1), strict=True)
        self.thresholds.copy_(torch.stack([best_threshold(scores, positive) for scores, positive in columns]))

    def decision(self) -> dict[str, float]:
        """The threshold of each relation."""
        return {f"threshold {r}": t for r, t in zip(self.relations, self.thresholds.tolist(), strict=True)}

    def decode(self, logits: Tensor) -> Tensor:
        """Every relation above its threshold: [P, R], bool."""
        return logits > self.thresholds


def best_threshold(scores: Tensor, positive: Tensor) -> Tensor:
    """The threshold with the highest F1 for predicting what scores above it: a scalar. scores, positive (bool): [N].

    Exact: all cuts between two different scores are compared. Of equally good ones the highest, so the fewest
    predictions; it lies half way to the next score below the cut. Without a positive no prediction can be right: then
    it takes more than any score seen, and more than probability 1/2. Without scores it is 0.
    """
    if not len(scores):
        return scores.new_zeros(())
    ordered, order = scores.sort(descending=True)
    correct = positive[order].cumsum(0)
    predicted = torch.arange(1, len(scores) + 1, device=scores.device)
    f1 = 2 * correct.double() / (predicted + correct[-1])
    below = torch.cat([ordered[1:], ordered[-1:].nextafter(ordered.new_full((1,), -torch.inf))])
    f1 = f1.masked_fill(ordered == below, -1.0)  # equal scores are predicted together or not at all
    best = f1.argmax()
    upper, lower = ordered[best], below[best]
    middle = lower + (upper - lower) / 2
    # Between neighbouring numbers there is no middle: it is rounded to one of the two.
    threshold = torch.where(middle < upper, middle, lower)
    return torch.where(correct[-1] > 0, threshold, ordered[0].clamp(min=0.0))
