"""Data sets in forms other than DocRED's: found from the content, registered, counted, scored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from abstracts import pubtator_text, save_json, save_pubtator, small, table_text
from typer.testing import CliRunner, Result

from bench.cli.data import app
from bench.data.catalog import download as module
from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.catalog.download import downloads, fetch
from bench.data.catalog.registration import Registration, registration_path
from bench.data.catalog.releases import OFFICIAL, TABLE
from bench.data.documents import Document, Label, Mention
from bench.data.formats.chemdisgene import RELATIONS
from bench.data.formats.detect import FORMATS, detect, format_of, read_documents
from bench.data.formats.docred import write_documents
from bench.errors import UsageError

CDR_LINE = (
    "77|Aspirin induces asthma .|1:CID:2|L2R|NON-CROSS|0-1|2-3|D1|Aspirin|Chemical|0|1|0|D2|asthma|Disease|2|3|0"
).replace("|", "\t")


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def options(files: dict[str, Path]) -> list[str | Path]:
    return [part for split, path in files.items() for part in (f"--{split}", path)]


@pytest.fixture
def chem(tmp_path: Path) -> dict[str, Path]:
    """Three splits of one document each, in JSON, the training file as PubTator."""
    files = {
        split: save_json(tmp_path / f"{split}.json", [{**small(), "docid": split}])
        for split in ("train", "dev", "test")
    }
    return {**files, "train": save_pubtator(tmp_path, [{**small(), "docid": "train"}])}


@pytest.fixture
def cdr(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for split in ("train", "dev", "test"):
        found[split] = tmp_path / f"{split}_filter.data"
        found[split].write_text(CDR_LINE.replace("77", split, 1) + "\n")
    return found


def docred_document(title: str) -> Document:
    entities = ((Mention(0, 0, 1, "a", "PER"),), (Mention(0, 1, 2, "b", "LOC"),))
    return Document(title, (("a", "b"),), entities, (Label(0, 1, "P1"),))


def test_the_form_is_found_from_the_content(tmp_path: Path, chem: dict[str, Path], cdr: dict[str, Path]) -> None:
    assert detect(chem["train"]).name == "chemdisgene"
    assert detect(chem["dev"]).name == "chemdisgene"
    assert detect(cdr["train"]).name == "cdr"
    write_documents(tmp_path / "d.json", [docred_document("docid")])
    assert detect(tmp_path / "d.json").name == "docred"


EMPTY_GZIP = gzip.compress(b"", mtime=0)  # a time in it would be a test of another name in every process


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"what\tis\tthis", b"\x1f\x8b", EMPTY_GZIP])
def test_what_tells_no_form_is_left_to_the_reader_of_docred(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert detect(path).name == "docred"
    with pytest.raises(UsageError):
        read_documents(path)


def test_the_form_chosen_is_the_one_read(chem: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="sents: missing"):
        add_dataset("mine", {**chem, "train": chem["dev"]}, form=FORMATS["docred"])
    with pytest.raises(UsageError, match="Did you mean 'chemdisgene'"):
        format_of("chemdisgen")
    assert isinstance(run("add", "mine", *options(chem), "--format", "nope").exception, UsageError)


def test_a_chemdisgene_data_set_is_registered_and_counted(chem: dict[str, Path]) -> None:
    added = run("add", "mine", *options(chem), "--format", "chemdisgene")
    assert added.exit_code == 0
    assert "registered 'mine': 14 relations" in added.output
    assert "Ign F1 is no part of chemdisgene" in added.output
    assert "turned round" in added.output
    dataset = open_dataset("mine")
    assert dataset.relations == RELATIONS
    assert dataset.documents("train")[0].entities == dataset.documents("dev")[0].entities
    shown = run("stats", "mine").output
    assert "not given" in next(line for line in shown.splitlines() if "sentences" in line)
    found = json.loads(run("stats", "mine", "--json").output)["splits"]["train"]
    # Aspirin, TNF, asthma and ERK1/2 are in pairs; a mouse, a mention without a concept and 5594 alone are not.
    assert (found["entities"], found["pairs"], found["triples"], found["sentences"]) == (4, 5, 3, None)


def test_a_cdr_data_set_is_registered_without_saying_its_form(cdr: dict[str, Path]) -> None:
    assert "registered 'mine': 1 relations" in run("add", "mine", *options(cdr)).output
    dataset = open_dataset("mine")
    assert dataset.relations == ("CID",)
    assert dataset.relation_names == {"CID": "chemical-induced disease"}
    assert dataset.documents("test")[0].candidates == ((0, 1),)


def test_without_ign_f1_there_are_no_facts_and_a_fact_file_is_refused(chem: dict[str, Path], tmp_path: Path) -> None:
    dataset, _ = add_dataset("mine", chem)
    assert dataset.facts() is None
    assert dataset.distant_facts() is None
    assert dataset.facts_source() == {"none": "Ign F1 is no part of chemdisgene", "sha256": ""}
    (tmp_path / "x.fact").write_text('[["a", "b", "P1"]]')
    with pytest.raises(UsageError, match="facts are for Ign F1, which chemdisgene data sets do not have"):
        add_dataset("other", chem, facts=tmp_path / "x.fact")


def test_a_changed_table_of_triples_is_a_changed_data_set(chem: dict[str, Path], tmp_path: Path) -> None:
    dataset, _ = add_dataset("mine", chem)
    before = dataset.checksum("train")
    table = tmp_path / "train_relationships.tsv.gz"
    table.write_bytes(gzip.compress(table_text([{**small(), "docid": "train"}]).encode()[:-1]))
    with pytest.raises(UsageError, match=r"train_relationships\.tsv\.gz: has changed since it was registered"):
        open_dataset("mine").documents("train")
    again, _ = add_dataset("mine", chem, replace=True)
    assert again.checksum("train") != before
    table.unlink()
    with pytest.raises(UsageError, match=r"train_relationships\.tsv\.gz: cannot be read"):
        open_dataset("mine").documents("train")


def test_abstracts_without_their_table_cannot_be_trained_on_and_the_table_is_named(
    chem: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "train_relationships.tsv.gz").unlink()
    with pytest.raises(UsageError, match=r"no table of triples beside it, expected .*train_relationships\.tsv\.gz"):
        add_dataset("mine", chem)


def test_a_registration_from_before_there_were_forms_is_docreds(tmp_path: Path) -> None:
    files = {}
    for split in ("train", "dev", "test"):
        files[split] = tmp_path / f"{split}.json"
        write_documents(files[split], [docred_document(split)])
    add_dataset("mine", files)
    path = registration_path("mine")
    old: dict[str, Any] = json.loads(path.read_text())
    del old["format"]
    for file in old["splits"].values():
        del file["companions"]
    path.write_text(json.dumps(old))
    assert open_dataset("mine").documents("train") == (docred_document("train"),)
    assert Registration.model_validate(old).form is FORMATS["docred"]


def test_titles_may_repeat_in_distant_documents_alone(tmp_path: Path) -> None:
    files = {}
    for split in ("train", "dev", "test", "distant"):
        files[split] = tmp_path / f"{split}.json"
        write_documents(files[split], [docred_document(split), docred_document(f"{split} 2")])
    write_documents(files["distant"], [docred_document("a"), docred_document("a"), docred_document("a")])
    dataset, notes = add_dataset("mine", files)
    assert len(dataset.documents("distant")) == 3
    assert any("2 documents whose title another one has" in note for note in notes)
    for split in ("train", "dev", "test"):
        with pytest.raises(UsageError, match="title already used by document 0"):
            add_dataset("other", {**files, split: files["distant"]})
    assert run("validate", files["distant"]).exit_code == 1
    accepted = run("validate", "--distant", files["distant"])
    assert accepted.exit_code == 0
    assert "note: 2 documents whose title another one has" in accepted.output


def test_validate_knows_every_form_and_names_what_is_wrong(
    chem: dict[str, Path], cdr: dict[str, Path], tmp_path: Path
) -> None:
    sound = run("validate", chem["train"], chem["dev"], cdr["train"])
    assert sound.exit_code == 0
    assert sound.output.count("no problems") == 3
    assert "1 triples given from object to subject, turned round" in sound.output
    cdr["train"].write_text(CDR_LINE.replace("1:CID:2", "?"))
    table = run("validate", cdr["train"], tmp_path / "train_relationships.tsv.gz", "--format", "cdr")
    assert table.exit_code == 1
    assert "document 0 '77': line 1, pair 1, column 1 = '?'" in table.output
    table = run("validate", tmp_path / "train_relationships.tsv.gz")
    assert "line 1 = " in table.output
    assert "expected a title (PMID|t|title)" in table.output


def test_the_published_files_are_those_of_the_protocol() -> None:
    entry = OFFICIAL["chemdisgene"]
    assert {split: entry.expected(split).documents for split in ("train", "test")} == {"train": 76_942, "test": 523}
    assert (entry.relations, len(RELATIONS)) == (14, 14)
    assert {OFFICIAL["cdr"].expected(split).documents for split in ("train", "dev", "test")} == {500}


def test_the_real_files_of_cdr_are_the_published_ones(shared_file: Callable[[str], Path]) -> None:
    folder = downloads("cdr")
    folder.mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"put .*train_filter\.data \(500 documents, 2\.08 triples per document\) from"
    ):
        fetch("cdr")
    for split in ("train", "dev", "test"):
        (folder / f"{split}_filter.data").symlink_to(shared_file(f"data/cdr/{split}_filter.data"))
    fetch("cdr")
    assert open_dataset("cdr").count("test") == 500


def test_abstracts_are_fetched_with_their_tables_and_checked_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = {split: [{**small(), "docid": split}] for split in ("train", "dev", "test")}
    served = {f"{s}_abstracts.txt.gz": pubtator_text(items[s]) for s in ("train", "dev")}
    served |= {f"{s}_relationships.tsv.gz": table_text(items[s]) for s in ("train", "dev")}
    served |= {
        "abstracts.txt.gz": pubtator_text(items["test"]),
        "approved_relns_ctd_v1.tsv.gz": table_text(items["test"]),
    }
    served["approved_relns_new_v1.tsv.gz"] = "test\tgene_disease:therapeutic\t10090\tMESH:D2\n"

    def serve(url: str, path: Path, verify: Callable[[Path], None], report: object) -> None:
        part = path.with_name(path.name + ".part")
        part.write_bytes(gzip.compress(served[path.name].encode()))
        verify(part)
        part.rename(path)

    monkeypatch.setattr(module, "download", serve)
    entry = OFFICIAL["chemdisgene"]
    expected = {"train": 3.0, "dev": 3.0, "test": 4.0}
    files = tuple(
        file
        if file.split == TABLE
        else type(file)(file.split, file.filename, file.source, file.url, documents=1, triples=expected[file.split])
        for file in entry.files
    )
    monkeypatch.setitem(OFFICIAL, "chemdisgene", type(entry)(entry.name, "", 14, files, entry.form))
    served["train_relationships.tsv.gz"] += "train\tx\n"
    with pytest.raises(Exception, match=r"train_relationships\.tsv\.gz\.part, line 4: expected 4 columns"):
        fetch("chemdisgene")
    served["train_relationships.tsv.gz"] = table_text(items["train"]).partition("\n")[0]
    with pytest.raises(Exception, match=r"1\.00 labelled triples per document, expected 3"):
        fetch("chemdisgene")
    (downloads("chemdisgene") / "train_relationships.tsv.gz").unlink()
    served["train_relationships.tsv.gz"] = table_text(items["train"])
    fetch("chemdisgene")
    assert len(open_dataset("chemdisgene").documents("test")[0].labels) == 4
