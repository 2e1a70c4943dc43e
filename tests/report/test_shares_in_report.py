"""Shares of labels in the report: figure, table, notes, and the tables of scores."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from made_records import of_predictions, of_weights, plan, write

from bench.analysis.aggregate import Cell, load_cells
from bench.analysis.published import read_published
from bench.report.build import make_page, make_results
from bench.report.figures import collect, draw
from bench.report.figures.series import PANELS, share_points
from bench.report.material import Material, gather
from bench.report.render.csv import to_csv
from bench.report.tables.label_shares import label_share_tables
from bench.report.tables.overview import overview_tables
from bench.runs.plan import RunPlan


def material_of(out: Path, shares: tuple[str, ...] = ("5%", "19%", "100%"), models: int = 2, **fields: str) -> Material:
    for model in range(models):
        for i, share in enumerate(shares):
            for seed in range(2):
                of = plan(f"m{model}", seed, setting=f"ext@{share}", train=share, **fields)
                write(out, of, [[20 + 20 * (i % 4) + 2 * seed + model, 100, 100, 0]])
    return gather(out, load_cells(out), read_published())


def test_the_figure_has_the_shares_as_its_axis_a_line_for_each_model_and_bars(tmp_path):
    (curves,) = material_of(tmp_path).shares
    (axes,) = draw.label_shares(share_points(curves), curves.split).axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["5", "19", "100"]
    assert axes.get_xscale() == "log"
    assert [bars.get_label() for bars in axes.containers] == ["m0", "m1"]
    line, _, (bars,) = axes.containers[0]
    assert list(line.get_ydata()) == pytest.approx([21, 41, 61])
    # Of two seeds, 2 points apart: Student's t of one degree of freedom at 0.975 is 12.706.
    lengths = [float(end[1] - start[1]) for start, end in bars.get_segments()]
    assert lengths == pytest.approx([2 * 12.7062047] * 3)
    assert axes.get_ylim()[0] >= -2


def test_shares_within_a_decade_are_on_a_linear_axis_and_texts_do_not_cover_each_other(tmp_path):
    (curves,) = material_of(tmp_path, ("20%", "95%", "96%", "100%")).shares
    (axes,) = draw.label_shares(share_points(curves), curves.split).axes
    assert axes.get_xscale() == "linear"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["20", "", "96", "100"]


def test_more_models_than_a_figure_holds_are_in_several_and_all_are_drawn(tmp_path):
    material = material_of(tmp_path, models=PANELS + 1)
    drawn = [of for of in collect.planned(material) if of.section == "label-shares"]
    assert len(drawn) == 2
    assert len({of.name for of in drawn}) == 2
    for model in range(PANELS + 1):
        assert sum(f"m{model}: " in of.alt for of in drawn) == 1


def test_the_table_has_a_column_for_each_share_and_what_is_left_and_its_file_the_intervals(tmp_path):
    material = material_of(tmp_path)
    (table,) = label_share_tables(material.shares)
    assert [column.name for column in table.columns][1:] == [
        "Labels kept 5%", "Labels kept 19%", "Labels kept 100%", "Left",
    ]  # fmt: skip
    assert [cell.text for cell in table.rows[0].cells] == [
        "m0", "21.00 ± 1.41", "41.00 ± 1.41", "61.00 ± 1.41", f"{2100 / 61:.1f}",
    ]  # fmt: skip
    (row, _) = csv.DictReader(io.StringIO(to_csv(table)))
    assert float(row["Labels kept 5% low"]) == pytest.approx(21 - 12.7062047)
    assert float(row["Labels kept 5% seeds"]) == 2


def test_a_model_that_lacks_a_share_has_a_gap_there_and_nothing_left(tmp_path):
    material_of(tmp_path)
    material = material_of(tmp_path, ("10%", "100%"), models=1)
    write(tmp_path, plan("m0", 5, setting="ext@10%", train="10%"), None)
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    (table,) = label_share_tables(material.shares)
    assert [cell.text for cell in table.rows[1].cells][2] == "—"
    assert "m0 at 10%: 2 of 3 seeds" in table.notes


def test_a_point_over_the_seeds_that_have_the_split_says_so(tmp_path):
    material_of(tmp_path)
    for share in ("5%", "100%"):
        for seed in range(2):
            of = of_predictions(plan("they", seed, setting=f"ext@{share}"))
            write(tmp_path, of, [[20, 100, 100, 0]], splits=("dev", "test")[: 2 - seed])
    (table,) = label_share_tables(gather(tmp_path, load_cells(tmp_path), read_published()).shares)
    assert [note for note in table.notes if "seeds" in note] == [
        "they (outside) at 5%: 1 of 2 seeds", "they (outside) at 100%: 1 of 2 seeds",
    ]  # fmt: skip


def test_the_page_has_a_section_of_them_with_table_and_figure(tmp_path):
    material = material_of(tmp_path)
    page = make_page(material, make_results(material), collect.figures(material, tmp_path)[0])
    (section,) = [section for section in page.sections if section.name == "label-shares"]
    assert (len(section.tables), len(section.figures)) == (1, 1)
    assert (tmp_path / "figures" / "label-shares-d-e-ext-per-type-0.pdf").is_file()


def test_shares_do_not_take_the_place_of_other_settings_in_figures_of_each(tmp_path):
    material_of(tmp_path, tuple(f"{percent}%" for percent in range(10, 91, 10)), models=1)
    for setting in ("ext", "human"):
        write(tmp_path, plan("m0", setting=setting), [[1, 2, 3, 0]])
    drawn = list(collect.planned(gather(tmp_path, load_cells(tmp_path), read_published())))
    seeds = [of.title for of in drawn if of.section == "seeds"]
    assert len(seeds) == collect.MOST_CONDITIONS
    assert {"Seeds: d, e, ext", "Seeds: d, e, human"} < set(seeds)


def test_each_share_is_a_block_of_the_table_of_scores_after_the_published_split(tmp_path):
    write(tmp_path, plan("m0", setting="ext", train="ext"), [[1, 2, 3, 0]])
    write(tmp_path, plan("m0", setting="ext@5%+distant", train="x"), [[1, 2, 3, 0]])
    material = material_of(tmp_path, ("19%", "100%", "5%"))
    (table,) = [table for table in make_results(material).main if table.name.startswith("table6")]
    assert list(dict.fromkeys(row.section for row in table.rows)) == [
        "Extremely unlabeled", "5% of the labels (ext@5%)", "19% of the labels (ext@19%)",
        "100% of the labels (ext@100%)", "5% of the labels + distant (ext@5%+distant)",
    ]  # fmt: skip


def test_no_published_row_stands_beside_a_share(tmp_path):
    for dataset, encoder in (("redocred", "roberta-large"), ("chemdisgene", "e")):
        material_of(tmp_path, dataset=dataset, encoder=encoder)
    for table in make_results(gather(tmp_path, load_cells(tmp_path), read_published())).main:
        assert not any(cell.under for row in table.rows if "ext@" in row.section for cell in row.cells)


def test_a_model_that_has_no_ext_is_not_applicable_at_every_share(tmp_path):
    for share in ("5%", "10%"):
        write(tmp_path, plan("m", setting=f"ext@{share}", train=share), [[1, 2, 3, 0]])
    other = plan("other", setting="human").model_copy(update={"not_applicable": {"ext": "it has no such thing"}})
    write(tmp_path, other, [[1, 2, 3, 0]])
    tables = [table for table in overview_tables(load_cells(tmp_path)) if "ext@" in table.title]
    assert [table.title for table in tables] == ["d, ext@5%", "d, ext@10%"]
    for table in tables:
        assert any(row.cells[0].text == "other" and row.cells[2].text == "n/a" for row in table.rows)


def told(multiple: float | None, setting: str) -> RunPlan:
    made = plan("m", setting=setting)
    hyperparameters = {} if multiple is None else {"prior_multiple": multiple}
    stage = made.stages[0].model_copy(update={"hyperparameters": hyperparameters})
    return made.model_copy(update={"stages": (stage,)})


@pytest.mark.parametrize(
    ("multiple", "setting", "is_told"),
    [
        (12.0, "ext@100%", True), (12.0, "ext@5%", True), (12.0, "ext@10%", False), (12.0, "ext@50%+distant", True),
        (2.0, "ext@50%", False), (None, "ext@50%", False), (12.0, "ext", False), (1.0, "human", False),
    ],
)  # fmt: skip
def test_a_prior_that_the_share_contradicts_is_told_under_the_table(multiple, setting, is_told):
    (table,) = overview_tables([Cell((told(multiple, setting),), (), ())])
    assert (
        any(f"is told of {multiple or 0:g} positives for each labelled one" in note for note in table.notes) == is_told
    )


def test_of_imported_weights_nobody_knows_what_prior_they_were_told():
    (table,) = overview_tables([Cell((of_weights(told(12.0, "ext@50%")),), (), ())])
    assert not [note for note in table.notes if "positives for each labelled one" in note]
