"""`bench data thin`, and what the other commands make of runs on shares of labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_experiments import SMALL

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.formats.docred import read_documents, write_documents
from bench.runs.run_folder import run_folders

pytestmark = pytest.mark.usefixtures("small")


def abstract(name: str) -> dict[str, object]:
    """A document of ChemDisGene's form with one relation."""
    entities = [
        {"start": 0, "end": 7, "mention": "Aspirin", "type": "Chemical", "id": "MESH:D1"},
        {"start": 15, "end": 18, "mention": "flu", "type": "Disease", "id": "MESH:D2"},
    ]
    relation = {"type": "chem_disease:therapeutic", "subj": "MESH:D1", "obj": "MESH:D2"}
    text = {"title": f"Aspirin helped flu of the {name}", "abstract": ""}
    return {"docid": name, **text, "entity": entities, "relation": [relation]}


def test_it_says_what_each_share_leaves_and_how_to_train_on_it(bench):
    status, out, _ = bench("data", "thin", "small", "--keep", "50%,10%,100%", "--rule", "at-random", "--seed", "3")
    assert status == 0
    # Five documents, three of which have two of the three labels.
    assert out.startswith("small: 12 labelled triples in 5 training documents; rule at-random, seed 3\n")
    assert "one of each relation type and document, as in ext, would be 10 triples, 83.3%" in out
    rows = [line.split() for line in out.splitlines() if line.lstrip()[:1].isdigit()]
    assert [row[:4] for row in rows] == [
        ["10%", "1", "0.20", "12.00"], ["50%", "6", "1.20", "2.00"], ["100%", "12", "2.40", "1.00"],
    ]  # fmt: skip
    assert rows[0][-1] == "4"
    settings = "ext@10%:at-random:3,ext@50%:at-random:3,ext@100%:at-random:3"
    assert f"bench run --dataset small --models atlop,ssrpu --settings {settings}\n" in out
    assert "--set ext@50%:at-random:3.prior_multiple=2 " in out


def test_what_it_says_to_run_can_be_run_as_it_stands(bench):
    _, out, _ = bench("data", "thin", "small", "--keep", "50%,99.5%")
    command = next(line for line in out.splitlines() if "bench run" in line).partition("bench ")[2]
    priors = out.splitlines()[-1]
    status, out, error = bench(*command.split(), *priors.split(), "--encoder", "tiny", "--dry-run")
    assert (status, error) == (0, "")
    assert "ext@99.5%" in out


def test_a_script_gets_json_and_another_program_files(bench, tmp_path):
    options = ("--keep", "50%,100%", "--rule", "by-annotator", "--seed", "1")
    status, out, _ = bench("data", "thin", "small", *options, "--to", tmp_path / "new folder", "--json")
    assert status == 0
    told = json.loads(out)
    assert told["train"] == {"documents": 5, "triples": 12, "types": 10, "relations": 2, "unlabelled": 0}
    assert [of["setting"] for of in told["shares"]] == ["ext@50%:by-annotator:1", "ext@100%:by-annotator:1"]
    for of in told["shares"]:
        read = read_documents(of["file"])
        assert tuple(read) == open_dataset("small").documents(of["setting"].replace("ext", "train"))
        assert of["triples"] == sum(len(document.labels) for document in read)
    names = {path.name for path in (tmp_path / "new folder").iterdir()}
    assert names == {"train.by-annotator-50-seed-1.json", "train.by-annotator-100-seed-1.json"}


def test_files_of_a_form_that_would_lose_something_are_not_written(bench, tmp_path):
    files = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    for split, path in files.items():
        path.write_text(json.dumps([abstract(split)]))
    add_dataset("chem", files, replace=True)
    status, _, error = bench("data", "thin", "chem", "--to", tmp_path / "out")
    assert status == 2
    assert "the documents of 'chem' (chemdisgene) would lose their candidate pairs" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--keep", "0%"), "0% of the labels cannot be kept"),
        (("--keep", "0.1"), "'0.1' is no share of the labels; expected percent"),
        (("--keep", ","), "names no share; expected percent, as in --keep 10%,50%"),
        (("--rule", "per-typ"), "unknown rule 'per-typ'. Did you mean 'per-type'?"),
        (("--keep", "1%"), "data set 'small', train: 1% of 12 labelled triples is none"),
    ],
)
def test_what_cannot_be_is_told(options, message, bench):
    status, out, error = bench("data", "thin", "small", *options)
    assert (status, out) == (2, "")
    assert message in error


