"""Documents to word pieces: what an encoder reads, where the mention markers are, what the labels are.

A `*` marker goes before and after every mention; a mention is the position of its opening marker (ATLOP, section 2).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from bench.data.documents import Document

FEATURE_VERSION = 2
"""Part of every cache key: raise it when the same document would give other features."""

MARKER = "*"


@dataclass(frozen=True, slots=True)
class Features:
    """One document as numbers. L word pieces with the specials, M mentions that survive the length limit.

    input_ids: [L].   mention_entity, mention_position: [M], the entity of a mention and where its opening marker is.
    mention_end: [M], where a mention's own pieces end (its closing marker, or the length limit).
    entities: how many entities the document has, also those without a surviving mention.
    mentions_cut: mentions lost to the length limit.   labels: [K, 3], (head, tail, relation index).
    evidence: for each label the sentences that support it.   sentences: [S, 2], first and past-the-last piece.
    pairs: [p, 2], the candidate pairs (head, tail) if the data set names them; None for all of DocRED's.
    """

    title: str
    input_ids: NDArray[np.int32]
    mention_entity: NDArray[np.int32]
    mention_position: NDArray[np.int32]
    mention_end: NDArray[np.int32]
    entities: int
    mentions_cut: int
    labels: NDArray[np.int32]
    evidence: tuple[tuple[int, ...], ...]
    sentences: NDArray[np.int32]
    pairs: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def candidates(self) -> NDArray[np.int64]:
        """The pairs to be classified, [p, 2]: those named, else every ordered pair of two entities, row by row."""
        if self.pairs is not None:
            return self.pairs.astype(np.int64)
        head, tail = np.divmod(np.arange(self.entities**2), max(self.entities, 1))
        return np.stack([head, tail], axis=1)[head != tail]


class WordPieces:
    """Word pieces of words, each distinct word tokenised once.

    Words are tokenised one at a time and without a prefix space, as the reference programs do for every encoder.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.marker = self._marker_id()
        self.start, self.end = self._special_ids()
        self._memo: dict[str, tuple[int, ...]] = {}

    def _marker_id(self) -> int:
        marker = self.tokenizer.convert_tokens_to_ids(MARKER)
        if marker is None or marker == self.tokenizer.unk_token_id:
            # SentencePiece vocabularies may hold the marker only with their word-start sign.
            marker = self.tokenizer(MARKER, add_special_tokens=False).input_ids[-1]
        return int(marker)

    def _special_ids(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and after a text: ([CLS], [SEP]) or (<s>, </s>)."""
        empty = self.tokenizer("").input_ids
        return list(empty[:1]), list(empty[1:])

    def learn(self, words: Iterable[str]) -> None:
        """Tokenise the words not seen before, in one call of the tokenizer."""
        new = sorted(set(words) - self._memo.keys())
        if new:
            pieces = self.tokenizer(new, add_special_tokens=False, return_attention_mask=False).input_ids
            self._memo.update((word, tuple(ids)) for word, ids in zip(new, pieces, strict=True))

    def __getitem__(self, word: str) -> tuple[int, ...]:
        return self._memo[word]


def build_features(
    documents: Sequence[Document], words: WordPieces, relations: Sequence[str], max_length: int
) -> Iterator[Features]:
    """The features of each document, in order. `max_length` counts the specials; `relations[i]` gets index i."""
    index = {relation: i for i, relation in enumerate(relations)}
    words.learn(word for document in documents for sentence in document.sentences for word in sentence)
    for document in documents:
        yield _document_features(document, words, index, max_length)


def _document_features(
    document: Document, words: WordPieces, relation_index: dict[str, int], max_length: int
) -> Features:
    starts = {(m.sentence, m.start) for mentions in document.entities for m in mentions}
    lasts = {(m.sentence, m.end - 1) for mentions in document.entities for m in mentions}
    pieces: list[int] = []
    word_at: dict[tuple[int, int], int] = {}  # (sentence, word) -> its first piece, the marker if it has one
    end_of: dict[tuple[int, int], int] = {}  # (sentence, word) -> past its last piece, where a closing marker goes
    sentence_starts = []
    for s, sentence in enumerate(document.sentences):
        sentence_starts.append(len(pieces))
        for w, word in enumerate(sentence):
            word_at[s, w] = len(pieces)
            if (s, w) in starts:
                pieces.append(words.marker)
            pieces.extend(words[word])
            end_of[s, w] = len(pieces)
            if (s, w) in lasts:
                pieces.append(words.marker)
    limit = max_length - len(words.start) - len(words.end)
    offset = len(words.start)
    mentions = [
        (e, word_at[m.sentence, m.start], end_of[m.sentence, m.end - 1])
        for e, ms in enumerate(document.entities)
        for m in ms
    ]
    kept = [(entity, start + offset, min(end, limit) + offset) for entity, start, end in mentions if start < limit]
    bounds = np.asarray([*sentence_starts, len(pieces)], dtype=np.int32).clip(max=limit) + offset
    labels = [(label.head, label.tail, relation_index[label.relation]) for label in document.labels]
    return Features(
        title=document.title,
        input_ids=np.asarray([*words.start, *pieces[:limit], *words.end], dtype=np.int32),
        mention_entity=np.asarray([entity for entity, _, _ in kept], dtype=np.int32),
        mention_position=np.asarray([start for _, start, _ in kept], dtype=np.int32),
        mention_end=np.asarray([end for _, _, end in kept], dtype=np.int32),
        entities=len(document.entities),
        mentions_cut=len(mentions) - len(kept),
        labels=np.asarray(labels, dtype=np.int32).reshape(-1, 3),
        evidence=tuple(label.evidence for label in document.labels),
        sentences=np.stack([bounds[:-1], bounds[1:]], axis=1),
        pairs=None if document.candidates is None else np.asarray(document.candidates, dtype=np.int32).reshape(-1, 2),
    )
