"""Scores where the data set names its candidate pairs, has no sentences, or no Ign F1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from made_records import plan, record
from slicing import slices_of
from typer.testing import CliRunner

from bench.analysis.aggregate import ALL, Cell, scores_of
from bench.cli.evaluate import evaluate
from bench.data.documents import Document, Label, Mention
from bench.data.formats.detect import read_documents
from bench.errors import UsageError
from bench.metrics.official import gold_outside
from bench.metrics.split_record import split_record
from bench.metrics.submission import Prediction
from bench.report.tables.overview import overview_tables
from bench.runs.record import SplitRecord

MENTIONS = tuple((Mention(0, i, i + 1, "w", "Gene"),) for i in range(3))


def document(title: str = "a", **changed: object) -> Document:
    """Three entities and one without a mention; two of four labels can be predicted."""
    fields: dict[str, object] = {
        "title": title,
        "sentences": (("w",) * 4,),
        "entities": (*MENTIONS, ()),
        "labels": (Label(0, 1, "P1"), Label(0, 1, "P2"), Label(1, 2, "P1"), Label(0, 3, "P1")),
        "candidates": ((0, 1), (0, 2)),
    }
    return Document(**fields | changed)  # type: ignore[arg-type]


RIGHT = [Prediction("a", 0, 1, "P1"), Prediction("a", 0, 1, "P2")]


def test_labels_on_pairs_that_are_no_candidates_count_as_missed_and_are_counted() -> None:
    record = split_record(RIGHT, [document()], None, None, 0)
    assert (record.scores.precision, record.scores.recall) == (100.0, 50.0)
    assert record.gold_outside == 2
    assert record.documents.gold == [4]


def test_a_label_on_a_pair_that_is_no_candidate_is_right_where_a_submission_has_it() -> None:
    every = [Prediction("a", label.head, label.tail, label.relation) for label in document().labels]
    assert split_record(every, [document()], None, None, 0).scores.f1 == 100.0


def test_where_no_candidates_are_named_no_label_is_outside() -> None:
    assert gold_outside([document(candidates=None)]) == 0


def test_a_label_given_twice_is_outside_once() -> None:
    assert gold_outside([document(labels=(Label(1, 2, "P1"), Label(1, 2, "P1", (0,))))]) == 1


def test_without_facts_ign_f1_is_absent_everywhere_not_f1_under_another_name() -> None:
    record = split_record(RIGHT, [document()], None, None, 0)
    assert record.scores.ign_f1 is None
    assert record.scores.ign_f1_distant is None
    assert {part.ign_f1 for slices in record.slices.values() for part in slices.values()} == {None}
    with_facts = split_record(RIGHT, [document()], frozenset(), None, 0)
    assert with_facts.scores.ign_f1 == pytest.approx(with_facts.scores.f1)


def test_documents_without_sentences_are_not_cut_by_sentences() -> None:
    groups = {part.group for part in slices_of([], [document(), document("b")]).slices}
    assert "sentences" not in groups
    two = document("b", sentences=(("w",) * 3, ("w",)))
    assert "sentences" in {part.group for part in slices_of([], [document(), two]).slices}


def test_a_single_relation_is_not_cut_by_frequency() -> None:
    one = document(labels=(Label(0, 1, "CID"),))
    assert {part.group for part in slices_of([], [one, document("b", labels=())]).slices} == {
        "entities",
        "relation",
    }


def test_bins_count_the_entities_that_are_in_pairs() -> None:
    entities = MENTIONS * 4
    wide = document(entities=entities, candidates=((0, 1),), labels=(Label(0, 1, "P1"),))
    assert slices_of([], [wide])["entities", "at_most_10"].total("strict").gold == 1
    every = document(entities=entities, candidates=None, labels=(Label(0, 1, "P1"),))
    assert slices_of([], [every])["entities", "11-15"].total("strict").gold == 1


def test_a_record_from_before_candidates_is_read_as_having_none_outside() -> None:
    stored = split_record(RIGHT, [document(candidates=None)], None, None, 0).model_dump(mode="json")
    del stored["gold_outside"]
    assert SplitRecord.model_validate(stored).gold_outside == 0


@pytest.fixture
def cell() -> Cell:
    split = split_record(RIGHT, [document()], None, None, 0)
    finished = record(plan(), [(1, 1, 1, 0)]).model_copy(update={"splits": {"dev": split, "test": split}})
    return Cell((plan(),), (finished,), ())


def test_the_table_says_how_many_labels_are_outside_and_shows_no_ign_f1(cell: Cell) -> None:
    (table,) = overview_tables([cell], ("test",))
    assert (
        "2 of 4 labelled triples of test are on pairs that are no candidates: missed by every model here" in table.notes
    )
    assert "test F1" in [column.name for column in table.columns]
    assert "test Ign F1" not in [column.name for column in table.columns]


def test_rows_have_no_ign_f1_of_any_slice(cell: Cell) -> None:
    assert {score.metric for score in scores_of([cell]) if score.slice != ALL} == {"f1", "precision", "recall"}


app = typer.Typer(pretty_exceptions_enable=False)
app.command()(evaluate)


def test_predictions_on_the_real_test_file_are_scored_with_all_its_triples(
    shared_file: Callable[[str], Path], tmp_path: Path
) -> None:
    gold = shared_file("data/chemdisgene-small/test.anno_all.json")
    rows = [
        {"title": d.title, "h_idx": label.head, "t_idx": label.tail, "r": label.relation}
        for d in read_documents(gold)
        for label in d.labels
        if label[:2] in set(d.candidates or ())
    ]
    pred = tmp_path / "pred.json"
    pred.write_text(json.dumps(rows))
    result = CliRunner().invoke(app, ["--gold", str(gold), "--pred", str(pred), "--json"])
    scores = json.loads(result.stdout)
    assert scores["precision"] == 100.0
    assert scores["recall"] == pytest.approx(100 * (3_833 - 65) / 3_833)
    assert "sentences" not in scores["slices"]["strict"]
    assert "65 labelled triples are on pairs that are no candidates: missed by every model here" in result.stderr
    assert "--train-facts" not in result.stderr
    with pytest.raises(UsageError, match="Ign F1, which is no part of chemdisgene"):
        CliRunner().invoke(
            app, ["--gold", str(gold), "--pred", str(pred), "--train-facts", str(gold)], catch_exceptions=False
        )
