"""Documents to batches: seeded, bucketed by length, padded as little as possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.features.build import Features

BATCHES_PER_BUCKET = 16
"""Documents are sorted by length within shuffled groups of this many batches: random enough, little padding."""


class EntityTokens(NamedTuple):
    """The k tokens of a document's entities, by entity, then by position.

    entity, position: [k].   of_heads, of_tails: [H], [T], which of them are of the head, the tail of a candidate pair.

    The tokens of an entity are the word pieces between the markers of its mentions, each once however many of its
    mentions hold it. The markers of a mention nested in another, or overlapping it, are pieces of that other one.
    """

    entity: Tensor
    position: Tensor
    of_heads: Tensor
    of_tails: Tensor


def _none() -> Tensor:
    return torch.empty(0, dtype=torch.long)


@dataclass(frozen=True)
class DocumentLayout:
    """Where things are in one document of a batch: n entities, m mentions, p candidate pairs, l word pieces.

    mention_entity, mention_position, mention_end: [m], the entity, its opening marker, and past its last own piece.
    pairs: [p, 2], entity indices.   sentences: [S, 2], piece spans; those past the length limit are empty.
    entity_types: [n], t where an entity's type is `Task.entity_types[t]`, their number where it is none of those.
    word_starts: [W], the word piece that each of the document's words begins with, as far as the length limit lets them
    be; a word of which the tokenizer makes nothing has the place where it would begin.
    words: those of each sentence, also past the limit; None but for a model that `reads_words`.
    tokens: worked out of the rest when a document is laid out: how many there are a GPU would have to be asked.
    """

    title: str
    length: int
    entities: int
    mention_entity: Tensor
    mention_position: Tensor
    mention_end: Tensor
    pairs: Tensor
    sentences: Tensor
    entity_types: Tensor = field(default_factory=_none, repr=False)
    word_starts: Tensor = field(default_factory=_none, repr=False)
    words: tuple[tuple[str, ...], ...] | None = field(default=None, repr=False)
    tokens: EntityTokens = field(default=None, repr=False)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.tokens is None:
            object.__setattr__(self, "tokens", _entity_tokens(self))

    @property
    def mention_sentence(self) -> Tensor:
        """The sentence of each mention: [m]."""
        return (self.mention_position[:, None] >= self.sentences[:, 0]).sum(1) - 1


def _entity_tokens(document: DocumentLayout) -> EntityTokens:
    piece = torch.arange(document.length)
    inside = (piece > document.mention_position[:, None]) & (piece < document.mention_end[:, None])
    holding = torch.zeros(document.entities, document.length, dtype=torch.long)
    entity, position = holding.index_add(0, document.mention_entity, inside.long()).nonzero(as_tuple=True)
    of_heads, of_tails = (torch.isin(entity, side).nonzero()[:, 0] for side in document.pairs.unbind(1))
    return EntityTokens(entity, position, of_heads, of_tails)


class Update(NamedTuple):
    """How far training is: `step` of the `steps` updates of the stage are done, this one comes next."""

    step: int
    steps: int


@dataclass(frozen=True)
class Batch:
    """B documents, L the longest of them, P candidate pairs in all, R relations.

    input_ids, attention_mask: [B, L].   labels: [P, R], true where the relation is labelled.
    evidence: for each labelled (pair of the batch, relation) the supporting sentences, where the data has them.
    teacher: in a student's stage, the teacher's signal for each document: [p, C] logits or [p, l] token attention.
    encodings: of each document the token states [l, d] and attention rows [m, A, l], where a frozen encoder's are kept.
    update: the one that the batch is for; None where nothing is trained.
    """

    input_ids: Tensor
    attention_mask: Tensor
    documents: tuple[DocumentLayout, ...]
    labels: Tensor
    evidence: tuple[tuple[int, int, tuple[int, ...]], ...]
    teacher: tuple[Tensor, ...] | None = None
    encodings: tuple[tuple[Tensor, Tensor], ...] | None = None
    update: Update | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch with its tensors on `device`; lengths and counts stay Python numbers, so nothing waits."""
        if self.input_ids.device == device:
            return self

        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, moved: Callable[[Tensor], Tensor]) -> Batch:
        documents = tuple(
            replace(
                d,
                mention_entity=moved(d.mention_entity),
                mention_position=moved(d.mention_position),
                mention_end=moved(d.mention_end),
                pairs=moved(d.pairs),
                sentences=moved(d.sentences),
                entity_types=moved(d.entity_types),
                word_starts=moved(d.word_starts),
                tokens=EntityTokens(*map(moved, d.tokens)),
            )
            for d in self.documents
        )
        return replace(
            self,
            input_ids=moved(self.input_ids),
            attention_mask=moved(self.attention_mask),
            documents=documents,
            labels=moved(self.labels),
            teacher=None if self.teacher is None else tuple(map(moved, self.teacher)),
            encodings=None if self.encodings is None else tuple((moved(s), moved(a)) for s, a in self.encodings),
        )

    def pinned(self) -> Batch:
        """The batch in memory that a GPU copies from by itself, while the processor goes on."""
        return self._mapped(torch.Tensor.pin_memory)

    def alone(self, i: int) -> Batch:
        """Document i as what an encoder reads of a batch: no padding, and no labels."""
        document = self.documents[i]
        return Batch(
            input_ids=self.input_ids[i : i + 1, : document.length],
            attention_mask=self.attention_mask[i : i + 1, : document.length],
            documents=(document,),
            labels=self.labels[:0],
            evidence=(),
        )


