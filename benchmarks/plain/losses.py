"""The losses: positive-unlabelled risk class by class. Column 0 of ranked logits is the threshold class."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.batching import Batch


def adaptive_threshold(logits: Tensor, labels: Tensor) -> Tensor:
    """ATLOP's: `-sum_{r in pos} log softmax(pos + TH)_r - log softmax(neg + TH)_TH`, the mean over pairs."""
    positive = torch.cat([torch.zeros_like(labels[:, :1]), labels], dim=1).to(logits.dtype)
    threshold = torch.zeros_like(positive)
    threshold[:, 0] = 1.0
    among_positives = torch.log_softmax(logits - (1 - (positive + threshold)) * 1e30, dim=1)
    return (-(among_positives * positive).sum(1) + _threshold(logits, positive, threshold)).mean()


def adaptive_focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """KD-DocRE's: `-(1 + (1 - p_r)^gamma) log p_r` of each positive, and ATLOP's term for the threshold class."""
    positive = torch.cat([torch.zeros_like(labels[:, :1]), labels], dim=1).to(logits.dtype)
    threshold = torch.zeros_like(positive)
    threshold[:, 0] = 1.0
    pairwise = torch.stack([logits, logits[:, :1].expand_as(logits)], dim=2)  # each class against the threshold's
    log_probability = torch.log_softmax(pairwise, dim=2)[..., 0]
    focused = (1 + (1 - log_probability.exp()) ** gamma) * log_probability
    return (-(focused * positive).sum(1) + _threshold(logits, positive, threshold)).mean()


def _threshold(logits: Tensor, positive: Tensor, threshold: Tensor) -> Tensor:
    among_negatives = torch.log_softmax(logits - positive * 1e30, dim=1)
    return -(among_negatives * threshold).sum(1)


def positive_unlabeled(
    scores: Tensor,
    labels: Tensor,
    priors: Tensor,
    *,
    estimator: str,
    prior_multiple: float,
    margin: float,
    scale: float,
    class_weight: bool = True,
    beta: float = 0.0,
    gamma: float = 1.0,
    nn_correction: str = "ascent",
) -> Tensor:
    """The risk of PN, PU or S-PU, summed class by class; the released programs' correction, or the paper's."""
    total = scores.new_zeros(())
    for r in range(scores.shape[1]):
        f, positive, pi_labeled = scores[:, r], labels[:, r], priors[r]
        pi = prior_multiple * pi_labeled
        pi_unlabeled = (pi - pi_labeled) / (1 - pi_labeled)
        weight = ((1 - pi) / pi) ** 0.5 if class_weight else 1.0

        def mean(chosen: Tensor, y: float, f: Tensor = f) -> Tensor:
            values = scale * (y * f[chosen] - margin) ** 2
            return values.mean() if len(values) else f.new_zeros(())

        as_positive = pi * weight * mean(positive, 1.0)
        if estimator == "pn":
            total = total + (1 - pi) * mean(~positive, -1.0) + as_positive
            continue
        if estimator == "pu":
            negative = mean(~positive, -1.0) - pi * mean(positive, -1.0)
        else:
            negative = (1 - pi) / (1 - pi_unlabeled) * mean(~positive, -1.0)
            negative = negative - (pi_unlabeled - pi_unlabeled * pi) / (1 - pi_unlabeled) * mean(positive, -1.0)
        if nn_correction == "clamp":
            total = total + as_positive + negative.clamp(min=beta)
        else:
            total = total + (-gamma * negative if negative < beta else as_positive + negative)
    return total


def evidence(attention: list[Tensor], batch: Batch) -> Tensor:
    """DREEAM's: KL(evidence || attention within each sentence), its mean over the pairs with a relation."""
    total, first = 0.0, 0
    for document, weights in zip(batch.documents, attention, strict=True):
        spans = document.sentences.tolist()
        found = torch.stack([weights[:, start:end].sum(1) for start, end in spans], dim=1)
        wanted = torch.zeros_like(found)
        for pair, _, sentences in batch.evidence:
            if first <= pair < first + len(weights):
                for sentence in sentences:
                    wanted[pair - first, sentence] += 1
        wanted = wanted / wanted.sum(1, keepdim=True).clamp(min=1)
        total = total + torch.nn.functional.kl_div(found.clamp(min=1e-30).log(), wanted, reduction="sum")
        first += len(weights)
    return total / max(int(batch.labels.any(1).sum()), 1)
