"""Data sets in forms other than DocRED's: found from the content, registered, counted, scored."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
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
from bench.data.formats.detect import FORMATS, detect, format_of, read_documents, scan
from bench.data.formats.docred import document_as_json, read_facts, write_documents
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


def as_json(document: Document, **changes: object) -> dict[str, Any]:
    return {**document_as_json(document), **changes}


def said_by(document: Document, word: str) -> Document:
    return replace(document, sentences=(*document.sentences, (word,)))


DOCRED_TEXTS = {
    "the mark of PubTator's titles": json.dumps([as_json(said_by(docred_document("T"), "a|t|b"))]),
    "three tabs in its first line": '[\t{"title":\t"T",\t"sents": [["a", "b"]],\n"vertexSet": [], "labels": []}]',
    "a long first document with a key of ChemDisGene's as a word": json.dumps(
        [as_json(docred_document("T"), sents=[["a", "b"], *[["abstract", "docid", "word"]] * 8_000])], indent=4
    ),
    "a word of its text as a title": json.dumps([as_json(docred_document('"docid"'))]),
    "keys in another order": json.dumps([dict(reversed(as_json(docred_document("T")).items()))]),
    "a key of ChemDisGene's": json.dumps([as_json(docred_document("T"), docid="7")]),
    "keys that are escaped": json.dumps([as_json(docred_document("T"))]).replace("vertexSet", r"vertex\u0053et"),
}


@pytest.mark.parametrize("what", DOCRED_TEXTS)
def test_json_is_known_by_its_keys_whatever_its_text_says(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(DOCRED_TEXTS[what])
    assert detect(path).name == "docred"
    assert len(read_documents(path)) == 1


def test_a_comment_above_abstracts_is_told_by_their_reader(tmp_path: Path) -> None:
    path = tmp_path / "abstracts.txt"
    mention = {"bc5cdr": "Chemical\tD000001", "biored": "ChemicalEntity\tD000001", "chemdisgene": "Chemical\tMESH:D1"}
    for form, columns in mention.items():
        path.write_text(f"# of last week\n\n7|t|Aspirin\n7|a|It helps.\n7\t0\t7\tAspirin\t{columns}\n")
        assert detect(path).name == form
        assert str(scan(path).problems[0]).startswith('line 1 = "# of last week": expected a title (')


def test_a_long_first_abstract_is_chemdisgenes_by_the_keys_that_come_after_it(tmp_path: Path) -> None:
    item = {"abstract": "word " * 30_000, **{key: value for key, value in small().items() if key != "abstract"}}
    assert detect(save_json(tmp_path / "x.json", [{**item, "entity": []}])).name == "chemdisgene"


def test_any_file_may_be_gzipped_and_counts_as_it_lies_on_disk(
    tmp_path: Path, chem: dict[str, Path], cdr: dict[str, Path]
) -> None:
    write_documents(tmp_path / "d.json", [docred_document("T"), docred_document("U")])
    for plain in (tmp_path / "d.json", chem["dev"], cdr["train"]):
        zipped = plain.with_name("no suffix tells it")
        raw = gzip.compress(plain.read_bytes()[:100]) + gzip.compress(plain.read_bytes()[100:])  # as bgzip writes them
        zipped.write_bytes(raw)
        assert detect(zipped) == detect(plain)
        result = scan(zipped)
        assert result.documents == scan(plain).documents
        assert [(s.size, s.sha256) for s in result.sources] == [(len(raw), hashlib.sha256(raw).hexdigest())]


def test_a_gzipped_data_set_gives_the_documents_chunks_and_facts_of_the_plain_one(tmp_path: Path) -> None:
    plain, zipped = {}, {}
    for split in ("train", "dev", "test"):
        plain[split], zipped[split] = tmp_path / f"{split}.json", tmp_path / f"{split}.json.gz"
        write_documents(plain[split], [docred_document(f"{split} {i}") for i in range(3)])
        zipped[split].write_bytes(gzip.compress(plain[split].read_bytes()))
    facts = tmp_path / "x.fact.gz"
    facts.write_bytes(gzip.compress(b'[["a", "b", "P1"]]'))
    relations = tmp_path / "rel2id.json.gz"
    relations.write_bytes(gzip.compress(b'{"P1": 1, "P2": 2}'))
    first, _ = add_dataset("plain", plain)
    second, _ = add_dataset("zipped", zipped, facts=facts, relations=[relations])
    assert second.documents("train") == first.documents("train")
    assert [c.digest for c in second.chunks("train")] == [c.digest for c in first.chunks("train")]
    assert second.facts() == {("a", "b", "P1")}
    assert second.relations == ("P1", "P2")
    zipped["train"].write_bytes(gzip.compress(plain["dev"].read_bytes()))
    with pytest.raises(UsageError, match="has changed since it was registered"):
        open_dataset("zipped").checksum("train")


@pytest.mark.parametrize("kept", [1, 2, 9, 30, -1])
def test_gzipped_json_that_is_cut_off_is_refused_as_such(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(json.dumps([as_json(docred_document("T"))]).encode())[:kept])
    for read in (read_documents, read_facts):
        with pytest.raises(UsageError, match="damaged or cut off, not a whole gzip file"):
            read(path)


OTHER_CORPORA: dict[str, tuple[str, list[str]]] = {
    "one document per line, with other keys": (
        '{"id": 1, "text": "x", "tokens": [["x"]], "clusters": [], "triples": []}\n' * 2,
        ["found an object with the keys id, text, tokens, clusters, triples",
         "where a document has title, sents, vertexSet (one document per line? put them in one list)"],
    ),
    "entities and relations under other keys": (
        json.dumps([{"title": str(i), "sents": [["x"]], "clusters": [], "triples": []} for i in range(300)]),
        ["documents with the keys title, sents, clusters, triples: expected title, sents, vertexSet (and labels): "
         "no document has vertexSet"],
    ),
    "predictions": (
        json.dumps([{"title": "T", "h_idx": 0, "t_idx": 1, "r": "P1"}] * 300),
        ["documents with the keys title, h_idx, t_idx, r", "no document has sents, vertexSet"],
    ),
    "relations": ('{"Na": 0, "P1": 1}', ["found an object with the keys Na, P1, where a document has title, sents"]),
    "many keys": (json.dumps([{f"k{i}": i for i in range(40)}]), ["keys k0, k1, k2", "k11, 28 more: expected"]),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER_CORPORA)
def test_a_file_of_another_corpus_is_one_problem_that_names_its_keys_and_those_expected(
    tmp_path: Path, what: str
) -> None:
    content, messages = OTHER_CORPORA[what]
    path = tmp_path / "x.json"
    path.write_text(content)
    (problem,) = scan(path).problems
    for message in messages:
        assert message in str(problem)


def test_a_file_without_labels_that_has_keys_of_its_own_says_which(tmp_path: Path) -> None:
    item = as_json(docred_document("T"), relations=[])
    path = save_json(tmp_path / "x.json", [{key: value for key, value in item.items() if key != "labels"}])
    assert "predict only; labels would be in 'labels', found relations" in run("validate", path).output


EMPTY_GZIP = gzip.compress(b"", mtime=0)  # a time in it would be a test of another name in every process


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[", b"what\tis\tthis", b"\x1f\x8b", EMPTY_GZIP])
def test_what_tells_no_form_is_left_to_the_reader_of_docred(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert detect(path).name == "docred"
    with pytest.raises(UsageError):
        read_documents(path)


def test_the_form_chosen_is_the_one_read(chem: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="expected title, sents, vertexSet \\(and labels\\)"):
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
    assert "registered 'mine': 1 relation\n" in run("add", "mine", *options(cdr)).output
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
    old: dict[str, Any] = json.loads(path.read_text())["registration"]
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
    assert "1 triple given from object to subject, turned round" in sound.output
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