def collate(rows: Sequence[Features], relations: int, pad_id: int, entity_types: Sequence[str] = ()) -> Batch:
    """A batch of the documents `rows`, padded to the longest of them. entity_types: what their codes stand for."""
    code_of = {name: code for code, name in enumerate(entity_types)}
    unknown = len(code_of)
    longest = max(len(row) for row in rows)
    input_ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    documents: list[DocumentLayout] = []
    labels: list[NDArray[np.bool_]] = []
    evidence: list[tuple[int, int, tuple[int, ...]]] = []
    offset = 0
    for b, row in enumerate(rows):
        input_ids[b, : len(row)] = row.input_ids
        mask[b, : len(row)] = 1
        pairs = row.candidates()
        pair_of = np.full((row.entities, row.entities), -1, dtype=np.int64)
        pair_of[pairs[:, 0], pairs[:, 1]] = np.arange(len(pairs))
        positive = np.zeros((len(pairs), relations), dtype=bool)
        at = pair_of[row.labels[:, 0], row.labels[:, 1]]
        # A label on a pair that is no candidate cannot be learnt, and is missed.
        positive[at[at >= 0], row.labels[at >= 0, 2]] = True
        labels.append(positive)
        evidence.extend(
            (int(pair) + offset, int(label[2]), sentences)
            for pair, label, sentences in zip(at, row.labels, row.evidence, strict=True)
            if pair >= 0 and sentences
        )
        offset += len(pairs)
        documents.append(
            DocumentLayout(
                title=row.title,
                length=len(row),
                entities=row.entities,
                mention_entity=torch.from_numpy(row.mention_entity.astype(np.int64)),
                mention_position=torch.from_numpy(row.mention_position.astype(np.int64)),
                mention_end=torch.from_numpy(row.mention_end.astype(np.int64)),
                pairs=torch.from_numpy(pairs),
                sentences=torch.from_numpy(row.sentences.astype(np.int64)),
                entity_types=torch.tensor([code_of.get(name, unknown) for name in row.entity_types], dtype=torch.long),
                word_starts=torch.from_numpy(row.word_starts.astype(np.int64)),
                words=row.words,
            )
        )
    return Batch(
        input_ids=torch.from_numpy(input_ids),
        attention_mask=torch.from_numpy(mask),
        documents=tuple(documents),
        labels=torch.from_numpy(np.concatenate(labels)),
        evidence=tuple(evidence),
        encodings=_encodings(rows),
    )


def _encodings(rows: Sequence[Features]) -> tuple[tuple[Tensor, Tensor], ...] | None:
    encodings = [row.encoding for row in rows if row.encoding is not None]
    if len(encodings) < len(rows):
        return None
    return tuple((torch.from_numpy(states), torch.from_numpy(attention)) for states, attention in encodings)


def training_order(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The batches of one epoch as document indices: a function of (seed, epoch) alone, every document once."""
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(shuffled), batch_size * BATCHES_PER_BUCKET):
        bucket = shuffled[start : start + batch_size * BATCHES_PER_BUCKET]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    return [batches[i] for i in random.permutation(len(batches))]


def training_order_within(lengths: NDArray[np.int64], pieces: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """As `training_order`, in batches of at most `pieces` word pieces, padding included; a longer document is alone."""
    random = np.random.default_rng((seed, epoch))
    shuffled = random.permutation(len(lengths))
    # As many documents in a group as fill some batches if there were no padding.
    size = max(1, int(BATCHES_PER_BUCKET * pieces / max(1.0, float(lengths.mean())))) if len(lengths) else 1
    batches = []
    for start in range(0, len(shuffled), size):
        bucket = shuffled[start : start + size]
        batches += [bucket[rows] for rows in order_within(lengths[bucket], pieces)]
    return [batches[i] for i in random.permutation(len(batches))]


def evaluation_order(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Batches of documents of like length, longest first (too little memory shows at once)."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def order_within(lengths: NDArray[np.int64], pieces: int) -> list[NDArray[np.int64]]:
    """Batches of documents of like length, longest first, of at most `pieces` word pieces each, padding included."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        size = max(1, pieces // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches
