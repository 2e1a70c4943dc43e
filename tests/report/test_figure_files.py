"""Figures as files: drawn where what they show has changed, and only there."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.report.figures import files, style
from bench.report.figures.files import FORMS, Drawing, draw_files, write_figures
from bench.report.figures.series import Strip


def strips(*values: float, name: str = "a") -> Drawing:
    return Drawing("seed_strips", ([Strip.of(name, list(values))],))


@pytest.fixture
def drawn(monkeypatch) -> list[str]:
    """The names of figures, as they are drawn."""
    names: list[str] = []

    def counting(drawing: Drawing, name: str) -> files.Files:
        names.append(name)
        return draw_files(drawing, name)

    monkeypatch.setattr(files, "draw_files", counting)
    return names


def test_only_what_has_changed_is_drawn_again(tmp_path: Path, drawn: list[str]):
    first, _ = write_figures({"one": strips(1.0, 2.0), "two": strips(3.0, 4.0)}, tmp_path)
    assert drawn == ["one", "two"]
    again, _ = write_figures({"one": strips(1.0, 2.0), "two": strips(3.0, 4.5)}, tmp_path)
    assert drawn == ["one", "two", "two"]
    assert again["one"] == first["one"]
    assert again["two"] != first["two"]
    assert (tmp_path / "two.svg").read_text() == again["two"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_file_that_is_gone_or_other_than_it_was_is_drawn_again(tmp_path: Path, drawn: list[str], form, damage):
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    damage(tmp_path / f"one.{form}")
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    assert drawn == ["one", "one"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ["", "[]", "{", '{"one": 3}', '{"one": {"from": null}}'])
def test_where_nothing_is_known_of_what_was_drawn_all_is(tmp_path: Path, drawn: list[str], content: str):
    (tmp_path / ".drawn.json").write_text(content)
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    assert drawn == ["one"]


def test_other_code_or_another_matplotlib_draws_anew(tmp_path: Path, drawn: list[str], monkeypatch):
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    files._code.cache_clear()
    monkeypatch.setattr(files, "version", lambda package: "another")
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    files._code.cache_clear()
    assert drawn == ["one", "one"]


def test_a_figure_with_boxes_is_drawn_each_time_since_a_font_may_have_come(
    tmp_path: Path, drawn: list[str], monkeypatch
):
    monkeypatch.setattr(style, "_families", lambda: ["sans-serif"])
    for _ in range(2):
        _, boxes = write_figures({"one": strips(1.0, 2.0, name="居住")}, tmp_path)
        assert boxes == set("居住")
    assert drawn == ["one", "one"]
    write_figures({}, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("one")]


def test_several_processes_draw_the_same_to_the_byte(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(files, "FOR_ONE_PROCESS", 1)
    drawings = {f"n{i}": strips(1.0, 2.0 + i) for i in range(2)}
    told: list[tuple[int, int]] = []
    together, _ = write_figures(drawings, tmp_path / "together", 2, lambda done, of: told.append((done, of)))
    alone, _ = write_figures(drawings, tmp_path / "alone")
    assert together == alone
    assert told == [(0, 2), (1, 2), (2, 2)]
    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == (tmp_path / "together" / path.name).read_bytes()


@dataclass(frozen=True)
class Part:
    one: object
    two: object


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    | st.builds(Part, inner, inner),
    max_leaves=6,
)  # fmt: skip


def typed(value: object) -> object:
    """A value such that `==` tells 1 from 1.0 and True, as a drawing may."""
    if isinstance(value, Part):
        return "Part", typed(value.one), typed(value.two)
    if isinstance(value, dict):
        return [[typed(key), typed(item)] for key, item in value.items()]
    return [typed(item) for item in value] if isinstance(value, list) else (type(value).__name__, repr(value))


@given(values, values)
def test_different_numbers_have_different_digests(one, two):
    same = Drawing("f", (one,)).digest("n") == Drawing("f", (two,)).digest("n")
    assert same == (typed(one) == typed(two))


def test_a_digest_sees_every_number_of_an_array_and_whatever_kind_of_mapping():
    array = np.arange(6000.0)
    other = array.copy()
    other[3000] += 1e-9
    assert len({Drawing("f", (a,)).digest("n") for a in (array, other, array[:-1], array.reshape(2, -1))}) == 4
    kinds = [{"a": 1}, OrderedDict(a=1), MappingProxyType({"a": 1})]
    assert len({Drawing("f", (kind,)).digest("n") for kind in kinds}) == 1
    assert len({Drawing(f, ()).digest(n) for f in "fg" for n in "nm"}) == 4
    with pytest.raises(TypeError, match="cannot be drawn from set"):
        Drawing("f", ({1},)).digest("n")


def test_a_figure_that_there_is_no_more_is_removed_unless_somebody_has_changed_it(tmp_path: Path):
    write_figures({"one": strips(1.0, 2.0), "two": strips(3.0, 4.0)}, tmp_path)
    (tmp_path / "own.png").write_bytes(b"")
    (tmp_path / "two.svg").write_text("edited")
    write_figures({"one": strips(1.0, 2.0)}, tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {".drawn.json", "own.png", "two.svg", *(f"one.{form}" for form in FORMS)}
