"""Numbers behind figures, and that their drawings hold them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from made_records import of_predictions, plan, record, write
from scipy.stats import t as student

from bench.analysis.aggregate import load_cells
from bench.analysis.published import read_published
from bench.report.figures import collect, draw, style
from bench.report.figures.projection import principal
from bench.report.figures.series import PANELS, Curve, Points, Strip, curves, ranked
from bench.report.material import gather
from bench.runs.names import NO_ENCODER
from bench.runs.plan import InferencePlan, OutsidePredictions
from bench.runs.run_folder import RunFolder
from bench.runs.triple_scores import SplitScores, scores_path, write_scores


def test_the_interval_of_a_strip_is_students():
    values = [70.0, 71.0, 73.0]
    strip = Strip.of("m", values)
    low, high = student.interval(0.95, 2, loc=np.mean(values), scale=np.std(values, ddof=1) / np.sqrt(3))
    assert (strip.low, strip.high) == pytest.approx((low, high))
    one = Strip.of("m", [70.0])
    assert (one.low, one.high) == (None, None)


def test_a_mean_curve_goes_as_far_as_all_seeds_do():
    assert Curve("m", ((10.0, 20.0, 40.0), (20.0, 30.0)), (3, 2)).mean == [15.0, 25.0]


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter() if element.tag.endswith("}text")]


def test_a_figure_of_a_page_has_names_of_its_own_and_the_ink_of_its_text():
    strips = [Strip.of("a & <b> $x_{$", [1.0, 2.0]), Strip.of("c", [2.0, 2.5])]
    svg = style.as_svg(draw.seed_strips(strips), "seeds")
    ids = set(re.findall(r'\bid="([^"]+)"', svg))
    assert ids
    assert all(name.startswith("seeds-") for name in ids)
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= ids
    assert "currentColor" in svg
    assert style.INK not in svg
    assert "a & <b> $x_{$" in texts(svg)
    assert not re.search(r'(?:src|href)="(?!#)', svg)


def test_characters_that_no_font_here_has_are_told_once_and_not_in_warnings(monkeypatch, recwarn):
    """Relations of a Chinese data set; whichever fonts this machine has besides matplotlib's own."""
    monkeypatch.setattr(style, "_families", lambda: ["sans-serif"])
    drawing = draw.seed_strips([Strip.of("居住地 é", [1.0, 2.0])])
    assert style.without_a_glyph(drawing) == set("居住地")
    assert style.without_a_glyph(draw.seed_strips([Strip.of("é", [1.0, 2.0])])) == set()
    assert "居住地 é" in texts(style.as_svg(drawing, "x"))
    style.as_pdf(drawing), style.as_png(drawing)
    assert not recwarn.list


def test_a_font_with_chinese_is_used_where_it_is_installed(monkeypatch):
    style._families.cache_clear()
    monkeypatch.setattr(style, "WITH_CHINESE", ("Not Here", "STIXGeneral"))  # which comes with matplotlib
    assert style._families() == ["sans-serif", "STIXGeneral"]
    style._families.cache_clear()


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("ttmre (loss=pu)", ["ttmre (loss=pu)"]),
        (
            "atlop (encoder_lr=0.0001,epochs=3,head_lr=0.0004)",
            ["atlop (encoder_lr=0.0001,", "epochs=3,head_lr=0.0004)"],
        ),
        ("a" * 60, ["a" * 60]),
        ("", [""]),
    ],
)
def test_a_long_name_is_broken_where_it_may_be_and_nothing_of_it_is_lost(name, lines):
    assert draw.in_lines(name).split("\n") == lines
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")


def test_series_differ_in_more_than_colour():
    looks = [style.look(i) for i in range(PANELS)]
    for part in ("color", "marker", "linestyle"):
        assert len({str(look[part]) for look in looks}) == PANELS


@pytest.mark.parametrize("comparable", [True, False])
def test_an_ablation_that_is_not_comparable_has_a_panel_for_each_side_on_scales_of_one_span(comparable):
    ours = Points("ours", {1: 60.0, 2: 61.0}, {1: 0.5, 2: None})
    published = Points("published", {1: 83.5, 4: 84.0}, {1: 0.2, 4: 0.2})
    drawing = draw.ablation(ours, published, "layers", comparable)
    assert len(drawing.axes) == (1 if comparable else 2)
    spans = [high - low for low, high in (axes.get_ylim() for axes in drawing.axes)]
    assert spans == pytest.approx([spans[0]] * len(spans))
    assert [label.get_text() for label in drawing.axes[0].get_xticklabels()] == ["1", "2", "4"]


def test_principal_components_are_those_of_the_covariance_of_both():
    generator = np.random.default_rng(0)
    heads = generator.normal(size=(50, 5)) * [5, 3, 1, 1, 1]
    tokens = generator.normal(size=(8, 5))
    projection = principal(heads, tokens)
    both = np.concatenate([heads, tokens])
    values = np.sort(np.linalg.eigvalsh(np.cov(both.T)))[::-1]
    assert projection.explained == pytest.approx(values[:2] / values.sum())
    placed = np.concatenate([projection.heads, projection.tokens])
    assert placed.var(axis=0, ddof=1) == pytest.approx(values[:2])
    assert projection.spread == pytest.approx(tokens.var(axis=0).sum() / heads.var(axis=0).sum())
    assert principal(heads, tokens).heads == pytest.approx(projection.heads)


