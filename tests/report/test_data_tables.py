"""Statistics of data sets beside the paper's, and what others printed."""

from __future__ import annotations

from pathlib import Path

from made_records import of_weights, plan, write

from bench.analysis.aggregate import load_cells
from bench.analysis.published import read_published
from bench.analysis.systems import systems_of
from bench.data.catalog.statistics import Described, SplitStatistics
from bench.report.table import line_of
from bench.report.tables.datasets import DataFacts, Recorded, data_facts, statistics_tables
from bench.report.tables.elsewhere import elsewhere_tables
from bench.report.tables.paper import PaperRows, the_paper


def described(documents: int, entities: float, triples: float) -> Described:
    counted = SplitStatistics(documents, entities, 25.0, triples, 7.9, 200.0, 380.0, 96, 20.0)
    return Described(counted, {"P1": 3})


def test_counted_statistics_stand_above_the_printed_ones_and_say_where_they_differ():
    facts = DataFacts(
        "redocred",
        splits={"train": described(3053, 19.44, 28.08), "test": described(499, 19.6, 30.0)},
        counts={"distant": 101873, "train": 3053, "test": 499},
        missing={"distant": "not counted yet"},
    )
    (table,) = statistics_tables([facts], the_paper())
    assert table.title == "Table 1: statistics of redocred"
    assert [column.title for column in table.columns] == ["Statistics", "Distant", "Train", "Test"]
    rows = {row.cells[0].text: row.cells[1:] for row in table.rows}
    assert [cell.text for cell in rows["# Docs"]] == ["101,873", "3,053", "499"]
    assert [line_of(cell, "published") for cell in rows["# Docs"]] == ["101,873", "3,053", "500 (differs)"]
    assert [line_of(cell, "published") for cell in rows["Avg. # Labeled Triples"][1:]] == ["28.1", "34.9 (differs)"]
    assert rows["Avg. # Entities"][0].text == "—"
    assert table.notes == ("not counted yet",)


def test_a_data_set_of_ones_own_has_no_published_statistics():
    (table,) = statistics_tables([DataFacts("mine", {"dev": described(5, 3.0, 2.0)}, {"dev": 5})], the_paper())
    assert table.published == "none"
    assert all(cell.under == () for row in table.rows for cell in row.cells)


def test_what_records_tell_of_a_data_set_that_is_not_here_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    write(tmp_path, plan(dataset="away"), [[1, 2, 3, 0], [1, 2, 6, 0]])
    (facts,) = data_facts(systems_of(load_cells(tmp_path)))
    assert "unknown data set 'away'" in facts.problem
    (table,) = statistics_tables([facts], the_paper())
    assert table.caption == "Of train, dev, test, what the records tell."
    shown = {row.cells[0].text: [cell.text for cell in row.cells[1:]] for row in table.rows}
    assert shown == {"# Docs": ["3", "2", "2"], "Avg. # Labeled Triples": ["—", "4.50", "4.50"]}


def test_labels_are_those_of_train_where_they_were_counted_and_else_of_the_recorded_test_set():
    recorded = {"test": Recorded(5, 2.0, {"P2": 4, "P3": 0})}
    assert DataFacts("d", recorded=recorded).labels() == ("test", {"P2": 4})
    assert DataFacts("d", {"train": described(5, 3.0, 2.0)}, recorded=recorded).labels() == ("train", {"P1": 3})
    assert DataFacts("d").labels() == ("", {})


def test_documents_that_the_runs_did_not_read_are_not_described(small: Path, tmp_path: Path):
    write(tmp_path, plan(dataset="small", test="of other documents"), [[1, 2, 3, 0]])
    (facts,) = data_facts(systems_of(load_cells(tmp_path)))
    assert "test" not in facts.splits
    assert facts.missing["test"] == "the test documents here are not those that the runs read"


def test_of_imported_weights_nobody_knows_what_they_were_trained_on(small: Path, tmp_path: Path):
    """Neither are the training documents here not theirs, nor were there none."""
    write(tmp_path, of_weights(plan("a", dataset="small")), [[1, 2, 3, 0]])
    write(tmp_path, of_weights(plan("a", dataset="away")), [[1, 2, 3, 0]])
    write(tmp_path, plan("b", dataset="away"), [[1, 2, 3, 0]])
    away, here = sorted(data_facts(systems_of(load_cells(tmp_path))), key=lambda facts: facts.name)
    assert "train" in here.splits
    assert away.recorded["train"].documents == 3


def test_what_others_printed_of_a_data_set_is_listed_best_first(tmp_path: Path):
    write(tmp_path, plan(dataset="redocred"), [[1, 2, 3, 0]])
    rows = PaperRows(read_published(), the_paper())
    (table,) = elsewhere_tables(systems_of(load_cells(tmp_path)), rows)
    scores = [row.cells[4].value for row in table.rows]
    assert scores == sorted(scores, reverse=True)
    assert len(table.rows) == sum(
        row.dataset == "redocred" and row.source != rows.paper.source and "f1" in row.scores
        for row in rows.published.rows
    )
    assert elsewhere_tables([], rows) == []
