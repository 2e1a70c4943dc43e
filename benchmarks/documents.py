"""The batches that are timed: real documents, generated ones where there are none, and made-up ones of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bench.data import sample
from bench.data.batching import Batch, collate
from bench.data.features.build import Features, build_features
from bench.data.formats.docred import read_documents
from bench.inference.document_model import DocumentModel, document_model
from bench.interface import PairModel, Task
from bench.nn.encoder_source import EncoderSource
from bench.registry import find

REAL = 4
"""The first four documents of Re-DocRED's test file: 195, 277, 267 and 467 MiniLM pieces, 92 entities, 2,120 pairs."""
RELATIONS = 96


def document_batch(path: Path | None, source: EncoderSource, count: int = REAL) -> Batch:
    """The first `count` documents of a DocRED-form file, or of the generated sample; always RELATIONS relations."""
    documents = list(read_documents(path) if path else sample.generate(seed=0)["train"])[:count]
    named = sorted({label.relation for document in documents for label in document.labels})
    relations = [*named, *(f"unseen {i}" for i in range(RELATIONS - len(named)))]
    rows = list(build_features(documents, source.words(), relations, 1024))
    return collate(rows, len(relations), source.pad_id)


def made_up_batch(
    source: EncoderSource, *, documents: int = 1, length: int = 512, entities: int = 20, relations: int = RELATIONS
) -> Batch:
    """Documents of random word pieces, all of one length, two mentions an entity, 3 % of the pairs with a relation."""
    random = np.random.default_rng(0)
    return collate([_made_up(random, source, length, entities, relations) for _ in range(documents)], relations, 0)


def _made_up(
    random: np.random.Generator, source: EncoderSource, length: int, entities: int, relations: int
) -> Features:
    words = source.words()
    middle = random.integers(5, source.config.vocab_size, length - len(words.start) - len(words.end))
    position = np.sort(random.choice(np.arange(1, length - 2), 2 * entities, replace=False))
    ends = np.array([(h, t) for h in range(entities) for t in range(entities) if h != t], dtype=np.int32)
    related = ends[random.random(len(ends)) < 0.03]
    labels = np.concatenate([related, random.integers(0, relations, (len(related), 1))], axis=1)
    bounds = np.linspace(1, length - 1, 9).astype(np.int32)
    return Features(
        title="",
        input_ids=np.array([*words.start, *middle, *words.end], dtype=np.int32),
        mention_entity=random.permutation(np.repeat(np.arange(entities), 2)).astype(np.int32),
        mention_position=position.astype(np.int32),
        mention_end=(position + 2).astype(np.int32),
        entities=entities,
        mentions_cut=0,
        labels=labels.astype(np.int32),
        evidence=((0, 1),) * len(labels),
        sentences=np.stack([bounds[:-1], bounds[1:]], axis=1),
        entity_types=("",) * entities,
        word_starts=np.arange(len(words.start), len(words.start) + len(middle), dtype=np.int32),
    )


def system_of(
    name: str, source: EncoderSource, batch: Batch, pretrained: bool = True, **settings: object
) -> DocumentModel:
    """The registered model `name` behind the encoder, its weights drawn from one seed, priors from the batch."""
    cls: type[PairModel] = find(name).cls
    rates = tuple(batch.labels.float().mean(0).tolist())
    task = Task(source.config.hidden_size, tuple(map(str, range(batch.labels.shape[1]))), rates)
    torch.manual_seed(0)
    return document_model(source, cls(cls.Hyperparameters(**settings), task), pretrained)


def described(batch: Batch) -> str:
    """What a batch is, for the line under a table."""
    lengths: Sequence[int] = [d.length for d in batch.documents]
    padding = 1 - sum(lengths) / (len(lengths) * max(lengths))
    entities = sum(d.entities for d in batch.documents)
    return (
        f"{len(lengths)} documents of {min(lengths)} to {max(lengths)} word pieces ({padding:.0%} padding), "
        f"{entities} entities, {len(batch.labels):,} pairs, {batch.labels.shape[1]} relations"
    )