@pytest.fixture(scope="module")
def results(small_home, tmp_path_factory):
    """Results of one model on two shares, trained; and the options of the run."""
    from bench.cli.main import main

    out = tmp_path_factory.mktemp("results")
    sets = [part for change in (*SMALL, "epochs=1", "select_on=dev_ext") for part in ("--set", change)]
    shares = ["--models", "atlop", "--settings", "ext@50%,ext@100%:at-random,ext@90%:at-random"]
    options = [*shares, "--dataset", "small", "--encoder", "tiny", "--seeds", "1", *sets, "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        patch.setattr("sys.argv", ["bench", "run", *options, "--launcher", "inline"])
        with pytest.raises(SystemExit) as leaving:
            main()
    assert not leaving.value.code
    return out, options


def test_every_command_over_results_takes_them(results, bench, tmp_path):
    out, options = results
    (run,) = (folder.name for folder in run_folders(out) if folder.plan().setting == "ext@50%")
    documents = tmp_path / "documents.json"
    write_documents(documents, open_dataset("small").documents("test"))
    for arguments in (
        ("run", *options, "--dry-run"), ("run", *options, "--dry-run", "--json"), ("status", "--out", out),
        ("table", "--out", out), ("audit", "--out", out), ("explore", "--out", out), ("logs", run, "--out", out),
        ("logs", "atlop-ext@50%", "--out", out), ("report", "--out", out, "--no-figures"),
        ("retry", "--failed", "--out", out), ("run", "--again", run, "--dry-run", "--out", out),
        ("predict", run, documents, "--out", out, "--to", tmp_path / "p.json"),
        ("remove", run, "--dry-run", "--out", out),
    ):  # fmt: skip
        status, printed, error = bench(*arguments)
        assert (arguments[0], status) == (arguments[0], 0), printed + error
    assert (out / "report" / "tables" / "label-shares-small-tiny-ext-at-random-0.csv").is_file()


def test_the_same_command_again_has_nothing_to_do(results, bench):
    before = {path: path.stat().st_mtime_ns for path in results[0].glob("runs/*/record.json")}
    assert len(before) == 3
    assert bench("run", *results[1], "--launcher", "inline")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in results[0].glob("runs/*/record.json")} == before


def test_they_saw_the_share_and_chose_on_the_share(results):
    for folder in run_folders(results[0]):
        plan, record = folder.plan(), folder.record()
        stage = plan.stages[0]
        assert stage.train_checksum == open_dataset("small").checksum(stage.train_split)
        assert stage.select_split == stage.train_split.replace("train", "dev")
        assert record.setting == plan.setting


def test_predictions_from_elsewhere_may_be_of_a_share(bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("p.json").write_text("[]")
    arguments = ("import", "LMRC", "--dataset", "small", "--pred", "p.json", "--out", "out", "--setting")
    assert bench(*arguments, "ext@50.0%")[0] == 0
    (folder,) = run_folders(Path("out"))
    assert folder.plan().setting == "ext@50%"
    status, _, error = bench(*arguments, "human@50%")
    assert (status, "only ext is trained on a share" in error) == (2, True)


def test_where_all_pairs_are_candidates_no_loss_of_pairs_is_said(bench, tmp_path):
    """HacRED's documents lose that they are written without spaces; DocGNRE's lose nothing."""
    mentions = [
        [{"name": name, "sent_id": 0, "type": "PER", "pos": [at, at + 1]}] for at, name in ((0, "甲"), (2, "乙"))
    ]
    label = {"r": "P1", "h": 0, "t": 1}
    hacred = {"sents_char": [["甲", "写", "乙", "。"]], "vertex_char": mentions, "labels_char": [label]}
    docgnre = {"sents": [["甲", "写", "乙", "。"]], "vertexSet": mentions, "labels": [label], "gpt_labels": []}
    for name, item in (("hac", hacred), ("gnre", docgnre)):
        files = {split: tmp_path / f"{name}-{split}.json" for split in ("train", "dev", "test")}
        for split, path in files.items():
            item |= {"id": split} if name == "hac" else {"title": split, "sents": [[*"甲写乙", split]]}
            path.write_text(json.dumps([item]))
        add_dataset(name, files, replace=True, force=True)
    status, _, error = bench("data", "thin", "hac", "--to", tmp_path / "out")
    assert status == 2
    assert "the documents of 'hac' (hacred) would lose that they are written without spaces" in error
    status, out, _ = bench("data", "thin", "gnre", "--keep", "100%", "--to", tmp_path / "out")
    assert (status, out.count("wrote ")) == (0, 1)
