"""Relations, their order, names and descriptions, as files of them say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.data.formats.json_stream import kind_of, read_json
from bench.errors import UsageError

NO_RELATION = frozenset({"na", "n/a", "no_relation"})
"""Names (lower case) under which a rel2id file lists the threshold class, which is no relation."""


_IN_DIGITS = re.compile(r"\s*[+-]?[0-9]*\.?[0-9]+\.?(e[+-]?[0-9]+)?\s*", re.IGNORECASE)
"""A number, however it is written: names of relations have letters."""


class Relations(NamedTuple):
    """What files of relations say. order: column r + 1 of a model's logits is the relation `order[r]`.

    names: of each relation.   descriptions: of those that a file describes.
    notes: how a file was read that is not quite as it should be.
    """

    order: tuple[str, ...]
    names: dict[str, str]
    descriptions: dict[str, str]
    notes: tuple[str, ...]


def read_relations(paths: Sequence[Path]) -> Relations:
    """The relations, in order, and their names and descriptions, from files in two forms.

    rel2id, `{"P1": 3, ..., "Na": 0}`, gives the order (by number; "Na", the threshold class, is no relation);
    rel_info, `{"P1": "name", ...}` or `{"P1": {"name": "...", "description": "..."}, ...}`, gives names, descriptions,
    and the order (sorted) if no rel2id does. Numbers that are written as strings are numbers, with a note. Raises
    UsageError.
    """
    order: tuple[str, ...] | None = None
    names: dict[str, str] = {}
    descriptions: dict[str, str] = {}
    notes = []
    for path in paths:
        value = read_json(path)
        if not isinstance(value, dict) or not value:
            raise UsageError(f"{path}: expected an object of relations, found {kind_of(value) if value else 'none'}")
        numbers = {relation: number for relation, entry in value.items() if (number := _number(entry)) is not None}
        if len(numbers) == len(value):
            if len(set(numbers.values())) < len(value):
                raise UsageError(f"{path}: two relations have the same number")
            order = tuple(r for r in sorted(numbers, key=lambda r: numbers[r]) if r.casefold() not in NO_RELATION)
            if any(isinstance(number, str) for number in value.values()):
                notes.append(f"{path}: its numbers are written as strings, and read as the numbers that they are")
        elif all(isinstance(name, str) for name in value.values()):
            if all(map(_IN_DIGITS.fullmatch, value.values())):
                odd = next(number for relation, number in value.items() if relation not in numbers)
                raise UsageError(f"{path}: expected whole numbers (rel2id) or names (rel_info), found {odd!r}")
            names.update(value)
        elif all(map(_is_described, value.values())):
            names.update({relation: entry["name"] for relation, entry in value.items()})
            descriptions.update({r: entry["description"] for r, entry in value.items() if entry.get("description")})
        else:
            raise UsageError(
                f'{path}: expected {{"P1": number, ...}} (rel2id) or {{"P1": "name", ...}} (rel_info, where a name may '
                'also be {"name": "...", "description": "..."})'
            )
    if order is None:
        order = tuple(sorted(names))
    described = {relation: descriptions[relation] for relation in order if relation in descriptions}
    return Relations(order, {relation: names.get(relation, relation) for relation in order}, described, tuple(notes))


def _is_described(entry: object) -> bool:
    """Whether it is `{"name": "...", "description": "..."}`, the latter or not."""
    return (
        isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("description", ""), str)
    )


def _number(value: object) -> int | None:
    """The whole number that a value is or, as a string, stands for; None for any other value."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*-?[0-9]{1,9}\s*", value) else None
    return value if type(value) is int else None
