"""Candidate pairs whose head is the entity that the text mentions first, as ATLOP reads BC5CDR.

ATLOP's reader takes as head whichever of chemical and disease the 17-column files call left (column 2, L2R or R2L):
the one whose first mention begins earlier, the disease where both begin at one word. So a disease is the head of 43 %
of its training pairs, and what a model learns of head and tail is their order, not their type.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from bench.data.documents import Document, Label
from bench.errors import unknown

Order = Literal["first-in-text"]
"""What may be chosen in place of the order in which a corpus has its pairs."""
FIRST_IN_TEXT: Order = "first-in-text"
ORDERS: tuple[Order, ...] = (FIRST_IN_TEXT,)


def checked_order(name: str | None) -> Order | None:
    """The order of that name, None for None. UsageError naming the choices if there is none."""
    if name is None:
        return None
    if name not in ORDERS:
        raise unknown("order of pairs", name, ORDERS)
    return FIRST_IN_TEXT


def first_in_text(document: Document) -> Document:
    """The document with each candidate pair, and its labels, from the entity that comes first to the other.

    Labels on pairs that are no candidates stay as they are.
    """
    if not document.candidates:
        return document
    begins = [min(mention[:2] for mention in mentions) if mentions else (0, 0) for mentions in document.entities]
    turned = {(head, tail) for head, tail in document.candidates if begins[tail] <= begins[head]}

    def of(label: Label) -> Label:
        return label._replace(head=label.tail, tail=label.head) if label[:2] in turned else label

    return replace(
        document,
        candidates=tuple(
            [(tail, head) if (head, tail) in turned else (head, tail) for head, tail in document.candidates]
        ),
        labels=tuple(map(of, document.labels)),
        novel=frozenset(map(of, document.novel)),
    )
