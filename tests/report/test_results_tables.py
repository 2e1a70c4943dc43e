"""The paper's tables from records: what is compared with what, and what is only set beside it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import made_records
import pytest
from made_records import of_predictions, of_weights, plan, write

from bench.analysis.aggregate import load_cells
from bench.analysis.claims import claim
from bench.analysis.comparison import Question, adjusted, compare
from bench.analysis.pairing import Pairing
from bench.analysis.published import read_published
from bench.analysis.systems import Condition, System, systems_of
from bench.report.build import make_results, sections
from bench.report.material import gather
from bench.report.table import Table, TableCell, TableRow, line_of
from bench.report.tables.ablations import ablations
from bench.report.tables.comparisons import claims_tables
from bench.report.tables.comparisons import tests_table as table_of_tests
from bench.report.tables.overview import overview_tables
from bench.report.tables.paper import PaperRows, the_paper
from bench.report.tables.paper_tables import ablation_table, main_tables, slice_tables
from bench.report.tables.relations import rare_tables
from bench.report.tables.runs import runs_csv
from bench.runs.names import NO_ENCODER
from bench.runs.record import Scores
from bench.runs.run_folder import RunFolder

ROWS = PaperRows(read_published(), the_paper())
HERE = Condition("d", "human", "e")
GOOD, BAD = [[60, 100, 100, 10]], [[40, 100, 100, 10]]


def systems(out: Path) -> list[System]:
    return systems_of(load_cells(out))


def paper(model: str = "ttmre", **fields: object) -> dict[str, object]:
    return {"model": model, "dataset": "redocred", "encoder": "roberta-large", **fields}


def tables(out: Path) -> dict[str, Table]:
    return {table.name: table for table in main_tables(systems(out), ROWS)}


def row(table: Table, name: str, section: str | None = None) -> dict[str, TableCell]:
    (named,) = [r for r in table.rows if r.cells[0].text == name and section in (None, r.section)]
    return {column.name: cell for column, cell in zip(table.columns, named.cells, strict=True)}


def names(table: Table) -> list[tuple[str, str]]:
    return [(row.section, row.cells[0].text) for row in table.rows]


def test_every_row_of_the_paper_has_a_registered_model_and_its_tables_are_all_there():
    from bench.registry import registered

    assert {ROWS.model(r) for r in ROWS.rows} <= set(registered())
    assert set(the_paper().remarks) <= set(registered())
    assert {r.table for r in ROWS.rows} == {table.number for table in the_paper().table}
    assert len(ROWS.rows) == 72


def test_where_data_setting_and_encoder_are_the_papers_a_score_stands_above_the_published_one(tmp_path):
    for seed, correct in enumerate((81, 82, 83, 84, 82)):
        write(tmp_path, plan(**paper(setting="human+distant", seed=seed)), [[correct, 100, 100, 10]])
    table = tables(tmp_path)["table3-redocred-roberta-large"]
    assert (table.title, table.published) == ("Table 3: main results", "same")
    f1 = row(table, "ttmre")["Test F1"]
    assert f1.text == "82.40 ± 1.14"
    assert line_of(f1, "published") == "84.01 ± 0.21"
    assert line_of(f1, "difference") == "−1.61 differs"
    assert f1.data["verdict"] == "differs"
    assert row(table, "ttmre")["Seeds"].text == "5 of 5"
    # Of the paper's rows in this setting those that were not run are there, without a number of ours.
    assert names(table) == [
        ("Human + distant", name) for name in ("dreeam", "atlop", "kd_docre", "ssrpu", "ttmre (loss=pu)", "ttmre")
    ]
    assert row(table, "dreeam")["Test F1"].text == "—"


def test_the_papers_claim_of_seeds_is_held_against_what_was_released(tmp_path):
    write(tmp_path, plan(**paper(setting="human+distant")), GOOD)
    notes = row(tables(tmp_path)["table3-redocred-roberta-large"], "ttmre")["Model"].notes
    assert any("claims 5 seeds" in note and "runs 1" in note for note in notes)


@pytest.mark.parametrize(
    ("fields", "unlike"),
    [
        ({"dataset": "sample"}, "data set (redocred)"),
        ({"encoder": "bert-base-cased"}, "encoder (roberta-large)"),
        ({"dataset": "redocred-small", "encoder": "minilm"}, "data set (redocred) and encoder (roberta-large)"),
    ],
)
def test_a_published_value_of_other_data_or_another_encoder_is_marked_and_never_compared(tmp_path, fields, unlike):
    for seed in range(3):
        write(tmp_path, plan(**(paper(seed=seed) | fields)), [[60 + seed, 100, 100, 10]])
    (table,) = tables(tmp_path).values()
    assert table.published == "other"
    assert "Table 3" not in table.title
    cells = row(table, "ttmre")
    assert f"published with other {unlike}: not comparable" in cells["Model"].notes
    assert [line.label for line in cells["Test F1"].under] == ["published, not comparable"]
    assert "difference" not in cells["Test F1"].data
    assert "not comparable" in table.caption


def test_a_variant_the_paper_does_not_have_has_no_published_value(tmp_path):
    write(tmp_path, plan(**paper()), GOOD)
    write(tmp_path, plan(**paper(variant="epochs=5")), GOOD)
    table = tables(tmp_path)["table3-redocred-roberta-large"]
    assert row(table, "ttmre (epochs=5)")["Test F1"].under == ()
    assert row(table, "ttmre")["Test F1"].under


def test_a_setting_of_the_paper_that_was_not_run_is_no_part_of_the_table(tmp_path):
    write(tmp_path, plan(**paper(setting="ext")), GOOD)
    assert list(tables(tmp_path)) == ["table6-redocred-roberta-large"]


def test_missing_seeds_are_marked_with_what_failed_once_for_all_it_happened_to(tmp_path):
    for seed in range(3):
        write(tmp_path, plan(seed=seed), GOOD)
    for seed in (3, 4):
        write(tmp_path, plan(seed=seed), None)
        RunFolder.of(tmp_path, plan(seed=seed)).write_error("out of memory", "")
    seeds = row(tables(tmp_path)["table3-d-e"], "m")["Seeds"]
    assert seeds.text == "3 of 5*"
    assert seeds.notes == ("over 3 of 5 planned seeds; seeds 3, 4 failed: out of memory",)


def test_a_damaged_seed_has_not_failed(tmp_path):
    for seed in range(2):
        write(tmp_path, plan(seed=seed), GOOD)
    (RunFolder.of(tmp_path, plan(seed=1)).path / "record.json").write_text("{")
    (note,) = row(tables(tmp_path)["table3-d-e"], "m")["Seeds"].notes
    assert note.startswith("over 1 of 2 planned seeds; seed 1: damaged: ")


def test_a_model_without_a_setting_is_not_applicable_with_the_reason(tmp_path):
    student = plan("kd").model_copy(update={"not_applicable": {"distant": "needs a teacher"}})
    for planned in (student, plan("m"), plan("m", setting="distant")):
        write(tmp_path, planned, GOOD)
    cells = row(tables(tmp_path)["table3-d-e"], "kd", "Distant only")
    assert {cell.text for name, cell in cells.items() if name != "Model"} == {"n/a"}
    assert cells["Model"].notes == ("n/a: kd has no 'distant': needs a teacher",)


def test_rows_scored_on_other_documents_are_marked_and_nothing_is_called_best(tmp_path):
    for model, test in (("a", "x"), ("b", "x"), ("c", "other")):
        for seed in range(3):
            write(tmp_path, plan(model, seed, test=test), [[50 + 10 * (model == "a") + seed, 100, 100, 0]])
    table = tables(tmp_path)["table3-d-e"]
    assert any("not scored alike" in note for note in row(table, "c")["Model"].notes)
    assert not row(table, "a")["Model"].notes
    assert not any(cell.bold or cell.marks for one in table.rows for cell in one.cells)


def test_a_row_selected_by_another_rule_is_marked(tmp_path):
    for model in ("a", "b", "c"):
        planned = plan(model)
        if model == "c":
            planned = planned.with_training(select="last")
        write(tmp_path, planned, GOOD)
    table = tables(tmp_path)["table3-d-e"]
    assert row(table, "c")["Model"].notes == (
        "mixed selection: last epoch, where most rows have the best epoch on dev",
    )
    assert row(table, "a")["Model"].notes == ()


def test_of_what_was_not_trained_here_no_row_says_how_it_was(tmp_path):
    """A plan has settings of training even for a model that counts, and for weights of elsewhere: they are defaults."""
    for model in ("atlop", "ssrpu"):
        frozen = plan(**paper(model)).with_training(freeze_encoder=True, select="last", select_on="dev_ext")
        write(tmp_path, frozen, GOOD)
    write(tmp_path, of_weights(plan(**paper("ttmre"))), [[0, 0, 100, 0]])
    write(tmp_path, plan(**paper("prior") | {"encoder": NO_ENCODER}), [[0, 0, 100, 0]])
    table = tables(tmp_path)["table3-redocred-roberta-large"]
    assert row(table, "prior")["Model"].notes == ("has no encoder",)
    assert row(table, "ttmre (imported)")["Model"].notes == ()
    assert not [note for note in table.notes if "epoch" in note]
    lines = list(csv.DictReader(io.StringIO(runs_csv(systems(tmp_path)))))
    assert {line["model"]: line["epochs"] for line in lines} == {"atlop": "1", "ssrpu": "1", "ttmre": "", "prior": ""}


def test_another_rule_of_selection_than_the_papers_is_told(tmp_path):
    write(tmp_path, plan(**paper(setting="ext")), GOOD)
    cells = row(tables(tmp_path)["table6-redocred-roberta-large"], "ttmre")
    assert "the epoch is chosen on dev, the paper's on dev_ext" in cells["Model"].notes
    assert [line.label for line in cells["F1"].under] == ["published", "difference"]


def test_a_frozen_encoder_is_marked_among_trained_ones_and_not_compared_with_the_published_value(tmp_path):
    for model in ("atlop", "ssrpu", "ttmre"):
        planned = plan(**paper(model))
        if model == "ttmre":
            planned = planned.with_training(freeze_encoder=True)
        write(tmp_path, planned, GOOD)
    table = tables(tmp_path)["table3-redocred-roberta-large"]
    notes = row(table, "ttmre")["Model"].notes
    assert "mixed training: the encoder is frozen, where most rows have it trained" in notes
    assert "published with other training (ours has the encoder frozen): not comparable" in notes
    assert row(table, "atlop")["Model"].notes == ()


def test_a_table_of_several_encoders_marks_the_rows_that_mix_them(tmp_path):
    for model, encoder in (("atlop", "base"), ("ssrpu", "base"), ("ttmre", "large")):
        write(tmp_path, plan(model, dataset="chemdisgene", encoder=encoder), GOOD)
    table = tables(tmp_path)["table4-chemdisgene"]
    notes = row(table, "ttmre")["Model"].notes
    assert "mixed encoders: large, where most rows have base" in notes
    assert [c.name for c in table.columns][:3] == ["Model", "Encoder", "Seeds"]
    # The paper says of no row of this table what its encoder is; what is known from elsewhere is another one.
    assert table.published == "other"


def test_a_model_without_an_encoder_stands_beside_those_of_every_encoder(tmp_path):
    for encoder in ("tiny", "large"):
        write(tmp_path, plan("mine", encoder=encoder), GOOD)
    write(tmp_path, plan("prior", encoder=NO_ENCODER), BAD)
    write(tmp_path, plan("prior", encoder=NO_ENCODER, dataset="other"), BAD)
    made = tables(tmp_path)
    assert {name: [model for _, model in names(made[name])] for name in made if name.startswith("table3")} == {
        "table3-d-large": ["mine", "prior"],
        "table3-d-tiny": ["mine", "prior"],
        "table3-other-none": ["prior"],
    }
    assert row(made["table3-d-tiny"], "prior")["Model"].notes == ("has no encoder",)
    assert not row(made["table3-d-tiny"], "mine")["Model"].notes
    assert not row(made["table3-other-none"], "prior")["Model"].notes


def test_models_with_several_encoders_are_a_table_of_blocks_by_encoder(tmp_path):
    for encoder in ("roberta-large", "microsoft/deberta-v3-large"):
        write(tmp_path, plan(**paper(encoder=encoder, setting="human+distant")), GOOD)
    write(tmp_path, plan(**paper("atlop", setting="human+distant")), GOOD)
    table = tables(tmp_path)["table7-redocred"]
    run = [name for name in names(table) if row(table, name[1], name[0])["F1"].text != "—"]
    assert run == [(f"Human + distant, {e}", "ttmre") for e in ("microsoft/deberta-v3-large", "roberta-large")]
    deberta = row(table, "ttmre", "Human + distant, microsoft/deberta-v3-large")
    (published,) = [r for r in ROWS.rows if r.table == "7" and r.encoder == "deberta-v3-large"
                    and r.model == "TTM-RE" and r.setting == "human+distant"]  # fmt: skip
    assert line_of(deberta["F1"], "published").startswith(str(published.scores["f1"].mean))


def with_layers(layers: int, seed: int = 0, **fields: object):
    planned = plan(**paper(setting="human+distant", seed=seed, variant=f"layers={layers}", **fields))
    stage = planned.stages[0].model_copy(update={"hyperparameters": {"layers": layers, "residual": True}})
    return planned.model_copy(update={"stages": (stage,)})


def test_runs_that_differ_in_one_number_alone_are_an_ablation_beside_the_papers(tmp_path):
    for layers in (1, 2, 4):
        write(tmp_path, with_layers(layers), GOOD)
    write(tmp_path, with_layers(3, train="other documents"), GOOD)
    (ablation,) = ablations(systems(tmp_path))
    assert (ablation.model, ablation.hyperparameter) == ("ttmre", "layers")
    assert [value for value, _ in ablation.points] == [1, 2, 4]
    paper_table = next(t for t in the_paper().tables("ablation") if t.hyperparameter == "layers")
    table = ablation_table(paper_table, ablation, ROWS)
    assert table.title.startswith("Table 8: ")
    assert [line_of(r.cells[2], "published") for r in table.rows] == ["83.56 ± 0.19", "83.58 ± 0.36", "84.01 ± 0.23"]


def test_what_is_varied_stays_in_the_tables_beside_its_ablation(tmp_path):
    """Planned points without a record must not take away the one that has: it is named after nothing that is varied."""
    for memory in (10, 50, 200):
        variant = "layers=1" + (f",memory={memory}" if memory != 200 else "")
        planned = plan("ttmre", variant=variant)
        stage = planned.stages[0].model_copy(update={"hyperparameters": {"layers": 1, "memory": memory}})
        write(tmp_path, planned.model_copy(update={"stages": (stage,)}), GOOD if memory == 200 else None)
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    assert [ablation.hyperparameter for ablation in material.ablations] == ["memory"]
    assert [system.name for system in material.shown] == ["ttmre (layers=1)"]


def test_two_values_are_a_comparison_and_no_ablation(tmp_path):
    for layers in (1, 2):
        write(tmp_path, with_layers(layers), GOOD)
    assert list(ablations(systems(tmp_path))) == []


def write_sliced(out: Path, model: str, seed: int, outside: bool = False) -> None:
    planned = plan(**paper(model, seed=seed))
    planned = of_predictions(planned) if outside else planned
    record = made_records.record(planned, GOOD)
    strict, released = (
        {part: Scores(f1=f1 + seed, ign_f1=f1 - 1, precision=f1, recall=f1)
         for part in ("top_10", "below_25th_percentile")}
        for f1 in (70.0, 50.0)
    )  # fmt: skip
    relations = {f"P{i}": (i, 2 * i, 4 * i) for i in range(1, 9)}
    splits = {
        name: split.model_copy(update={"slices": {"strict": strict, "released": released}, "relations": relations})
        for name, split in record.splits.items()
    }
    folder = RunFolder.of(out, planned)
    folder.announce(planned)
    folder.write_record(record.model_copy(update={"splits": splits}))


def test_slices_are_strict_with_the_released_protocol_and_the_published_values_below(tmp_path):
    for seed in range(2):
        write_sliced(tmp_path, "ttmre", seed)
    (table,) = slice_tables(systems(tmp_path), ROWS)
    f1 = row(table, "ttmre")["F1"]
    assert f1.text == "70.50 ± 0.71"
    assert line_of(f1, "released protocol") == "50.50 ± 0.71"
    # The paper does not say which setting these rows are of.
    assert line_of(f1, "published, not comparable") == "68.21 ± 0.20"


def test_rare_relations_are_those_strictly_below_the_25th_percentile_of_labels(tmp_path):
    write_sliced(tmp_path, "ttmre", 0)
    (table,) = rare_tables(systems(tmp_path))
    # Labels are 4, 8, ... 32; their 25th percentile is 11: 4 and 8 are below, 12 of 144.
    assert "The 2 relations" in table.caption
    assert "12 of the 144 labels of the test set (0.083)" in table.caption
    assert table.rows[0].cells[2].text == "70.00"


def test_a_mean_over_the_seeds_that_have_the_split_says_so_wherever_it_stands(tmp_path):
    """Of predictions from elsewhere: seeds 0 and 1 predict on dev alone."""
    for seed in range(2):
        write(tmp_path, of_predictions(plan(**paper("they", seed=seed))), GOOD, splits=("dev",))
    write_sliced(tmp_path, "they", 2, outside=True)
    for seed in range(3):
        write_sliced(tmp_path, "atlop", seed)
    (main,) = (table for table in tables(tmp_path).values() if "table3" in table.name)
    (sliced,) = slice_tables(systems(tmp_path), ROWS)
    (overview,) = overview_tables(load_cells(tmp_path))
    for table in (main, sliced):
        seeds = row(table, "they (outside)")["Seeds"]
        assert (seeds.text, seeds.notes) == ("3 of 3*", ("test over 1 of 3 planned seeds",))
    for table in (main, sliced):
        assert row(table, "atlop")["Seeds"].text == "3 of 3"
    assert {line.cells[0].text: line.cells[-1].text for line in overview.rows} == {
        "atlop": "3 of 3", "they (outside)": "3 of 3*",
    }  # fmt: skip
    (condition,) = {Condition.of(system.plan) for system in systems(tmp_path) if not system.is_without_encoder}
    (claims,) = claims_tables([(condition, systems(tmp_path))])
    assert any("Preliminary (1 of 3 seeds of they (outside))" in cell.text for cell in claims.rows[0].cells)
    tests = table_of_tests(condition, [compare(condition, Question(resamples=100), *systems(tmp_path))])
    assert [cell.under[0].text for cell in tests.rows[0].cells[:2]] == [
        "60.00 ± 0.00 (3 of 3 seeds)",
        "60.00 (1 of 3 seeds*)",
    ]


def test_what_is_shown_of_some_combinations_is_not_said_to_be_those_with_most_rows(tmp_path):
    """Those with more rows may have no labels of test."""
    for model in ("a", "b", "c"):
        write(tmp_path, plan(model, dataset="unlabelled"), GOOD, splits=("dev",))
    for model in ("a", "b"):
        write(tmp_path, plan(model), GOOD)
    material = gather(tmp_path, load_cells(tmp_path), read_published())
    (intro,) = [part.intro for part in sections(material, make_results(material), ()) if part.name == "claims"]
    assert "1 of the 2 combinations of data set, encoder and setting" in intro
    assert "the ones that have such numbers" in intro


def test_where_test_has_no_labels_dev_is_shown(tmp_path):
    write(tmp_path, plan(setting="ext"), GOOD, splits=("dev",))
    (table,) = tables(tmp_path).values()
    assert row(table, "m")["F1"].text == "60.00"


def test_a_benchmark_without_ign_f1_has_no_column_of_it(tmp_path):
    planned = plan()
    record = made_records.record(planned, GOOD)
    splits = {
        name: split.model_copy(update={"scores": split.scores.model_copy(update={"ign_f1": None})})
        for name, split in record.splits.items()
    }
    RunFolder.of(tmp_path, planned).announce(planned)
    RunFolder.of(tmp_path, planned).write_record(record.model_copy(update={"splits": splits}))
    (table,) = tables(tmp_path).values()
    scores = [f"{split} {title}" for split in ("Dev", "Test") for title in ("F1", "Precision", "Recall")]
    assert [column.name for column in table.columns] == ["Model", "Seeds", *scores]


def test_a_row_is_a_row_whatever_its_name_holds(tmp_path):
    write(tmp_path, plan("x|<b>", variant="a=1,b=2"), GOOD)
    (table,) = tables(tmp_path).values()
    assert isinstance(table.rows[0], TableRow)
    assert table.rows[0].cells[0].text == "x|<b> (a=1,b=2)"


def test_the_best_is_compared_with_every_other_and_the_claim_is_what_compare_says(tmp_path):
    for model, correct in (("good", 80), ("bad", 40), ("middle", 60)):
        for seed in range(3):
            write(tmp_path, plan(model, seed), [[correct + seed + i % 2, 100, 100, 0] for i in range(20)])
    (table,) = claims_tables([(HERE, systems(tmp_path))])
    assert [[cell.text for cell in one.cells[:2]] for one in table.rows] == [["good", "middle"], ["good", "bad"]]
    assert table.rows[0].cells[2].text == "+20.00"
    by_name = Pairing(load_cells(tmp_path), None, Question(resamples=2000))
    comparisons = adjusted([*by_name.pair("good", "middle"), *by_name.pair("good", "bad")])
    assert [one.cells[-1].text for one in table.rows] == [claim(one) for one in comparisons]
    assert table.rows[0].cells[-1].text.startswith("good is better than middle by 20.00 points of test F1")


def test_a_row_scored_on_other_documents_is_not_among_the_claims_even_if_it_is_the_best(tmp_path):
    for model, test, correct in (("a", "x", 60), ("b", "x", 60), ("c", "other", 90)):
        write(tmp_path, plan(model, test=test), [[correct, 100, 100, 5]] * 2)
    (table,) = claims_tables([(HERE, systems(tmp_path))])
    assert [[cell.text for cell in one.cells[:2]] for one in table.rows] == [["a", "b"]]
    assert table.caption.endswith("1 row of other documents or another metric left out.")


def test_an_f1_of_zero_has_its_reason_under_the_papers_table(tmp_path):
    write(tmp_path, plan(**paper()), [[0, 0, 100, 0]])
    write(tmp_path, plan(**paper("ssrpu")), GOOD)
    notes = [note for table in tables(tmp_path).values() for note in table.notes]
    (why,) = {note for note in notes if "F1 is 0.00" in note and "test" in note}
    assert (
        why
        == "ttmre with roberta-large, seed 0: test F1 is 0.00: nothing was predicted, after 1 epoch of the last stage"
    )


def test_which_pairs_are_classified_and_what_counts_is_told_under_the_papers_table(tmp_path):
    conventions = {"pairs": "all", "scored": "as labelled", "order": "first-in-text"}
    for of in (plan(**paper()), plan(**paper("atlop"))):
        write(tmp_path, of, GOOD)
        record = made_records.record(of, GOOD).model_copy(update={"conventions": conventions})
        RunFolder.of(tmp_path, of).write_record(record)
    notes = tables(tmp_path)["table3-redocred-roberta-large"].notes
    assert [note for note in notes if note.startswith(("pairs", "scored", "order"))] == [
        "pairs: all",
        "scored: as labelled",
    ]
