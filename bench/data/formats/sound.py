"""The document of an element in DocRED's form that is as it should be, found out at once.

To look for every mistake by its name takes several times as long as to see that there is none: here whole columns (the
starts of all mentions, the relations of all labels) are looked at together. Where anything is not as it should be,
nothing is said of what it is: that finds out `bench.data.formats.document_checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, product
from operator import itemgetter, le, lt
from sys import intern
from typing import Any, NamedTuple, TypeVar

from bench.data.documents import Document, Fact, Label, Mention, pairs_within_reach

T = TypeVar("T")


class Keys(NamedTuple):
    """What a form of DocRED's kind calls the parts of a document. within: where an entity has its mentions.

    unit: what a sentence is a list of.
    """

    title: str = "title"
    sentences: str = "sents"
    entities: str = "vertexSet"
    labels: str = "labels"
    within: str = ""
    unit: str = "word"


DOCRED = Keys()


@dataclass(frozen=True, slots=True)
class Columns:
    """A document of a file by columns: m mentions, entity after entity, and l labels, in the order of the file.

    sentences: lists of words.   mentions_of: how many mentions each entity has.   sentence_of, starts, ends, names,
    types: [m] of the mentions.   heads, tails, relations, evidence: [l] of the labels.   lists: what has to be a list
    in the file; filled: those of them that must not be empty.
    """

    title: str
    sentences: Sequence[Sequence[str]]
    mentions_of: Sequence[int]
    sentence_of: Sequence[int]
    starts: Sequence[int]
    ends: Sequence[int]
    names: Sequence[str]
    types: Sequence[str]
    heads: Sequence[int]
    tails: Sequence[int]
    relations: Sequence[str]
    evidence: Sequence[Sequence[int]]
    lists: Sequence[object]
    filled: Sequence[object]

    @classmethod
    def of(cls, item: Any, keys: Keys = DOCRED) -> Columns:
        """The columns of a decoded element. Raises TypeError, ValueError, LookupError and AttributeError.

        It does where the element has another shape: a list where an object should be, a key missing, a span of three.
        """
        title, sentences, entities = item[keys.title], item[keys.sentences], item[keys.entities]
        labels = item.get(keys.labels, [])
        mentions = list(chain.from_iterable(entities))
        starts, ends = zip(*map(_POS, mentions), strict=True) if mentions else ((), ())
        evidence = [label.get("evidence", []) for label in labels]
        return cls(
            title, sentences, list(map(len, entities)), list(map(_SENTENCE, mentions)), starts, ends,
            list(map(_NAME, mentions)), list(map(_TYPE, mentions)),
            list(map(_HEAD, labels)), list(map(_TAIL, labels)), list(map(_RELATION, labels)), evidence,
            lists=[sentences, entities, labels, *sentences, *entities, *evidence],
            filled=[title, sentences, *sentences],
        )  # fmt: skip

    def are_sound(self, relations: Collection[str] | None = None) -> bool:
        """Whether nothing is wrong with the document. relations: those that a label may have (None: any).

        Raises TypeError, ValueError and LookupError where something is. That another document has its title is not
        seen here.
        """
        return (
            set(map(type, self.lists)) == {list}
            and all(self.filled)
            and self._spans_are_sound()
            and self._labels_are_sound()
            and self._are_texts()
            and (relations is None or relations >= set(self.relations))  # type: ignore[operator]
        )

    def document(self) -> Document:
        """The document. Of its words, types and relations there is one copy each in this process."""
        mentions = map(Mention._make, self._rows())
        evidence = map(tuple[int, ...], self.evidence)
        labels = map(Label._make, zip(self.heads, self.tails, map(intern, self.relations), evidence, strict=True))
        return Document(
            self.title,
            tuple([tuple(map(intern, words)) for words in self.sentences]),
            tuple(map(tuple[Mention, ...], self._by_entity(mentions))),
            tuple(labels),
            pairs_within_reach(self.mentions_of, zip(self.heads, self.tails, strict=True)),
        )

    def facts(self) -> Iterator[Fact]:
        """The facts of the labels (`bench.data.documents.facts_of`), some of them several times."""
        names = list(map(set, self._by_entity(self.names)))
        for head, tail, relation in zip(self.heads, self.tails, self.relations, strict=True):
            yield from product(names[head], names[tail], (relation,))

    def _rows(self) -> Iterable[tuple[int, int, int, str, str]]:
        return zip(self.sentence_of, self.starts, self.ends, self.names, map(intern, self.types), strict=True)

    def _by_entity(self, of_mentions: Iterable[T]) -> Iterator[Iterable[T]]:
        rest = iter(of_mentions)
        return (islice(rest, count) for count in self.mentions_of)

    def _spans_are_sound(self) -> bool:
        if not _are_integers(self.sentence_of, self.starts, self.ends):
            return False
        lengths = list(map(len, self.sentences))
        within = all(map(le, self.ends, map(lengths.__getitem__, self.sentence_of)))
        return (
            within and _from_zero(self.sentence_of) and _from_zero(self.starts) and all(map(lt, self.starts, self.ends))
        )

    def _labels_are_sound(self) -> bool:
        named = list(chain.from_iterable(self.evidence))
        entities, sentences = len(self.mentions_of), len(self.sentences)
        return (
            _are_integers(self.heads, self.tails, named)
            and _from_zero(self.heads, entities)
            and _from_zero(self.tails, entities)
            and _from_zero(named, sentences)
        )

    def _are_texts(self) -> bool:
        """Whether strings are strings that can be written. Raises TypeError where one is none, ValueError for the rest.

        Half a character (JSON may hold one) has no encoding.
        """
        words = chain.from_iterable(self.sentences)
        text = "".join(chain((self.title,), words, self.names, self.types, self.relations))
        return text.isascii() or bool(text.encode())


_POS, _SENTENCE, _NAME, _TYPE, _HEAD, _TAIL, _RELATION = map(
    itemgetter, ("pos", "sent_id", "name", "type", "h", "t", "r")
)


def sound_document(item: Any) -> Document:
    """The document of an element in which nothing is wrong: made without looking again."""
    return Columns.of(item).document()


def sound_columns(
    item: Any, relations: Collection[str] | None, columns_of: Callable[[Any], Columns] = Columns.of
) -> Columns | None:
    """The columns of a decoded element (any JSON); None where something is wrong with it.

    columns_of: makes them in a form that is not quite DocRED's, and raises what `Columns.of` does.
    """
    try:
        columns = columns_of(item)
        return columns if columns.are_sound(relations) else None
    except (TypeError, ValueError, LookupError, AttributeError):
        return None


def _are_integers(*columns: Iterable[Any]) -> bool:
    return set(map(type, chain(*columns))) <= {int}  # true and false are no numbers here


def _from_zero(numbers: Sequence[int], below: int | None = None) -> bool:
    return not numbers or (min(numbers) >= 0 and (below is None or max(numbers) < below))
