from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from made_records import plan, write

from bench.data.catalog.dataset import open_dataset
from bench.data.formats.docred import write_documents
from bench.runs.names import NO_ENCODER
from bench.runs.run_folder import run_folders

RESULTS = Path(__file__).parents[1] / "fixtures" / "schema-1" / "results"


@pytest.fixture
def files(small, tmp_path, monkeypatch) -> list[str]:
    """Three submissions on the test documents of `small`, each with a label more, the last one gzipped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    triples = sorted(triple for document in open_dataset("small").documents("test") for triple in document.triples())
    names = []
    for seed in range(3):
        rows = [dict(zip(("title", "h_idx", "t_idx", "r"), triple, strict=True)) for triple in triples[: 3 + seed]]
        names.append(f"seed{seed}.json")
        Path(names[-1]).write_text(json.dumps(rows))
    Path("seed2.json.gz").write_bytes(gzip.compress(Path("seed2.json").read_bytes()))
    return [*names[:2], "seed2.json.gz"]


def imported(bench, files: list[str], *more: object) -> tuple[int, str, str]:
    return bench("import", "LMRC", "--dataset", "small", "--pred", *files, "--out", "out", *more)


def test_three_files_are_three_seeds_of_a_row_that_says_it_is_from_outside(files, bench):
    assert imported(bench, files, "--seeds", "13,42,66", "--source", "a paper")[0] == 0
    assert sorted(folder.plan().seed for folder in run_folders(Path("out"))) == [13, 42, 66]
    _, out, _ = bench("table", "--out", "out")
    assert "LMRC (outside) unstated" in out
    assert "3 of 3" in out
    assert "LMRC (outside): predictions made elsewhere, scored here (a paper)" in out


def test_every_command_over_results_takes_them(files, bench):
    imported(bench, files)
    for command in ("status", "table", "audit", "report", "explore"):
        status, _, error = bench(command, "--out", "out")
        assert (command, status) == (command, 0), error
    assert "3 done" in bench("status", "--out", "out")[1]
    runs_csv = Path("out/report/runs.csv").read_text().splitlines()
    assert all(",imported," in line for line in runs_csv[1:])


def test_what_was_imported_or_counted_has_no_log_and_will_have_none(files, bench):
    imported(bench, files)
    write(Path("out"), plan("counts", encoder=NO_ENCODER), [[1, 2, 3, 0]])
    assert "has no log: it was imported" in bench("logs", "LMRC-s0", "--out", "out")[2]
    assert "has no log: its model is fitted without updates" in bench("logs", "counts-s0", "--out", "out")[2]


def test_a_second_system_is_compared_with_it_by_name_over_seeds_and_documents(files, bench):
    imported(bench, files)
    bench("import", "AutoRE", "--dataset", "small", "--pred", *files[::-1], "--seeds", "3", "--out", "out")
    status, out, _ = bench("compare", "LMRC", "AutoRE", "--out", "out")
    assert status == 0
    assert "LMRC (outside)" in out
    assert "Over seeds" in out
    assert "Over documents" in out
    assert "is not known here" in " ".join(out.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--seeds", "1,2"), "2 seeds, for 3 files"),
        (("--setting", "huma"), "Did you mean 'human'"),
        (("--split", "train"), "--split train"),
        (("--dataset", "smal"), "Did you mean 'small'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(more, said, files, bench):
    status, _, error = imported(bench, files, *more)
    assert status == 2
    assert said in error
    assert not Path("out").exists()


def test_an_import_that_is_damaged_is_named_with_what_makes_it_anew(files, bench):
    imported(bench, files)
    run = next(run_folders(Path("out")))
    (run.path / "record.json").write_text("{")
    assert "`bench import`" in " ".join(bench("status", "--out", "out")[1].split())
    status, _, error = bench("run", "--again", run.name, "--out", "out")
    assert status == 2
    assert "`bench import`" in error
    _, _, error = bench("retry", "--failed", "--out", "out")
    assert "`bench import`" in error
    assert imported(bench, files)[0] == 0
    assert "3 done" in bench("status", "--out", "out")[1]


def test_what_contradicts_an_archive_is_a_row_of_its_own(files, bench):
    """A results folder of which the archive alone was committed, and to which somebody adds."""
    imported(bench, files[:1], "--seeds", "0,")
    bench("archive", "--to", "again", "--out", "out")
    add = ("import", "LMRC", "--dataset", "small", "--seeds", "0,", "--out", "again", "--pred")
    Path("dev.json").write_text("[]")
    status, _, error = bench(*add[:-1], "--split", "dev", "--pred", "dev.json")
    assert status == 2
    assert "has scores on test and no predictions" in " ".join(error.split())
    assert bench(*add, files[1])[0] == 0
    assert sum("LMRC" in line and "1 of 1" in line for line in bench("table", "--out", "again")[1].splitlines()) == 2


def test_a_first_seed_without_the_split_stops_neither_report_nor_explorer(files, bench):
    imported(bench, files[:1], "--seeds", "0,", "--split", "dev")
    imported(bench, files[1:2], "--seeds", "1,")
    for command in ("report", "explore"):
        status, _, error = bench(command, "--out", "out")
        assert (command, status) == (command, 0), error
    (folder,) = [folder for folder in run_folders(Path("out")) if folder.plan().seed == 0]
    _, _, error = bench("explore", folder.name, "--out", "out")
    assert "no predictions on test were imported" in error


def test_predictions_of_other_documents_are_in_the_score_and_in_no_test_over_documents(files, bench):
    """As where all documents of a corpus were predicted, and fewer have been annotated anew."""
    more = [*json.loads(Path(files[0]).read_text()), {"title": "another", "h_idx": 0, "t_idx": 1, "r": "P17"}]
    Path("more.json").write_text(json.dumps(more))
    imported(bench, files[:1], "--seeds", "0,")
    bench("import", "AutoRE", "--dataset", "small", "--pred", "more.json", "--seeds", "0,", "--out", "out")
    _, printed, _ = bench("compare", "LMRC", "AutoRE", "--out", "out")
    assert "AutoRE (outside) predicts of documents that test lacks: over documents it cannot be tested" in printed
    assert "do not differ at all" not in printed
    bench("report", "--out", "out")
    rows = list(csv.DictReader(Path("out/report/runs.csv").read_text().splitlines()))
    predicted = {row["model"]: row["predicted"] for row in rows if row["split"] == "test"}
    assert int(predicted["AutoRE"]) == int(predicted["LMRC"]) + 1


def test_there_is_no_model_to_predict_with(files, bench):
    imported(bench, files)
    run = next(run_folders(Path("out")))
    write_documents("test.json", open_dataset("small").documents("test"))
    status, _, error = bench("predict", run.path, "test.json", "--to", "p.json")
    assert status == 1
    assert "there is no model" in error


def test_it_can_be_removed(files, bench):
    imported(bench, files)
    names = [folder.name for folder in run_folders(Path("out"))]
    assert bench("remove", "--yes", *names, "--out", "out")[0] == 0
    assert not list(run_folders(Path("out")))
