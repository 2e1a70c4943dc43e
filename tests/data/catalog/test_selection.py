"""Splits that are a part of a file: by lists of ids (GDA, DWIE), or as the documents themselves say (DWIE)."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench.cli.data import app
from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.catalog.download import downloads, fetch
from bench.data.catalog.registration import registration_path
from bench.data.catalog.releases import OFFICIAL
from bench.data.catalog.split_file import read_ids
from bench.data.formats.detect import FORMATS, detect, scan
from bench.errors import UsageError
from bench.metrics.submission_scores import score_submission

PAIR = "1:GDA:2|L2R|NON-CROSS|0-1|3-4|9001|{id}|Gene|1|2|0|D2|palkitis|Disease|3|4|0"
LINE = "\t".join(["{id}", "Gene {id} in palkitis .", *PAIR.split("|")])


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def gda(tmp_path: Path) -> dict[str, Path]:
    paths = {"train": tmp_path / "train+dev.data", "test": tmp_path / "test.data", "ids": tmp_path / "train docs"}
    paths["train"].write_text("\n".join(LINE.format(id=f"10{number}") for number in range(6)))
    paths["test"].write_text("\n".join(LINE.format(id=f"20{number}") for number in range(2)))
    paths["ids"].write_text("100\n102 \r\n\n103\n105\n")
    return paths


def titles(name: str, split: str) -> list[str]:
    return [document.title for document in open_dataset(name).documents(split)]


def test_a_list_of_the_ids_to_train_on_leaves_the_others_to_dev(gda: dict[str, Path]) -> None:
    added = run("add", "gda2", "--train", gda["train"], "--test", gda["test"], "--train-ids", gda["ids"])
    assert added.exit_code == 0, added
    assert f"4 of 6 documents are train's: listed in {gda['ids']}" in added.output
    assert f"2 of 6 documents are dev's: not listed in {gda['ids']}" in added.output
    assert titles("gda2", "train") == ["100", "102", "103", "105"]
    assert titles("gda2", "dev") == ["101", "104"]
    dataset = open_dataset("gda2")
    assert [dataset.count(split) for split in ("train", "dev", "test")] == [4, 2, 2]
    assert len({dataset.checksum(split) for split in ("train", "dev", "test")}) == 3
    found = json.loads(run("stats", "gda2", "--json").output)["splits"]
    assert (found["train"]["documents"], found["dev"]["documents"]) == (4, 2)
    assert [len(chunk.documents()) for chunk in dataset.chunks("dev")] == [2]


def test_a_list_of_dev_ids_is_the_same_split_and_another_list_another_checksum(gda: dict[str, Path]) -> None:
    files = {"train": gda["train"], "test": gda["test"]}
    dev_ids = gda["ids"].with_name("dev.json")
    dev_ids.write_text('["104", "101"]')
    first, _ = add_dataset("first", files, ids={"train": gda["ids"]})
    second, _ = add_dataset("second", files, ids={"dev": dev_ids})
    both, _ = add_dataset("both", files, ids={"dev": dev_ids, "train": gda["ids"]})
    assert first.documents("train") == second.documents("train") == both.documents("train")
    before = second.checksum("dev")
    dev_ids.write_text('["104"]')
    third, _ = add_dataset("third", files, ids={"dev": dev_ids, "train": gda["ids"]})
    assert (third.count("train"), third.count("dev"), third.left_out("dev")) == (4, 1, 5)
    assert third.checksum("dev") != before
    with pytest.raises(UsageError, match=r"dev\.json: has changed since it was registered"):
        open_dataset("second").checksum("dev")


def test_a_file_that_is_read_whole_is_registered_as_before(gda: dict[str, Path]) -> None:
    gda["dev"] = gda["train"].with_name("dev.data")
    gda["dev"].write_text(LINE.format(id="300"))
    dataset, _ = add_dataset("plain", {split: gda[split] for split in ("train", "dev", "test")})
    written = json.loads(registration_path("plain").read_text())["registration"]["splits"]["train"]
    assert "selection" not in written
    assert dataset.checksum("train") == written["sha256"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("100\n999\n998\n", "2 of 3 ids are of no document of {train}\n  '998', '999'"),
        ("", "empty file: expected ids of documents, one a line"),
        ("[]", "expected ids of documents, found an empty list"),
        ("[100]", "expected ids of documents, one a line or a JSON list of them, or documents with a title, found 100"),
        ('[{"id": 7}]', "or documents with a title, found null"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_not_of_this_file_is_refused(gda: dict[str, Path], content: str | None, message: str) -> None:
    gda["ids"].unlink() if content is None else gda["ids"].write_text(content)
    with pytest.raises(UsageError) as error:
        add_dataset("x", {"train": gda["train"], "test": gda["test"]}, ids={"train": gda["ids"]})
    assert f"{gda['ids']}: " in str(error.value)
    assert message.format(**gda) in str(error.value)


def test_a_file_in_another_form_than_the_training_file_is_told_as_that(gda: dict[str, Path]) -> None:
    other = gda["test"].with_name("dev.txt")
    other.write_text(
        "1|t|Flu\n1|a|By aspirin.\n1\t0\t3\tFlu\tDisease\tD1\n1\t7\t14\taspirin\tChemical\tD2\n1\tCID\tD2\tD1\n"
    )
    with pytest.raises(
        UsageError, match="it looks like bc5cdr, and the training file is gda: one data set has one form"
    ):
        add_dataset("x", {"train": gda["train"], "dev": other, "test": gda["test"]})


def test_without_dev_documents_and_ids_it_is_said_how_to_name_them(gda: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match=r"missing: dev\nDev documents in the file of train: name them \(--dev-ids"):
        add_dataset("x", {"train": gda["train"], "test": gda["test"]})


def test_ids_may_be_lines_or_json_or_the_titles_of_documents(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    for content in ("\ufeffa b\r\n\n c", '["a b", "c"]', '[{"title": "a b", "sents": []}, {"title": "c"}]'):
        path.write_text(content)
        assert read_ids(path) == {"a b", "c"}


def article(number: int, part: str) -> dict[str, Any]:
    mentions = [
        {"begin": 0, "end": 5, "text": "Zorin", "concept": 0},
        {"begin": 10, "end": 14 + len(str(number)), "text": f"Palk{number}", "concept": 1},
    ]
    return {
        "id": f"DW_{number}",
        "content": f"Zorin met Palk{number}.",
        "tags": ["all", part],
        "mentions": mentions,
        "concepts": [{"concept": 0, "tags": []}, {"concept": 1, "tags": []}, {"concept": 2, "tags": []}],
        "relations": [{"s": 0, "p": "vs", "o": 1}, {"s": 0, "p": "in0", "o": 2}],
    }


@pytest.fixture
def dwie(tmp_path: Path) -> Path:
    folder = tmp_path / "annos_with_content"
    folder.mkdir()
    for number in range(6):
        text = json.dumps(article(number, "test" if number > 3 else "train"), indent=4)
        (folder / f"DW_{number}.json").write_text(text)
    (tmp_path / "dev ids").write_text("DW_1\n")
    return folder


def test_articles_of_a_folder_go_where_they_say_and_dev_is_taken_from_those_for_training(dwie: Path) -> None:
    added = run("add", "news", "--train", dwie, "--test", dwie, "--dev-ids", dwie.with_name("dev ids"))
    assert added.exit_code == 0, added
    assert "3 of 6 documents are train's: marked train, not listed in" in added.output
    assert "2 of 6 documents are test's: marked test" in added.output
    assert titles("news", "train") == ["DW_0", "DW_2", "DW_3"]
    assert titles("news", "dev") == ["DW_1"]
    assert titles("news", "test") == ["DW_4", "DW_5"]
    # Of each split's own documents, not of the folder's.
    assert "2 labels of entities without mentions: no candidates, so missed by every model here" in added.output
    assert open_dataset("news").facts() == {("Zorin", f"Palk{number}", "vs") for number in (0, 2, 3)}


@pytest.mark.parametrize("split", ["dev", "train"])
def test_an_id_of_an_article_that_is_marked_otherwise_refuses_the_list(dwie: Path, split: str) -> None:
    """It would be left out of the split that it was listed for, without a word."""
    listed = dwie.with_name("dev ids")
    listed.write_text("DW_1\nDW_4\n")
    with pytest.raises(UsageError) as error:
        add_dataset("news", {"train": dwie, "test": dwie}, ids={split: listed})
    said = f"{listed}: 1 of 2 ids is of documents that {dwie} does not mark train\n  'DW_4'"
    assert str(error.value).count(said) == 1  # train and dev both need the list


def test_evaluation_against_a_folder_of_both_parts_says_that_all_are_scored(dwie: Path) -> None:
    """Predictions on test are scored against the labels for training, too, of which recall suffers."""
    predicted = dwie.with_name("result.json")
    predicted.write_text('[{"title": "DW_4", "h_idx": 0, "t_idx": 1, "r": "vs"}]')
    said = "annos_with_content has documents for several purposes (2 marked test and 4 marked train)"
    assert any(note.startswith(said) for note in score_submission(dwie, predicted).notes)
    assert not any("several purposes" in note for note in score_submission(dwie / "DW_4.json", predicted).notes)


def test_a_folder_of_its_own_for_each_split_is_read_whole(dwie: Path) -> None:
    for split, numbers in {"a": (0, 2, 3), "b": (1,), "c": (4, 5)}.items():
        dwie.with_name(split).mkdir()
        for number in numbers:
            shutil.copy(dwie / f"DW_{number}.json", dwie.with_name(split))
    files = {split: dwie.with_name(name) for split, name in (("train", "a"), ("dev", "b"), ("test", "c"))}
    dataset, _ = add_dataset("apart", files)
    assert [dataset.count(split) for split in ("train", "dev", "test")] == [3, 1, 2]


def test_hidden_files_of_a_folder_are_no_articles(dwie: Path) -> None:
    before = len(scan(dwie, FORMATS["dwie"]).documents)
    (dwie / "._DW_0.json").write_bytes(b"\0\5\x16\7")
    result = scan(dwie, detect(dwie))
    assert not result.problems
    assert len(result.documents) == before


def test_all_files_of_a_data_set_are_read_where_their_content_is_asked_for(dwie: Path) -> None:
    """Those of a folder and the list of ids, too: none of these has changed by its size and time."""
    ids = dwie.with_name("dev ids")
    dataset, _ = add_dataset("news", {"train": dwie, "test": dwie}, ids={"dev": ids})
    size = sum(path.stat().st_size for path in dwie.iterdir())
    assert dataset.check_content() == size
    for path, old, new in ((dwie / "DW_3.json", b"Palk3", b"Palk9"), (ids, b"DW_1", b"DW_2")):
        before, content = path.stat(), path.read_bytes()
        path.write_bytes(content.replace(old, new))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.utime(dwie, ns=(dwie.stat().st_atime_ns, before.st_mtime_ns))
        with pytest.raises(UsageError, match="has changed since it was registered"):
            open_dataset("news").check_content()
        path.write_bytes(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", ["changed", "gone", "new", "renamed"])
def test_a_folder_that_changed_is_another_data_set(dwie: Path, change: str) -> None:
    files = {"train": dwie, "test": dwie}
    dataset, _ = add_dataset("news", files, ids={"dev": dwie.with_name("dev ids")})
    before = dataset.checksum("train")
    shutil.copytree(dwie, dwie.with_name("copy"))
    copied, _ = add_dataset(
        "copy", dict.fromkeys(files, dwie.with_name("copy")), ids={"dev": dwie.with_name("dev ids")}
    )
    assert copied.checksum("train") == before
    first = dwie / "DW_0.json"
    match change:
        case "changed":
            first.write_text(first.read_text().replace("met", "saw"))
        case "gone":
            first.unlink()
        case "new":
            (dwie / "DW_9.json").write_text(json.dumps(article(9, "train")))
        case "renamed":
            first.rename(dwie / "DW_00.json")
    with pytest.raises(UsageError, match="annos_with_content: has changed since it was registered"):
        open_dataset("news").checksum("train")
    again, _ = add_dataset("news", files, ids={"dev": dwie.with_name("dev ids")}, replace=True)
    assert again.checksum("train") != before


def test_labels_of_a_language_model_are_in_the_checksum_of_what_is_trained_on(tmp_path: Path) -> None:
    def item(title: str) -> dict[str, Any]:
        entities = [[{"name": word, "sent_id": 0, "pos": [at, at + 1], "type": "PER"}] for at, word in enumerate("ab")]
        labels = [{"h": 0, "t": 1, "r": "P1"}]
        made = [{"h": 1, "t": 0, "r": "P1", "score": 0.8}]
        return {
            "title": title,
            "sents": [["a", "b", title]],
            "vertexSet": entities,
            "labels": labels,
            "gpt_labels": made,
        }

    files = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    for split, path in files.items():
        path.write_text(json.dumps([item(split)]))
    enhanced, notes = add_dataset("enhanced", files)
    plain, _ = add_dataset("plain", files, form=None if not notes else open_dataset("enhanced").form.of_split("dev"))
    assert [len(enhanced.documents(split)[0].labels) for split in ("train", "dev", "test")] == [2, 1, 1]
    assert [len(plain.documents(split)[0].labels) for split in ("train", "dev", "test")] == [1, 1, 1]
    assert enhanced.checksum("train") != plain.checksum("train")
    assert enhanced.checksum("test") == plain.checksum("test")
    assert any("1 label made by a language model (gpt_labels), added" in note for note in notes)


def test_a_published_split_by_ids_is_fetched_with_its_list(
    gda: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = OFFICIAL["gda"]
    counts = {"train": 6, "test": 2}
    files = tuple(replace(file, url=None, sha256=None, documents=counts.get(file.split)) for file in entry.files)
    monkeypatch.setitem(OFFICIAL, "gda", replace(entry, files=files))
    folder = downloads("gda")
    folder.mkdir(parents=True)
    with pytest.raises(UsageError, match=r"put .*train_gda_docs from .*\n.*\nterms: "):
        fetch("gda")
    for split, name in (("train", "train+dev.data"), ("test", "test.data"), ("ids", "train_gda_docs")):
        shutil.copy(gda[split], folder / name)
    _, notes = fetch("gda")
    assert titles("gda", "dev") == ["101", "104"]
    assert notes[-1] == f"terms: {entry.terms}"


def test_a_folder_of_two_splits_is_asked_for_once_and_fetched(dwie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = OFFICIAL["dwie"]
    files = tuple(replace(file, documents=6 if file.documents else None) for file in entry.files)
    monkeypatch.setitem(OFFICIAL, "dwie", replace(entry, files=files))
    folder = downloads("dwie")
    folder.mkdir(parents=True)
    with pytest.raises(UsageError) as error:
        fetch("dwie")
    assert str(error.value).count("annos_with_content (6 documents)") == 1
    shutil.copytree(dwie, folder / "annos_with_content")
    (folder / "dev_ids").write_text("DW_1")
    fetch("dwie")
    assert [len(titles("dwie", split)) for split in ("train", "dev", "test")] == [3, 1, 2]
    assert len(open_dataset("dwie").relations) == 65
