"""One look for all figures, on paper and on a page that may be dark.

Colours are Okabe and Ito's, which tell apart for all common kinds of colour vision; each comes with a marker and a line
style of its own, so that colour is never alone. On a page, what is black here takes the colour of the text around it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

WIDTH = 7.2
"""Inches: two columns of a paper."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
INK = "#010203"
"""Text and axes: black on paper, the page's colour of text on a page."""
QUIET = "#8c959f"
"""Grids, on light and dark."""
WITH_CHINESE = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS",
)  # fmt: skip
"""Fonts with Chinese, as names of relations and data sets may be."""
_RC = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": QUIET,
    "grid.linewidth": 0.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "pdf.fonttype": 42,  # text as text, which journals ask for
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollars in it is a name
    "xtick.color": INK,
    "xtick.labelsize": 8,
    "ytick.color": INK,
    "ytick.labelsize": 8,
}


@contextmanager
def figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of the width of a page and `height` inches, with its axes, row by row."""
    with _look_of_all():
        drawing = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(drawing)
        axes = drawing.subplots(rows, columns, squeeze=False, **options)
        yield drawing, [each for row in axes for each in row]
        # Laid out once, not again for each form that it is written in.
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")


@contextmanager
def _look_of_all(more: Mapping[str, Any] = MappingProxyType({})) -> Iterator[None]:
    with mpl.rc_context({**_RC, "font.family": _families(), **more}), warnings.catch_warnings():
        # One for each character and form; `without_a_glyph` tells of all at once.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _families() -> list[str]:
    """The usual font, and those that are here of WITH_CHINESE for the characters that it has not."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    return ["sans-serif", *(family for family in WITH_CHINESE if family in installed)]


def without_a_glyph(drawing: Figure) -> set[str]:
    """The characters of a figure that no font here has; they are boxes on paper (a page has the reader's fonts)."""
    shown = {character for text in drawing.findobj(Text) for character in text.get_text() if not character.isspace()}
    for family in _families():
        if all(character.isascii() for character in shown):
            return set()
        path = font_manager.findfont(font_manager.FontProperties(family=[family]))
        shown = {character for character in shown if ord(character) not in font_manager.get_font(path).get_charmap()}
    return shown


def look(index: int) -> dict[str, Any]:
    """Colour, marker and line of the index-th series."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": LINES[(index + index // len(COLOURS)) % len(LINES)],
    }


def as_svg(drawing: Figure, name: str) -> str:
    """Markup to stand in a page: ids of its own, text as text, ink in the colour of the page's text."""
    file = io.StringIO()
    with _look_of_all({"svg.hashsalt": name}):
        drawing.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor")
    # Several figures stand in one page: what they define must not have the same names.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)([^")]+)', rf"\g<1>{name}-\g<2>", text)
    # Of the figure as a whole the page says what it shows.
    return text.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def as_pdf(drawing: Figure) -> bytes:
    """For papers: text as text."""
    return _as_bytes(drawing, "pdf", metadata={"CreationDate": None})


def as_png(drawing: Figure) -> bytes:
    """For slides: on white."""
    return _as_bytes(drawing, "png", dpi=150, facecolor="white", pil_kwargs={"compress_level": 3})


def _as_bytes(drawing: Figure, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    with _look_of_all():
        drawing.savefig(file, format=form, **options)
    return file.getvalue()
