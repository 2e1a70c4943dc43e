"""Data sets that lie in one place: on the Hub, which is a server of the test here, or in a folder."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import COMMIT, FakeHub, Repository, fake_hub
from small_experiments import documents
from tables import save, save_split, table

from bench.data.catalog.dataset import open_dataset
from bench.data.catalog.hub import Place, find_splits
from bench.data.catalog.registration import load_registration, registration_path
from bench.data.formats.docred import document_as_json
from bench.errors import UsageError

SIZES = {"train": 5, "dev": 2, "test": 3}


def items(split: str) -> list[dict]:
    return [document_as_json(document) for document in documents(split, SIZES[split])]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    with fake_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def as_json(split: str, name: str = "") -> bytes:
    content = json.dumps(items(split)).encode()
    return gzip.compress(content) if name.endswith(".gz") else content


def as_parquet(split: str, folder: Path) -> bytes:
    return save(table(items(split), "classes"), folder / "made" / f"{split}.parquet").read_bytes()


@pytest.mark.parametrize(
    "names",
    [
        ("train_revised.json", "dev_revised.json", "test_revised.json"),
        ("data/train_annotated.json.gz", "data/dev.json.gz", "data/test.json.gz"),
        (
            "data/train-00000-of-00001.parquet",
            "data/validation-00000-of-00001.parquet",
            "data/test-00000-of-00001.parquet",
        ),
        ("default/train/0000.parquet", "default/validation/0000.parquet", "default/test/0000.parquet"),
    ],
    ids=lambda names: names[0],
)
def test_a_data_set_of_the_hub_is_registered_at_its_commit(names, hub, tmp_path, bench):
    content = {
        name: as_parquet(split, tmp_path) if name.endswith(".parquet") else as_json(split, name)
        for name, split in zip(names, SIZES, strict=True)
    }
    extra = {"README.md": b"# It", "docred.py": b"raise SystemExit"}
    hub.repositories["owner/data"] = Repository("datasets", {**content, **extra})
    status, printed, error = bench("data", "add", "from-hub", "hf://owner/data")
    assert status == 0, error
    assert "registered 'from-hub': 2 relations" in printed
    dataset = open_dataset("from-hub")
    assert {split: list(dataset.documents(split)) for split in SIZES} == {s: documents(s, n) for s, n in SIZES.items()}
    registration = load_registration(registration_path("from-hub"))
    assert (registration.source.repository, registration.source.revision) == ("owner/data", COMMIT)
    assert f"hf://owner/data@{COMMIT[:12]}" in bench("data", "list")[1]
    assert not any("docred.py" in request or "README" in request for request in hub.asked)
    assert all(COMMIT in request for request in hub.asked if "resolve" in request)


def test_files_of_relations_beside_the_splits_are_read_unless_others_are_named(hub, bench):
    files = {f"data/{split}.json": as_json(split) for split in SIZES}
    order = {"leads": 1, "knows": 2, "Na": 0}
    hub.repositories["owner/data"] = Repository("datasets", {**files, "rel2id.json": json.dumps(order).encode()})
    assert bench("data", "add", "ordered", "hf://owner/data")[0] == 0
    assert list(open_dataset("ordered").relations) == ["leads", "knows"]


def test_a_folder_of_a_repository_and_a_revision_may_be_named(hub, bench):
    files = {f"{folder}/{split}.json": as_json(split) for split in SIZES for folder in ("one", "two")}
    hub.repositories["owner/data"] = Repository("datasets", files)
    status, _, error = bench("data", "add", "which", "hf://owner/data")
    assert status == 2
    assert "several places with train and test; say which folder" in error
    assert "  two: dev, test, train (json)" in error
    assert bench("data", "add", "which", f"hf://datasets/owner/data/two@{COMMIT}")[0] == 0
    assert load_registration(registration_path("which")).source.folder == "two"
    status, _, error = bench("data", "add", "other", "hf://owner/data/two@elsewhere")
    assert (status, "it has no such revision" in error) == (1, True)


def test_what_is_wrong_with_a_file_of_the_hub_is_told_as_of_any_other(hub, bench):
    files = {f"{split}.json": as_json(split) for split in SIZES}
    broken = items("train")
    broken[1]["labels"][0]["h"] = 9
    hub.repositories["owner/data"] = Repository("datasets", {**files, "train.json": json.dumps(broken).encode()})
    status, _, error = bench("data", "add", "broken", "hf://owner/data")
    assert status == 2
    assert "document 1 'train 1': labels[0].h = 9" in error


def test_a_repository_that_is_not_there_is_told_with_what_to_do(hub, bench):
    status, _, error = bench("data", "add", "none", "hf://owner/nothing")
    assert status == 1
    assert "reading owner/nothing failed: there is no such repository" in error
    assert "`hf auth login`" in error
    status, _, error = bench("data", "add", "none", "hf://owner/../x y")
    assert status in (1, 2)
    assert "owner" in error


def test_a_hub_that_is_out_of_reach_is_told(hub, bench, monkeypatch):
    with fake_hub() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.url)
    status, _, error = bench("data", "add", "none", "hf://owner/data")
    assert status == 1
    assert f"reading owner/data failed: {gone.url} cannot be reached" in error


def test_a_repository_without_splits_is_told_with_what_it_has(hub, bench):
    hub.repositories["owner/data"] = Repository("datasets", {"corpus.txt": b"x", "train.json": b"[]"})
    status, _, error = bench("data", "add", "none", "hf://owner/data")
    assert status == 2
    assert "no files of splits; expected train, dev (or validation) and test" in error
    assert "found: corpus.txt, train.json" in error


@pytest.mark.parametrize("text", ["hf://owner", "hf://", "hf://owner/data@"])
def test_a_place_of_another_form_is_refused(text):
    with pytest.raises(UsageError, match="expected hf://OWNER/NAME"):
        Place.of(text)


def test_a_folder_of_save_to_disk_is_a_data_set(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    names = {"train": "train", "dev": "validation", "test": "test"}
    for split, name in names.items():
        save_split(table(items(split), "lists"), tmp_path / "saved" / name, shards=2)
    (tmp_path / "saved" / "dataset_dict.json").write_text(json.dumps({"splits": list(names.values())}))
    status, _, error = bench("data", "add", "saved", tmp_path / "saved")
    assert status == 0, error
    assert list(open_dataset("saved").documents("train")) == documents("train", 5)
    assert load_registration(registration_path("saved")).source is None


def test_an_option_names_another_file_for_its_split(tmp_path, bench, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    for split in SIZES:
        save(table(items(split)), tmp_path / "data" / f"{split}.parquet")
    other = save(table(items("test")[:1]), tmp_path / "own.parquet")
    assert bench("data", "add", "mixed", tmp_path / "data", "--test", other)[0] == 0
    assert len(open_dataset("mixed").documents("test")) == 1
    status, _, error = bench("data", "add", "mixed", tmp_path / "nowhere")
    assert (status, "no folder; expected one with the files of all splits" in error) == (2, True)


def test_without_a_place_all_files_have_to_be_named(bench):
    status, _, error = bench("data", "add", "nothing")
    assert status == 2
    assert "a data set needs train, dev and test; missing: train, dev, test" in error


def test_parts_in_one_folder_are_found_as_patterns():
    names = [f"data/{split}-0000{i}-of-00002.parquet" for split in ("train", "validation", "test") for i in range(2)]
    found = find_splits([*names, "data/cache-x.arrow", "README.md"], "x")
    assert {split: str(path) for split, (path, _) in found.splits.items()} == {
        "train": "data/train-*.parquet",
        "dev": "data/validation-*.parquet",
        "test": "data/test-*.parquet",
    }


def test_two_files_for_one_split_are_a_choice_that_nobody_makes():
    names = ["train.json", "train_annotated.json", "dev.json", "test.json"]
    with pytest.raises(UsageError, match=r"train may be any of train.json, train_annotated.json; name the files"):
        find_splits(names, "x")
