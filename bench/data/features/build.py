"""Documents to word pieces: what an encoder reads, where the mention markers are, what the labels are.

A `*` marker goes before and after every mention; a mention is the position of its opening marker (ATLOP, section 2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise, takewhile
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerBase

from bench.data.documents import Document, begins_unspaced

FEATURE_VERSION = 3
"""Part of every cache key: raise it when the same document would give other features."""

MARKER = "*"
SPACE = "\u2581"
"""SentencePiece's sign of a space, which begins a word."""
FRAMES = (("[CLS]", "[SEP]"), ("<s>", "</s>"))
"""What opens and closes a text where a vocabulary has it and the tokenizer does not say."""


@dataclass(frozen=True, slots=True)
class Features:
    """One document as numbers. L word pieces with the specials, M mentions that survive the length limit.

    input_ids: [L].   mention_entity, mention_position: [M], the entity of a mention and where its opening marker is.
    mention_end: [M], where a mention's own pieces end (its closing marker, or the length limit).
    entities: how many entities the document has, also those without a surviving mention.
    mentions_cut: mentions lost to the length limit.   labels: [K, 3], (head, tail, relation index).
    evidence: for each label the sentences that support it.   sentences: [S, 2], first and past-the-last piece.
    entity_types: of each entity, "" where the data names none.   word_starts: [W], the piece that each word begins
    with, of the words within the length limit; one without pieces has the place where the next begins.
    pairs: [p, 2], the candidate pairs (head, tail) if the data set names them; None for all of DocRED's.
    words: those of each sentence, all of them, if they are kept.
    encoding: what a frozen encoder gives of it, where that is kept: states [L, d] and attention rows [M, A, L].
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
    entity_types: tuple[str, ...]
    word_starts: NDArray[np.int32]
    pairs: NDArray[np.int32] | None = None
    words: tuple[tuple[str, ...], ...] | None = None
    encoding: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def candidates(self) -> NDArray[np.int64]:
        """The pairs to be classified, [p, 2]: those named, else every ordered pair of two entities, row by row."""
        if self.pairs is not None:
            return self.pairs.astype(np.int64)
        head, tail = np.divmod(np.arange(self.entities**2), max(self.entities, 1))
        return np.stack([head, tail], axis=1)[head != tail]


class WordPieces:
    """The word pieces of any word, each distinct word tokenised once.

    Words are tokenised one at a time and without a prefix space, as the reference programs do for every encoder. A
    SentencePiece tokenizer begins every word with the sign of a space; where the text has none (Chinese, by character)
    and the sign is a piece by itself, it is left out, or each character would cost two pieces.
    marker: the piece before and after a mention.   start, end: what stands before and after a text.
    framing: who puts that there: the tokenizer, or we, since it does not and has tokens for it; "none" if it has not.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.marker = self._marker_id()
        self.framing: Literal["tokenizer", "added", "none"] = "tokenizer"
        self.start, self.end = self._special_ids()
        self._space = self._space_id()
        self._memo: dict[str, tuple[int, ...]] = {}

    def _marker_id(self) -> int:
        marker = self.tokenizer.convert_tokens_to_ids(MARKER)
        if marker is None or marker == self.tokenizer.unk_token_id:
            # SentencePiece vocabularies may hold the marker only with their word-start sign.
            marker = self.tokenizer(MARKER, add_special_tokens=False).input_ids[-1]
        return int(marker)

    def _space_id(self) -> int | None:
        """SentencePiece's sign of a space as a piece by itself, None where the vocabulary has none."""
        sign = self.tokenizer.convert_tokens_to_ids(SPACE)
        return None if sign is None or sign == self.tokenizer.unk_token_id else int(sign)

    def _special_ids(self) -> tuple[list[int], list[int]]:
        """What stands before and after a text: ([CLS], [SEP]), (<s>, </s>), or ((), (<sep>, <cls>)).

        What the tokenizer puts there; where it puts nothing, its own tokens for that, if it has them.
        """
        # Not of the empty text, of which nothing says what stands before it and what after.
        text, framed = (self.tokenizer(MARKER, add_special_tokens=s).input_ids for s in (False, True))
        for before in range(len(framed) - len(text) + 1):
            if framed[before : before + len(text)] == text and len(framed) > len(text):
                return list(framed[:before]), list(framed[before + len(text) :])
        if framed != text:  # read otherwise between special tokens: what they are decides
            special = {*self.tokenizer.all_special_ids} - {self.tokenizer.unk_token_id}
            return list(takewhile(special.__contains__, framed)), [*takewhile(special.__contains__, framed[::-1])][::-1]
        return self._own_specials()

    def _own_specials(self) -> tuple[list[int], list[int]]:
        """The tokens that are there to open and close a text, as attributes of the tokenizer or in its vocabulary."""
        tokenizer, known = self.tokenizer, self.tokenizer.get_vocab()
        own = (tokenizer.cls_token, tokenizer.sep_token), (tokenizer.bos_token, tokenizer.eos_token)
        for start, end in (*own, *FRAMES):
            if start in known and end in known:
                self.framing = "added"
                return [known[start]], [known[end]]
        self.framing = "none"
        return [], []

    def learn(self, words: Iterable[str]) -> None:
        """Tokenise the words not seen before: those that are looked up, and the rest in one call of the tokenizer."""
        new = set(words).difference(self._memo)
        self._memo.update(self._looked_up(new))
        rest = list(new.difference(self._memo))
        if rest:
            self._memo.update(zip(rest, self._tokenised(rest), strict=True))

    def _looked_up(self, words: Iterable[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The words that are in the vocabulary of a tokenizer of BERT's kind as they stand, each with its piece.

        Such a tokenizer splits no word of ASCII letters and digits, changes nothing but capitals in it, and takes the
        longest piece that it begins with. To look it up costs a fiftieth of tokenising it.
        """
        backend: Any = getattr(self.tokenizer, "backend_tokenizer", None)
        kind = [type(getattr(backend, part, None)) for part in ("normalizer", "pre_tokenizer", "model")]
        if kind != [BertNormalizer, BertPreTokenizer, WordPiece]:
            return
        if any(token.content.isalnum() for token in backend.get_added_tokens_decoder().values()):
            return  # it would be found within words, and first
        model, lower = backend.model, backend.normalizer.lowercase
        longest, piece_of = model.max_input_chars_per_word, model.token_to_id
        for word in words:
            if word.isascii() and word.isalnum() and len(word) <= longest:
                piece = piece_of(word.lower() if lower else word)
                if piece is not None:
                    yield word, (piece,)

    def _tokenised(self, words: list[str]) -> list[tuple[int, ...]]:
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            pieces = self.tokenizer(words, add_special_tokens=False, return_attention_mask=False).input_ids
            return [tuple(ids) for ids in pieces]
        # Not through the tokenizer's own call, which spends most of its time on what nobody asks for.
        backend.no_truncation()
        backend.no_padding()
        return [tuple(encoding.ids) for encoding in backend.encode_batch_fast(words, add_special_tokens=False)]

    def unknown(self, words: Iterable[str]) -> int:
        """How many of some words have a piece that stands for whatever the vocabulary has not; repeated ones count."""
        unknown = self.tokenizer.unk_token_id
        counts = Counter(words)
        self.learn(counts)
        return sum(count for word, count in counts.items() if unknown in self._memo[word])

    def of(self, words: Sequence[str], spaced: bool = True) -> list[tuple[int, ...]]:
        """The pieces of each of some words, all of them learnt before. spaced: `Document.spaced`."""
        pieces = [*map(self._memo.__getitem__, words)]
        if spaced or self._space is None:
            return pieces
        return [
            own[1:] if len(own) > 1 and own[0] == self._space and begins_unspaced(word) else own
            for word, own in zip(words, pieces, strict=True)
        ]


def build_features(
    documents: Sequence[Document],
    words: WordPieces,
    relations: Sequence[str],
    max_length: int,
    keep_words: bool = False,
) -> Iterator[Features]:
    """The features of each document, in order. `max_length` counts the specials; `relations[i]` gets index i.

    keep_words: the words themselves are among the features (`Features.words`).
    """
    index = {relation: i for i, relation in enumerate(relations)}
    words.learn(chain.from_iterable(sentence for document in documents for sentence in document.sentences))
    for document in documents:
        yield _document_features(document, words, index, max_length, keep_words)


def _document_features(
    document: Document, words: WordPieces, relation_index: dict[str, int], max_length: int, keep_words: bool
) -> Features:
    marked = _marked_pieces(document, words)
    pieces, places = marked.pieces, marked.places
    limit = max_length - len(words.start) - len(words.end)
    offset = len(words.start)
    spans = [
        (entity, start + offset, min(end, limit) + offset)
        for entity, mentions in enumerate(places)
        for start, end in mentions
        if start < limit
    ]
    bounds = [min(start, limit) + offset for start in (*marked.sentence_starts, len(pieces))]
    labels = [number for x in document.labels for number in (x.head, x.tail, relation_index[x.relation])]
    return Features(
        title=document.title,
        input_ids=np.array([*words.start, *pieces[:limit], *words.end], dtype=np.int32),
        mention_entity=np.array([entity for entity, _, _ in spans], dtype=np.int32),
        mention_position=np.array([start for _, start, _ in spans], dtype=np.int32),
        mention_end=np.array([end for _, _, end in spans], dtype=np.int32),
        entities=len(document.entities),
        mentions_cut=sum(map(len, places)) - len(spans),
        labels=np.array(labels, dtype=np.int32).reshape(-1, 3),
        evidence=tuple([label.evidence for label in document.labels]),
        sentences=np.array(list(pairwise(bounds)), dtype=np.int32).reshape(-1, 2),
        entity_types=tuple([mentions[0].type if mentions else "" for mentions in document.entities]),
        word_starts=marked.word_starts[marked.word_starts < min(limit, len(pieces))] + offset,
        pairs=None if document.candidates is None else np.array(document.candidates, dtype=np.int32).reshape(-1, 2),
        words=document.sentences if keep_words else None,
    )


class _Marked(NamedTuple):
    """The word pieces of a document with its markers.

    places: of each entity its mentions: the opening marker, and past the mention's own pieces.
    sentence_starts: the first piece of each sentence.   word_starts: that of each word.
    """

    pieces: list[int]
    places: list[list[tuple[int, int]]]
    sentence_starts: list[int]
    word_starts: NDArray[np.int32]


def _marked_pieces(document: Document, words: WordPieces) -> _Marked:
    """However many mentions begin or end at a word, it gets one marker."""
    # A mark is 2 * (words before it), and 1 more if it opens: sorted, a closing one comes before an opening one.
    marks: list[set[int]] = [set() for _ in document.sentences]
    for mentions in document.entities:
        for sentence, start, end, _, _ in mentions:
            marks[sentence].update((2 * start + 1, 2 * end))
    pieces: list[int] = []
    starts: list[int] = []
    lengths: list[int] = []  # of each word, in pieces
    marked_words: list[int] = []  # of each marker, how many words are before it
    where: list[dict[int, int]] = []  # by sentence: mark -> its marker's position

    def put(some: Sequence[str]) -> None:
        of_each = words.of(some, document.spaced)
        pieces.extend(chain.from_iterable(of_each))
        lengths.extend(map(len, of_each))

    for sentence_words, own in zip(document.sentences, marks, strict=True):
        starts.append(len(pieces))
        done, at = 0, {}
        for mark in sorted(own):
            put(sentence_words[done : mark // 2])
            done = mark // 2
            at[mark] = len(pieces)
            pieces.append(words.marker)
            marked_words.append(len(lengths))
        put(sentence_words[done:])
        where.append(at)
    places = [[(where[s][2 * start + 1], where[s][2 * end]) for s, start, end, _, _ in ms] for ms in document.entities]
    own_pieces = np.array(lengths, dtype=np.int32)
    markers = np.bincount(np.array(marked_words, dtype=np.int64), minlength=len(lengths) + 1)[:-1]
    word_starts = (np.cumsum(own_pieces) - own_pieces + np.cumsum(markers)).astype(np.int32)
    return _Marked(pieces, places, starts, word_starts)
