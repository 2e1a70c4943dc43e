"""PubMedBERT and PubMedBERT + BRAN, baselines of ChemDisGene (Zhang et al., LREC 2022).

The names are those of the published rows. The encoder is the one chosen with `--encoder`, as for every model; the
published rows used microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract, which was called PubMedBERT then.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.thresholds import PerRelationThresholds
from bench.data.batching import DocumentLayout
from bench.interface import Hyperparameters, Positive, Task
from bench.nn.biaffine import TokenPairBiaffine
from bench.nn.segments import segment_max
from bench.nn.tokens import Tokens


class PubMedBertHyperparameters(Hyperparameters):
    """The perceptron over a pair."""

    hidden_size: Positive = Field(768, description="width of the hidden layer over head and tail")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the hidden layer")


class PubMedBert(PerRelationThresholds):
    """Head and tail as the maximum over their tokens, then a perceptron ("dot" in the comparison).

    An entity without a surviving mention is a vector of zeros, so its pairs have finite scores.

    Shapes: P pairs of a batch, R relations.
    """

    Hyperparameters = PubMedBertHyperparameters
    reads = "tokens"

    def __init__(self, hp: PubMedBertHyperparameters, task: Task) -> None:
        super().__init__(task)
        self.hidden = nn.Linear(2 * task.encoder_size, hp.hidden_size)
        self.dropout = nn.Dropout(hp.dropout)
        self.out = nn.Linear(hp.hidden_size, len(task.relations))

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits [P, R]."""
        assert tokens.states is not None
        documents = zip(tokens.states, tokens.documents, strict=True)
        hidden = torch.cat([self._hidden(states, document) for states, document in documents])
        logits: Tensor = self.out(self.dropout(F.relu(hidden)))
        return logits

    def _hidden(self, states: Tensor, document: DocumentLayout) -> Tensor:
        """`W [h ; t] + b` of one document's pairs, with `W_h h` and `W_t t` computed once per entity: [p, hidden]."""
        tokens = document.tokens
        entities = segment_max(states.index_select(0, tokens.position), tokens.entity, document.entities)
        of_head, of_tail = self.hidden.weight.chunk(2, dim=1)
        head, tail = document.pairs.unbind(1)
        as_head, as_tail = F.linear(entities, of_head, self.hidden.bias), F.linear(entities, of_tail)
        return as_head.index_select(0, head) + as_tail.index_select(0, tail)


class PubMedBertBranHyperparameters(Hyperparameters):
    """The bi-affine head."""

    biaffine_size: Positive = Field(128, description="width of the head and tail vectors of a token")


class PubMedBertBran(PerRelationThresholds):
    """BRAN's bi-affine head on the states of the encoder.

    Shapes: P pairs of a batch, R relations.
    """

    Hyperparameters = PubMedBertBranHyperparameters
    reads = "tokens"

    def __init__(self, hp: PubMedBertBranHyperparameters, task: Task) -> None:
        super().__init__(task)
        self.biaffine = TokenPairBiaffine(task.encoder_size, len(task.relations), hp.biaffine_size)

    def forward(self, tokens: Tokens) -> Tensor:
        """Logits [P, R]."""
        assert tokens.states is not None
        logits: Tensor = self.biaffine(tokens.states, tokens.documents)
        return logits
