"""What `datasets` itself writes is read; skipped where it is not installed (`make test-trackers` has it)."""

from __future__ import annotations

from typing import Any

import pytest
from small_experiments import documents

from bench.data.formats.detect import detect, scan
from bench.data.formats.docred import document_as_json

ITEMS = [document_as_json(document) for document in documents("train", 5)]
RELATIONS = ["knows", "leads"]
NAMES = {"h": "head", "t": "tail", "r": "relation_id", "evidence": "evidence"}


def by_column(labels: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Labels as `Sequence` has them: a struct of lists."""
    columns = {new: [label[own] for label in labels] for own, new in NAMES.items()}
    return {**columns, "relation_text": [""] * len(labels)}


@pytest.fixture
def made():
    """Two splits with features as DocRED's copies on the Hub have them: labels as `Sequence`, here with ClassLabels."""
    datasets = pytest.importorskip("datasets", reason="needs datasets (make test-trackers)")
    mention = {
        "name": datasets.Value("string"),
        "sent_id": datasets.Value("int32"),
        "pos": datasets.Sequence(datasets.Value("int32")),
        "type": datasets.ClassLabel(names=["ORG", "PER"]),
    }
    label = {
        "head": datasets.Value("int32"),
        "tail": datasets.Value("int32"),
        "relation_id": datasets.ClassLabel(names=RELATIONS),
        "relation_text": datasets.Value("string"),
        "evidence": datasets.Sequence(datasets.Value("int32")),
    }
    features = datasets.Features(
        {
            "title": datasets.Value("string"),
            "sents": datasets.Sequence(datasets.Sequence(datasets.Value("string"))),
            "vertexSet": [[mention]],
            "labels": datasets.Sequence(label),
        }
    )
    rows = [{**item, "labels": by_column(item["labels"])} for item in ITEMS]
    of_split = datasets.Dataset.from_list(rows, features=features)
    return datasets.DatasetDict({"train": of_split, "test": of_split.select(range(2))})


def test_a_folder_that_it_saves_is_read_also_after_it_has_computed_something_of_it(made, tmp_path):
    import datasets

    made.save_to_disk(tmp_path / "saved", num_shards={"train": 2, "test": 1})
    for _ in range(2):
        result = scan(tmp_path / "saved" / "train")
        assert not result.problems
        assert list(result.documents) == documents("train", 5)
        datasets.load_from_disk(tmp_path / "saved")["train"].map(lambda row: {"title": row["title"].upper()})
    assert len(list((tmp_path / "saved" / "train").glob("*.arrow"))) > 2


def test_a_parquet_file_that_it_writes_is_read(made, tmp_path):
    made["train"].to_parquet(str(tmp_path / "train.parquet"))
    assert detect(tmp_path / "train.parquet").name == "docred-tables"
    assert list(scan(tmp_path / "train.parquet").documents) == documents("train", 5)
