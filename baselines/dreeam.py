"""DREEAM: document-level relation extraction with evidence as guidance of the attention (Ma et al., EACL 2023).

The attention that makes a pair's context also says which sentences the pair was read from. On annotated documents it is
taught to lie on the evidence; on distant documents, which have no evidence, to lie where a teacher's does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from baselines.atlop import Atlop, AtlopHyperparameters
from bench.data.batching import Batch
from bench.interface import Rate, Recipe, Stage
from bench.nn.pooling import Pairs

SMALLEST = 1e-30
"""Of the released program: added to the sum that normalises attention, and the least probability with a logarithm."""

FINE_TUNING = {"epochs": 10, "encoder_lr": 1e-6, "head_lr": 3e-6, "warmup": 0.1, "clip": 2.0}


class DreeamHyperparameters(AtlopHyperparameters):
    """ATLOP's, how much the attention's loss weighs, and what counts as evidence."""

    evidence_lambda: Rate = Field(
        0.05, description="weight of the attention's loss: 0.05 with RoBERTa-large, 0.1 with BERT-base"
    )
    evidence_threshold: float = Field(
        0.2, ge=0, le=1, description="a sentence with more than this share of a pair's attention is its evidence"
    )


class Dreeam(Atlop):
    """ATLOP with evidence. The encoder's last three layers are averaged, or all it has where these are fewer.

    Shapes: P pairs of a batch, p of a document, which has l word pieces and S sentences.
    """

    Hyperparameters = DreeamHyperparameters
    encoder_layers = 3
    pooling_epsilon = SMALLEST
    predicts_evidence = True
    # The rates and epochs for RoBERTa-large; a student of BERT-base takes 2 epochs.
    recipe = Recipe.teacher_and_student(
        human=Stage(data="human"),
        ext=Stage(data="ext"),
        student=Stage(
            data="distant",
            signal="token_attention",
            training={"epochs": 5, "encoder_lr": 1e-5, "head_lr": 5e-5, "accumulate": 2, "clip": 5.0},
        ),
        human_after=Stage(data="human", training=FINE_TUNING),
        ext_after=Stage(data="ext", training=FINE_TUNING),
        without_teacher="there it is a student, and its teacher learns from annotated evidence",
    )
    hp: DreeamHyperparameters

    def batch_loss(self, logits: Tensor, inputs: Pairs, batch: Batch) -> dict[str, Tensor]:
        """ATLOP's loss, and the attention's: against the teacher's where there is one, else against the evidence."""
        if batch.teacher is not None:
            name, attention_loss = "teacher_attention", self.distillation_loss(inputs, batch)
        else:
            name, attention_loss = "evidence", self.evidence_loss(inputs, batch)
        return self.loss(logits, batch.labels) | {name: self.hp.evidence_lambda * attention_loss}

    def evidence_loss(self, pairs: Pairs, batch: Batch) -> Tensor:
        """KL(evidence || attention) over sentences, its mean over the pairs with a relation (L_ER on gold evidence).

        A pair without evidence counts among them with a loss of 0: Re-DocRED's added triples often have none.
        """
        by_document = self.sentence_attention(pairs, batch)
        most = max(a.shape[1] for a in by_document)
        attention = torch.cat([F.pad(a, (0, most - a.shape[1])) for a in by_document])  # [P, most sentences]
        related = batch.labels.any(1).sum().clamp(min=1)
        expected = evidence_distribution(batch, most).to(attention, non_blocking=True)
        return divergence(expected, attention).sum() / related

    def distillation_loss(self, pairs: Pairs, batch: Batch) -> Tensor:
        """KL(teacher's attention || attention) over word pieces, its mean over all pairs (L_ER on silver evidence)."""
        assert batch.teacher is not None
        total = pairs.context.new_zeros(())
        for taught, own in zip(batch.teacher, pairs.token_attention, strict=True):
            if len(own):  # nothing is kept of a document without pairs, not even its length
                total = total + divergence(distribution(taught.to(own)), own).sum()
        return total / max(len(pairs), 1)

    def sentence_attention(self, pairs: Pairs, batch: Batch) -> list[Tensor]:
        """For each document [p, S]: how much of a pair's attention lies in each sentence."""
        return [
            own @ pieces_of(document.sentences, own.shape[1]).to(own)
            for own, document in zip(pairs.token_attention, batch.documents, strict=True)
        ]

    def evidence(self, pairs: Pairs, batch: Batch) -> tuple[Tensor, ...]:
        """The sentences with more than the threshold's share of a pair's attention."""
        return tuple(share > self.hp.evidence_threshold for share in self.sentence_attention(pairs, batch))


def pieces_of(sentences: Tensor, length: int) -> Tensor:
    """Which of a document's word pieces are in which sentence: [l, S], bool.   sentences: [S, 2]."""
    piece = torch.arange(length, device=sentences.device)[:, None]
    return (piece >= sentences[:, 0]) & (piece < sentences[:, 1])


def evidence_distribution(batch: Batch, sentences: int) -> Tensor:
    """The evidence of each pair as a distribution over sentences: [P, sentences], zeros where there is none.

    A sentence counts once for each of the pair's relations that it supports.
    """
    where = [(pair, sentence) for pair, _, supporting in batch.evidence for sentence in supporting]
    pair, sentence = torch.tensor(where, dtype=torch.long).reshape(-1, 2).unbind(1)
    counts = torch.zeros(len(batch.labels), sentences)
    return distribution(counts.index_put_((pair, sentence), torch.ones(len(pair)), accumulate=True))


def distribution(mass: Tensor) -> Tensor:
    """Rows that sum to 1; a row of zeros stays one (no evidence, or a teacher that saw no mention of an entity)."""
    total = mass.sum(-1, keepdim=True)
    return mass / total.where(total > 0, 1.0)


def divergence(expected: Tensor, attention: Tensor) -> Tensor:
    """KL(expected || attention) of each row: [p, k], [p, k] -> [p]. A row of zeros in `expected` gives 0.

    Where `attention` is zero, the pair has an entity without a mention that was read: what it costs then is a constant.
    """
    # With log(x + 1e-30) in float32, the gradient of a pair without attention would be infinity times 0. Below the
    # bound of a clamp there is none.
    return (torch.xlogy(expected, expected) - expected * attention.clamp(min=SMALLEST).log()).sum(-1)
