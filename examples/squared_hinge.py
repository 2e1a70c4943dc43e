"""A loss of one's own: the squared hinge of every margin."""

import torch.nn.functional as F

from bench.interface import Loss


class SquaredHinge(Loss):
    """Squared hinge of every margin."""

    def forward(self, logits, labels):
        margins = logits[:, 1:] - logits[:, :1]
        costs = F.relu(1 - margins.where(labels, -margins)) ** 2
        return {"squared_hinge": costs.sum() / max(len(logits), 1)}
