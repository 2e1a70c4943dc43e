"""Text whose mentions are given by character offsets, as words and word spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise

from bench.data.documents import UNSPACED
from bench.errors import UsageError

Span = tuple[int, int]


def words_of(
    text: str, spans: Sequence[Span], normalise: Callable[[str], str]
) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    """The words of `text`, and for each span of characters [start, end) its words [start, end).

    A word ends at white space and where a span begins or ends, be it inside of a word of English ("IL" of "IL-6"), so
    that markers put around words stand at the offsets; spans may nest and overlap. `normalise` is applied to what lies
    between two such places; it may lengthen, shorten or break its text, the offsets are those of the original.
    Raises ValueError for a span that is empty or not in the text.
    """
    if not all(0 <= start < end <= len(text) for start, end in spans):
        raise ValueError(f"a span is empty or outside of the {len(text)} characters: {list(spans)}")
    edges = sorted({0, len(text), *(offset for span in spans for offset in span)})
    parts = [normalise(text[start:end]).split() for start, end in pairwise(edges)]
    part_at = {edge: index for index, edge in enumerate(edges)}
    for start, end in spans:
        if not any(parts[part_at[start] : part_at[end]]):
            # Nothing of the mention is left: it keeps its place, a word without word pieces between two markers.
            parts[part_at[start]] = [""]
    before = [0, *accumulate(map(len, parts))]
    words = tuple(word for part in parts for word in part)
    return words, tuple((before[part_at[start]], before[part_at[end]]) for start, end in spans)


_WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}](?:[^\s{UNSPACED}!-/:-@\[-`{{-~\u00a1-\u00bf\u2000-\u206f])*|\S")


def segmented(text: str) -> str:
    """A text that nobody has split into words, with a space between them; `normalise` of `words_of`, to split it.

    A character of Chinese or Japanese is a word, so is a run of other letters and digits, and so is any other sign.
    """
    return " ".join(_WORD.findall(text))


def latin_letters() -> Callable[[str], str]:
    """Lower-casing and transliteration to ASCII, of text from PubMed: "TNF-α" becomes "tnf-a".

    Raises UsageError naming the extra where the package Unidecode is not installed.
    """
    try:
        from unidecode import unidecode
    except ImportError:
        raise UsageError(
            "reading ChemDisGene needs the package Unidecode, which is not installed: "
            "pip install 'docre-bench[chemdisgene]' (or: pip install Unidecode)"
        ) from None

    def normalise(text: str) -> str:
        lowered: str = text.lower()
        return lowered if lowered.isascii() else unidecode(lowered)

    return normalise
