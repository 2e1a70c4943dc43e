"""Tables and figures as parts of one HTML page that needs no other file: template, style and script are in `page/`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any, ClassVar, Protocol, TypeVar

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.report.table import Table, TableRow, by_section, labels_under, line_of


class Named(Protocol):
    """A dataclass with a name: a table, or a figure that is still to be drawn."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """What it is called in the page and among the files."""


N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Figure:
    """A figure of the page. svg: markup that goes into it as it is, of our own making.   alt: what it shows, in words.

    table: the numbers behind it, for whoever cannot see it.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page under a heading. folded: tables that open when asked for."""

    name: str
    title: str
    intro: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    folded: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """The whole page. facts: what is said at the top, name and value.   links: other pages beside this one."""

    title: str
    intro: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    links: Sequence[tuple[str, str]] = field(default_factory=tuple)


def to_html(page: Page) -> str:
    """The page as one file: nothing in it is fetched from anywhere."""
    text: str = (
        _environment()
        .get_template("report.html")
        .render(page=page, style=_inline("style.css"), script=_inline("script.js"))
    )
    return text


def anchor(name: str) -> str:
    """A name as an `id`: letters, digits, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def apart(shown: Iterable[N]) -> tuple[N, ...]:
    """Tables or figures with names whose anchors differ: `enc_v1` and `enc-v1` would be one file and one place."""
    taken: Counter[str] = Counter()
    named = []
    for one in shown:
        taken[anchor(one.name)] += 1
        again = taken[anchor(one.name)]
        named.append(one if again == 1 else replace(one, name=f"{one.name}--{again}"))
    return tuple(named)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "anchor": anchor,
        "sections": by_section,
        "labels_under": labels_under,
        "line_of": line_of,
        "lead_of": _lead_of,
        "breakable": _breakable,
        "sort_key": _sort_key,
        "svg": Markup,
    }
    return environment


def _source(name: str) -> str:
    return (files("bench.report.render.page") / PurePosixPath(name).name).read_text(encoding="utf-8")


def _inline(name: str) -> Markup:
    """A file of ours as part of the page: it must not end the element that it stands in."""
    text = _source(name)
    assert "</" not in text, f"{name} would end its element"
    return Markup(text)


def _breakable(text: str) -> Markup:
    """Text that may go on in a new line after a comma or a slash: names of variants have no spaces."""
    return Markup(re.sub("([,/])(?=[^ ])", r"\1<wbr>", str(escape(text))))


def _lead_of(row: TableRow, label: str) -> int:
    """How many cells from the left the label of a line may take: up to the first that has a text in that line."""
    return next((i for i, cell in enumerate(row.cells) if i and line_of(cell, label)), 1)


def _sort_key(value: Any) -> str:
    """The value that the page's script sorts a cell by: a number in full, or text."""
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)