def test_every_finished_system_is_in_the_figures_of_its_place(tmp_path: Path):
    for model, correct in (("one", 60), ("two", 50)):
        for seed in range(2):
            write(tmp_path, plan(model, seed), [[correct + seed, 100, 100, 5]])
    write(tmp_path, plan("none"), None)
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    drawn = dict(collect.figures(material, tmp_path)[0])
    assert set(drawn) == {"seeds", "curves", "robust"}
    for section in ("seeds", "curves"):
        assert {"one", "two"} <= set(texts(drawn[section].svg))
        assert "none" not in texts(drawn[section].svg)
        assert "one" in drawn[section].alt
    names = {path.stem for path in (tmp_path / "figures").glob("*.pdf")}
    assert {f"{name}.{form}" for name in names for form in ("pdf", "png", "svg")} | {".drawn.json"} == {
        path.name for path in (tmp_path / "figures").iterdir()
    }


@pytest.mark.parametrize(("relations", "is_drawn"), [(("r",), False), (("r", "s"), True)])
def test_f1_by_frequency_is_drawn_where_there_are_relations_to_compare(tmp_path: Path, relations, is_drawn):
    made = record(plan(), [[60, 100, 100, 5]])
    counts = {relation: (3, 5, 10 + i) for i, relation in enumerate(relations)}
    splits = {name: split.model_copy(update={"relations": counts}) for name, split in made.splits.items()}
    RunFolder.of(tmp_path, plan()).announce(plan())
    RunFolder.of(tmp_path, plan()).write_record(made.model_copy(update={"splits": splits}))
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    assert ("relations" in {drawn.section for drawn in collect.planned(material)}) == is_drawn


def test_two_ways_to_decide_of_one_training_are_one_learning_curve(tmp_path: Path):
    of = InferencePlan(reference="x", class_name="X", code="c")
    for model, seeds in {"m": (1, 2), "other": (1,)}.items():
        for seed in seeds:
            trained = plan(model, seed)
            write(tmp_path, trained, [[60, 100, 100, 5]])
            if (model, seed) != ("m", 2):
                write(
                    tmp_path, trained.model_copy(update={"model": f"{model}-decided", "inference": of}), [[1, 2, 3, 0]]
                )
    lone = plan("lone", 1).model_copy(update={"inference": of})  # of which there is no run that decides by its logits
    write(tmp_path, lone, [[60, 100, 100, 5]])
    systems = gather(tmp_path, load_cells(tmp_path), read_published()).shown
    assert len(systems) == 5
    assert [curve.name for curve in curves(systems)] == ["lone", "m", "other"]


def test_what_was_not_learnt_by_epochs_has_no_learning_curve(tmp_path: Path):
    trained, counted = plan("m"), plan("counted", encoder=NO_ENCODER)
    outside = plan("elsewhere", encoder="unstated").model_copy(
        update={"stages": (), "outside": OutsidePredictions(predictions={"test": "p"}, relations=("r",))}
    )
    for each in (outside, trained, counted):
        write(tmp_path, each, [[60, 100, 100, 5]])
    systems = gather(tmp_path, load_cells(tmp_path), read_published()).shown
    assert len(systems) == 3
    assert [curve.name for curve in curves(systems)] == ["m"]


def test_epochs_are_whole_numbers_however_few_there_are():
    (axes,) = draw.learning_curves([Curve("m", ((10.0,),), (1,))]).axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_curves_that_runs_kept_are_drawn_with_their_area_and_runs_without_one_are_left_out(tmp_path: Path):
    curve = np.array([[10.0, 100.0, 2.0], [50.0, 40.0, -1.0]])
    nothing = np.zeros((0, 4), dtype=np.int32), np.zeros((0, 2), dtype=np.float32)
    for model, areas in (("one", (30.0, 32.0)), ("two", (None, None))):
        for seed, area in enumerate(areas):
            of = plan(model, seed)
            write(tmp_path, of, [[60, 100, 100, 5]])
            if area is not None:
                folder = RunFolder.of(tmp_path, of)
                test = folder.record().splits["test"]
                scored = test.model_copy(update={"scores": test.scores.model_copy(update={"auc": area})})
                splits = {**folder.record().splits, "test": scored}
                folder.write_record(folder.record().model_copy(update={"splits": splits}))
                about = SplitScores("the threshold class", True, {}, curve)
                write_scores(scores_path(folder.path, "test"), *nothing, None, about)
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    (shown,) = ranked(material.shown, tmp_path)
    assert (shown.name, shown.auc, len(shown.curves)) == ("one", 31.0, 2)
    assert shown.curves[0].tolist() == curve[:, :2].tolist()
    figure = dict(collect.figures(material, tmp_path)[0])["ranking"]
    assert {"one", "AUC 31.0"} <= set(texts(figure.svg))
    assert figure.alt == "one: AUC 31.0"
    assert "listed" not in figure.caption


def test_imported_predictions_are_not_said_to_be_all_candidates_by_their_logit(tmp_path: Path):
    nothing = np.zeros((0, 4), dtype=np.int32), np.zeros((0, 2), dtype=np.float32)
    for of in (plan("one"), of_predictions(plan("they"))):
        write(tmp_path, of, [[60, 100, 100, 5]])
        about = SplitScores("0", True, {}, np.array([[10.0, 100.0, 2.0]]))
        write_scores(scores_path(RunFolder.of(tmp_path, of).path, "test"), *nothing, None, about)
    drawn = collect.planned(gather(tmp_path, load_cells(tmp_path), read_published()))
    (caption,) = [each.caption for each in drawn if each.section == "ranking"]
    assert "; of they (outside), the triples listed, by the scores given with them" in caption
