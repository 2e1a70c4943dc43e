"""Documents that two files share: under one title, or with one text under two."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.data.documents import Document

SHORT = 20
"""Words below which a text may be that of two documents by chance ("Ann met Bob ."): then its title counts as well."""


@dataclass(frozen=True)
class Identities:
    """What tells the documents of a file from others.

    titles: as they are.   texts: for each text, by its hash, the title of a document that has it.
    """

    titles: frozenset[str]
    texts: Mapping[int, str]


def identities(documents: Sequence[Document]) -> Identities:
    """Of these documents; in memory a hundred bytes for each, beside its title."""
    return Identities(
        frozenset(document.title for document in documents),
        {_text_hash(document): document.title for document in documents},
    )


def under_other_titles(some: Identities, others: Identities) -> dict[str, str]:
    """The documents of `some` whose text is in `others` under another title: their title -> the other, sorted.

    Texts are equal where they are but for case, white space and how characters are encoded.
    """
    pairs = ((some.texts[text], others.texts[text]) for text in some.texts.keys() & others.texts.keys())
    return dict(sorted((title, other) for title, other in pairs if title not in others.titles))


def titles_alike(some: Identities, others: Identities) -> dict[str, str]:
    """Titles of `some` that are in `others` but for case and white space: title -> the other, sorted."""
    known = {_normalised(title): title for title in others.titles}
    pairs = ((title, known.get(_normalised(title))) for title in some.titles - others.titles)
    return dict(sorted((title, other) for title, other in pairs if other is not None))


def named(titles: Collection[str], at_most: int = 20) -> str:
    """A line with the titles, sorted, those beyond `at_most` counted."""
    return _line([repr(title) for title in sorted(titles)], at_most)


def named_pairs(pairs: Mapping[str, str], at_most: int = 20) -> str:
    """The same of titles and what stands for them elsewhere."""
    return _line([f"{title!r} is {other!r}" for title, other in pairs.items()], at_most)


def _line(parts: Sequence[str], at_most: int) -> str:
    more = f" and {len(parts) - at_most:,} more" if len(parts) > at_most else ""
    return f"  {', '.join(parts[:at_most])}{more}"


def _text_hash(document: Document) -> int:
    words = [word for sentence in document.sentences for word in sentence]
    title = document.title if len(words) < SHORT else ""
    text = f"{_normalised(title)}\0{_normalised(*words)}"
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _normalised(*texts: str) -> str:
    # Without any white space: the same text may be cut into other words.
    text = "".join(" ".join(texts).split())
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()
