"""The losses of models.md 2, class by class and pair by pair. Column 0 of ranked logits is the threshold class."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.data.batching import Batch


def adaptive_threshold(logits: Tensor, labels: Tensor) -> Tensor:
    """ATLOP's: `-sum_{r in pos} log softmax(pos + TH)_r - log softmax(neg + TH)_TH`, the mean over pairs."""
    total = logits.new_zeros(())
    for row, positive in zip(logits, labels, strict=True):
        threshold, relations = row[:1], row[1:]
        among_positives = torch.cat([threshold, relations[positive]]).log_softmax(0)
        among_negatives = torch.cat([threshold, relations[~positive]]).log_softmax(0)
        total = total - among_positives[1:].sum() - among_negatives[0]
    return total / len(logits)


def adaptive_focal(logits: Tensor, labels: Tensor, gamma: float) -> Tensor:
    """KD-DocRE's: `-(1 + (1 - p_r)^gamma) log p_r` of each positive, and ATLOP's term for the threshold class."""
    total = logits.new_zeros(())
    for row, positive in zip(logits, labels, strict=True):
        threshold, relations = row[:1], row[1:]
        probability = torch.sigmoid(relations[positive] - threshold)
        total = total - ((1 + (1 - probability) ** gamma) * probability.log()).sum()
        total = total - torch.cat([threshold, relations[~positive]]).log_softmax(0)[0]
    return total / len(logits)


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
    supporting: dict[int, list[int]] = {}
    for pair, _, sentences in batch.evidence:
        supporting.setdefault(pair, []).extend(sentences)
    total, first = batch.labels.new_zeros((), dtype=torch.float32), 0
    for document, weights in zip(batch.documents, attention, strict=True):
        spans = document.sentences.tolist()
        for at, row in enumerate(weights):
            named = supporting.get(first + at, [])
            for sentence in set(named):
                wanted = named.count(sentence) / len(named)
                found = row[spans[sentence][0] : spans[sentence][1]].sum()
                total = total + wanted * (torch.tensor(wanted).log() - found.clamp(min=1e-30).log())
        first += len(weights)
    return total / max(int(batch.labels.any(1).sum()), 1)
