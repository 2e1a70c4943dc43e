"""A model of your own, whole: the mean of head, tail and context, one linear layer, a sigmoid per relation.

bench models check examples/mean_pair.py:MeanPair
bench run --models examples/mean_pair.py:MeanPair,atlop --seeds 2
"""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from bench.interface import Hyperparameters, PairModel, Recipe, Stage, Task
from bench.nn.pooling import Pairs


class MeanPairHyperparameters(Hyperparameters):
    hidden_size: int = Field(256, gt=0, description="width of the hidden layer")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the hidden layer")


class MeanPair(PairModel):
    """Head, tail and context through one hidden layer; each relation decided alone, at probability 0.5."""

    Hyperparameters = MeanPairHyperparameters
    recipe = Recipe.one_then_the_other(
        human=Stage(data="human"),
        distant=Stage(data="distant", training={"epochs": 2}),
        ext=Stage(data="ext"),
    )

    def __init__(self, hp: MeanPairHyperparameters, task: Task) -> None:
        super().__init__()
        self.head = nn.Linear(task.encoder_size, hp.hidden_size)
        self.tail = nn.Linear(task.encoder_size, hp.hidden_size)
        self.context = nn.Linear(task.encoder_size, hp.hidden_size)
        self.dropout = nn.Dropout(hp.dropout)
        self.out = nn.Linear(hp.hidden_size, len(task.relations))

    def forward(self, pairs: Pairs) -> Tensor:
        head = self.head(pairs.entities)[pairs.head]
        tail = self.tail(pairs.entities)[pairs.tail]
        return self.out(self.dropout(F.relu(head + tail + self.context(pairs.context))))

    def loss(self, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        return {"cross_entropy": F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype)) * labels.shape[1]}

    def decode(self, logits: Tensor) -> Tensor:
        return logits > 0
