"""DocRED's documents in Parquet and Arrow files: the same documents, and the same mistakes, as in JSON."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_experiments import documents
from tables import save, save_split, table

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.formats.detect import detect, scan
from bench.data.formats.docred import document_as_json
from bench.errors import UsageError

SHAPES = ("structs", "lists", "classes")
ITEMS = [document_as_json(document) for document in documents("train", 5)]


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_table_has_the_documents_of_the_json(shape, ending, tmp_path):
    path = save(table(ITEMS, shape), tmp_path / f"train{ending}")
    result = scan(path)
    assert detect(path).name == "docred-tables"
    assert not result.problems
    assert list(result.documents) == documents("train", 5)
    assert result.labelled


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_whatever_is_in_json_is_in_a_table_and_so_is_whatever_is_wrong(tmp_path_factory, data):
    """Any number may be wrong, any text odd: both readers say the same of it."""
    items = json.loads(json.dumps(ITEMS))
    for item in items:
        for label in item["labels"]:
            label["h"] = data.draw(st.integers(-1, 5))
        mention = item["vertexSet"][0][0]
        mention["pos"] = data.draw(st.sampled_from([[0, 1], [1, 0], [0, 99], [0], mention["pos"]]))
        item["sents"][1][1] = data.draw(st.sampled_from(["", "mañana", "leads", "\u200b"]))
        item["title"] = data.draw(st.sampled_from([item["title"], "", "the same"]))
    folder = tmp_path_factory.mktemp("either")
    (folder / "a.json").write_text(json.dumps(items))
    expected = scan(folder / "a.json")
    for shape in SHAPES:
        found = scan(save(table(items, shape), folder / f"{shape}.parquet"))
        assert found.documents == expected.documents
        assert found.problems == expected.problems
        assert found.notes == expected.notes


def test_parts_are_read_in_their_order_and_what_lies_beside_is_not(tmp_path):
    folder = save_split(table(ITEMS), tmp_path / "train", shards=2)
    save(table(ITEMS[:1]), folder / "cache-1234.arrow")
    assert [document.title for document in scan(folder).documents] == [item["title"] for item in ITEMS]


def test_a_pattern_stands_for_the_parts_of_one_split(tmp_path):
    for i, name in enumerate(("train-00000-of-00002", "train-00001-of-00002")):
        save(table(ITEMS[i * 3 : i * 3 + 3]), tmp_path / f"{name}.parquet")
    save(table(ITEMS), tmp_path / "test-00000-of-00001.parquet")
    result = scan(tmp_path / "train-*.parquet")
    assert [document.title for document in result.documents] == [item["title"] for item in ITEMS]
    (problem,) = scan(tmp_path / "dev-*.parquet").problems
    assert str(problem) == "a pattern that no file fits"


def test_a_table_in_which_no_document_has_a_label_has_none(tmp_path):
    for shape in SHAPES:
        blind = scan(save(table([{**item, "labels": []} for item in ITEMS], shape), tmp_path / f"{shape}.parquet"))
        assert (blind.labelled, blind.problems, blind.count) == (False, (), 5)
    assert not scan(save(table(ITEMS, labels=False), tmp_path / "none.parquet")).labelled


def test_a_document_without_a_list_among_others_with_labels_is_told(tmp_path):
    made = table(ITEMS)
    labels = made.column("labels").to_pylist()
    made = made.set_column(3, "labels", pa.array([None, *labels[1:]], made.schema.field("labels").type))
    (problem,) = scan(save(made, tmp_path / "a.parquet")).problems
    assert str(problem) == "document 0 'train 0': labels: missing, though other documents have labels"


def test_types_may_be_classes_too(tmp_path):
    made = table(ITEMS)
    entities = [[[{**m, "type": 1} for m in e] for e in row] for row in made.column("vertexSet").to_pylist()]
    made = made.set_column(2, "vertexSet", pa.array(entities))
    mention = {"type": {"names": ["ORG", "PER"], "_type": "ClassLabel"}, "name": {"dtype": "string", "_type": "Value"}}
    for feature in ([[mention]], {"_type": "List", "feature": {"_type": "List", "feature": mention}}):
        described = json.dumps({"info": {"features": {"vertexSet": feature}}})
        path = save(made.replace_schema_metadata({"huggingface": described}), tmp_path / "a.parquet")
        assert list(scan(path).documents) == documents("train", 5)


@pytest.mark.parametrize("described", ["{", "[]", '{"info": {"features": {"labels": 3, "title": []}}}'])
def test_metadata_that_says_nothing_is_passed_over(described, tmp_path):
    path = save(table(ITEMS).replace_schema_metadata({"huggingface": described}), tmp_path / "a.parquet")
    assert list(scan(path).documents) == documents("train", 5)


def test_a_class_that_has_no_name_is_told_with_its_place(tmp_path):
    made = table(ITEMS, "classes")
    labels = made.column("labels").to_pylist()
    labels[2]["relation_id"][1] = -1
    made = made.set_column(3, "labels", pa.array(labels, made.schema.field("labels").type))
    problems = scan(save(made, tmp_path / "a.parquet")).problems
    assert [str(problem) for problem in problems] == [
        "document 2 'train 2': labels[1].r = -1: expected a relation (a string)"
    ]


def test_lists_of_a_label_that_differ_in_length_are_told(tmp_path):
    made = table(ITEMS, "lists")
    labels = made.column("labels").to_pylist()
    labels[0]["tail"].pop()
    made = made.set_column(3, "labels", pa.array(labels, made.schema.field("labels").type))
    (problem,) = scan(save(made, tmp_path / "a.parquet")).problems
    assert (problem.document, problem.field[:8]) == (0, "labels =")
    assert "expected a list" in problem.expected


def test_a_table_of_something_else_is_told_by_its_columns(tmp_path):
    path = save(pa.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    (problem,) = scan(path).problems
    assert str(problem) == (
        "documents with the keys text, label: expected title, sents, vertexSet (and labels): no document has title, "
        "sents, vertexSet"
    )


def test_values_that_json_does_not_have_are_told_like_others(tmp_path):
    made = table(ITEMS)
    for title in (b"bytes", datetime(2020, 1, 1), Decimal(1)):
        titled = made.set_column(made.schema.get_field_index("title"), "title", pa.array([title] * len(made)))
        problems = scan(save(titled, tmp_path / "a.parquet")).problems
        assert {str(problem) for problem in problems} == {
            f"document {number}: title = {title!r}: expected a string" for number in range(len(made))
        }


def test_text_that_is_no_utf_8_is_told_with_its_column(tmp_path):
    made, bad = table(ITEMS), pa.array([b"\xff"] * len(ITEMS))
    text = pa.Array.from_buffers(pa.string(), len(bad), bad.buffers())
    titled = made.set_column(made.schema.get_field_index("title"), "title", text)
    (problem,) = scan(save(titled, tmp_path / "a.parquet")).problems
    assert problem.expected.startswith("column 'title', of type string: a value that cannot be read ('utf-8' codec")


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_a_file_that_is_cut_off_or_damaged_is_told(ending, tmp_path):
    path = save(table(ITEMS * 50), tmp_path / f"a{ending}")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100], whole[:8], whole[:40] + b"\xff" * 200 + whole[240:]):
        path.write_bytes(damaged)
        problems = scan(path).problems
        assert problems
        assert not any("Traceback" in str(problem) for problem in problems)
    assert "no Parquet or Arrow file, or damaged or cut off" in str(scan(path).problems[0]) or len(problems) > 1


def test_a_table_without_rows_and_a_folder_without_tables_are_told(tmp_path):
    assert "without rows" in str(scan(save(table(ITEMS).slice(0, 0), tmp_path / "a.parquet")).problems[0])
    (tmp_path / "empty").mkdir()
    assert scan(tmp_path / "empty", detect(tmp_path / "a.parquet")).problems[0].expected == "no Parquet or Arrow files"


def added(folder: Path) -> dict[str, Any]:
    return {
        split: save(table([document_as_json(d) for d in documents(split, count)], "lists"), folder / f"{split}.parquet")
        for split, count in (("train", 5), ("dev", 2), ("test", 3))
    }


def test_a_data_set_of_tables_is_that_of_the_same_json_to_every_model(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    dataset, _ = add_dataset("tables", added(tmp_path))
    assert list(dataset.documents("test")) == documents("test", 3)
    assert dataset.conventions() == open_dataset("sample").conventions()
    assert "computed from" in dataset.facts_source()


def test_a_table_that_has_changed_since_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    paths = added(tmp_path)
    paths["train"] = save_split(table(ITEMS), tmp_path / "train", shards=2)
    add_dataset("tables", paths)
    save(table(ITEMS[:1]), paths["train"] / "cache-1234.arrow")  # which `datasets` may do, and which changes nothing
    assert len(open_dataset("tables").documents("train")) == 5
    save(table(ITEMS[:2]), paths["train"] / "data-00001-of-00002.arrow")
    with pytest.raises(UsageError, match="has changed since it was registered"):
        open_dataset("tables").documents("train")


def test_the_commands_read_tables(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    paths = added(tmp_path)
    arguments = [part for split, path in paths.items() for part in (f"--{split}", path)]
    status, printed, error = bench("data", "add", "tables", *arguments)
    assert (status, error) == (0, "")
    assert "registered 'tables': 2 relations" in printed
    assert bench("data", "validate", paths["train"])[:2] == (
        0,
        f"{paths['train']}: 5 documents, 12 labels: no problems\n",
    )
