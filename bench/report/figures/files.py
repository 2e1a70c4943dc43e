"""The files of figures: PDF, PNG and SVG, drawn where their numbers or the way they are drawn have changed.

`figures/.drawn.json` says of each figure what it was drawn from and what its files were; whatever is not so any more,
is drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from bench.filesystem import write_atomically

FORMS = ("pdf", "png", "svg")
UNKNOWN = ""
"""In the place of what a figure was drawn from: it is drawn again."""
FOR_ONE_PROCESS = 6
"""Figures below which a second process, which has to load matplotlib first, would cost more than it saves."""


@dataclass(frozen=True)
class Drawing:
    """A figure before it is drawn: the function of draw.py for it, and the numbers it is called with."""

    function: str
    numbers: tuple[Any, ...]

    def digest(self, name: str) -> str:
        """What it is drawn from: its name, the numbers, the code that draws, and matplotlib's version."""
        hasher = hashlib.sha256(f"{_code()}\n{self.function}\n{name}\n".encode())
        _feed(hasher, self.numbers)
        return hasher.hexdigest()


@cache
def _code() -> str:
    folder = Path(__file__).parent
    code = hashlib.sha256(b"".join((folder / name).read_bytes() for name in ("draw.py", "style.py")))
    return f"{code.hexdigest()} {version('matplotlib')}"


def _feed(hasher: Any, value: object) -> None:
    """Feed a value with its type and every part of it, such that values that differ are fed differently."""
    if isinstance(value, np.ndarray):
        hasher.update(f"array {value.dtype.str} {value.shape}\n".encode() + np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value):
        hasher.update(f"{type(value).__name__}\n".encode())
        _feed(hasher, [getattr(value, field.name) for field in fields(value)])
    elif isinstance(value, Mapping):
        _feed(hasher, [list(pair) for pair in value.items()])
    elif isinstance(value, list | tuple):
        hasher.update(f"list {len(value)}\n".encode())
        for item in value:
            _feed(hasher, item)
    elif value is None or isinstance(value, str | int | float):
        hasher.update(f"{type(value).__name__} {value!r}\n".encode())
    else:
        raise TypeError(f"a figure cannot be drawn from {type(value).__name__}")


@dataclass(frozen=True)
class Files:
    """A drawn figure. boxes: its characters that no font here has, which are boxes in PDF and PNG."""

    content: Mapping[str, bytes]
    boxes: frozenset[str] = frozenset()


def draw_files(drawing: Drawing, name: str) -> Files:
    """Draw a figure in each of FORMS."""
    from bench.report.figures import draw, style

    drawn = getattr(draw, drawing.function)(*drawing.numbers)
    content = {"pdf": style.as_pdf(drawn), "png": style.as_png(drawn), "svg": style.as_svg(drawn, name).encode()}
    return Files(content, frozenset(style.without_a_glyph(drawn)))


def write_figures(
    drawings: Mapping[str, Drawing],
    folder: Path,
    processes: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[dict[str, str], set[str]]:
    """Have the files of each figure in the folder, by its name; those that are as they would be drawn stay.

    Figures that an earlier report drew and this one has not are removed.

    processes: at most so many at once.   on_progress: told how many are drawn, and of how many.
    Returns the SVG of each, to stand in a page, and the characters that no font here has.
    """
    before = _KeptFigures.read(folder)
    digests = {name: drawing.digest(name) for name, drawing in drawings.items()}
    kept = {name: svg for name, digest in digests.items() if (svg := before.svg_of(name, digest)) is not None}
    todo = {name: drawing for name, drawing in drawings.items() if name not in kept}
    shown, boxes, drawn = dict(kept), set[str](), {name: before.entries[name] for name in kept}
    on_progress(0, len(todo))
    for done, (name, files) in enumerate(_each(todo, processes), 1):
        for form, content in files.content.items():
            write_atomically(folder / f"{name}.{form}", content)
        shown[name] = files.content["svg"].decode()
        boxes |= files.boxes
        # Of one with boxes it is not known what it was drawn from, or a font that is installed would change nothing.
        drawn_from = UNKNOWN if files.boxes else digests[name]
        drawn[name] = {"from": drawn_from, **{form: _checksum(files.content[form]) for form in FORMS}}
        on_progress(done, len(todo))
    for name in before.entries.keys() - drawings.keys():
        before.remove(name)
    if drawn != before.entries:
        write_atomically(folder / _KeptFigures.NAME, json.dumps(drawn, indent=1, sort_keys=True).encode())
    return shown, boxes


def _each(todo: Mapping[str, Drawing], processes: int) -> Iterator[tuple[str, Files]]:
    """Each figure's name and files, as they are drawn."""
    processes = min(processes, len(todo) // FOR_ONE_PROCESS)
    if processes < 2:
        for name, drawing in todo.items():
            yield name, draw_files(drawing, name)
        return
    # Not forked: this process may have threads of torch.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        names = {pool.submit(draw_files, drawing, name): name for name, drawing in todo.items()}
        for future in as_completed(names):
            yield names[future], future.result()


@dataclass(frozen=True)
class _KeptFigures:
    """What an earlier report wrote of its figures.

    entries: by name, under `from` what it was drawn from, under each form the checksum of the file.
    """

    folder: Path
    entries: Mapping[str, Mapping[str, str]]

    NAME = ".drawn.json"

    @classmethod
    def read(cls, folder: Path) -> _KeptFigures:
        try:
            content = json.loads((folder / cls.NAME).read_bytes())
        except (OSError, ValueError):
            content = {}  # all are drawn
        return cls(folder, content if isinstance(content, dict) else {})

    def remove(self, name: str) -> None:
        """Take away a figure that there is no more, as far as its files are as they were written."""
        entry = self.entries[name]
        for path in (self.folder / f"{name}.{form}" for form in FORMS):
            is_ours = path.parent == self.folder and path.is_file() and isinstance(entry, dict)
            if is_ours and _checksum(path.read_bytes()) == entry.get(path.suffix[1:]):
                path.unlink()

    def svg_of(self, name: str, digest: str) -> str | None:
        """The figure's SVG, where it was drawn from this and all of its files are as they were written."""
        entry = self.entries.get(name)
        if not isinstance(entry, dict) or entry.get("from") != digest:
            return None
        try:
            content = {form: (self.folder / f"{name}.{form}").read_bytes() for form in FORMS}
        except OSError:
            return None
        intact = all(_checksum(content[form]) == entry.get(form) for form in FORMS)
        return content["svg"].decode() if intact else None


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
