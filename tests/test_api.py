from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from made_records import plan, write
from nbclient import NotebookClient

from bench import api
from bench.data.catalog.dataset import open_dataset
from bench.data.formats.docred import write_documents
from bench.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "tests" / "fixtures" / "schema-1" / "results"
SSRPU = "ssrpu (block_size=16,epochs=2,pair_size=32)"
TTMRE = "ttmre (block_size=16,epochs=2,layers=1,memory=8,pair_size=32)"


def test_every_number_is_that_of_the_commands(bench):
    _, out, _ = bench("table", "--json", "--out", RESULTS)
    rows = json.loads(out)["rows"]
    expected = {
        (row["configuration"], int(seed), row["split"], row["slice"], row["metric"]): value
        for row in rows
        for seed, value in row["seeds"].items()
    }
    runs = api.load_runs(RESULTS)
    keys = zip(*(runs[column] for column in ("configuration", "seed", "split", "slice", "metric")), strict=True)
    assert dict(zip(keys, runs["value"], strict=True)) == expected
    assert len(runs) == len(expected)


def test_the_table_has_a_row_for_each_system_with_missing_numbers_missing():
    frame = api.table(RESULTS)
    assert list(frame.columns) == ["f1", "f1_std", "ign_f1", "ign_f1_std", "seeds", "planned"]
    runs = api.load_runs(RESULTS).query("split == 'test' and slice == 'all' and metric == 'f1'")
    means = runs.groupby("configuration")["value"].agg(["mean", "std"])
    for (*_, configuration), row in frame.iterrows():
        if row["seeds"]:
            assert row["f1"] == pytest.approx(means.loc[configuration, "mean"])
        else:
            assert pd.isna(row["f1"])
    assert (frame["seeds"] < frame["planned"]).any()


def test_a_comparison_is_that_of_the_command(bench):
    _, out, _ = bench("compare", TTMRE, SSRPU, "--setting", "human", "--json", "--out", RESULTS)
    (expected,) = json.loads(out)["comparisons"]
    row = api.compare(TTMRE, SSRPU, RESULTS, setting="human").iloc[0]
    assert row["difference"] == pytest.approx(expected["difference"])
    assert row["welch_p"] == pytest.approx(expected["over_seeds"]["welch"]["p"])
    assert row["bootstrap_low"] == pytest.approx(expected["over_documents"]["bootstrap"]["low"])
    assert row["claim"] == expected["claim"]


@pytest.fixture
def submission(small, tmp_path) -> tuple[Path, Path]:
    documents = open_dataset("small").documents("test")
    write_documents(tmp_path / "gold.json", documents)
    triples = sorted(triple for document in documents for triple in document.triples())[1:]
    rows = [dict(zip(("title", "h_idx", "t_idx", "r"), triple, strict=True)) for triple in triples]
    (tmp_path / "pred.json").write_text(json.dumps([*rows, {**rows[0], "title": "nowhere"}]))
    return tmp_path / "gold.json", tmp_path / "pred.json"


def test_a_submission_is_scored_as_by_the_command(submission, bench):
    gold, pred = submission
    scored = api.evaluate(gold, pred, train_facts=gold)
    _, out, _ = bench("evaluate", "--gold", gold, "--pred", pred, "--train-facts", gold, "--json")
    expected = json.loads(out)
    for metric in ("f1", "ign_f1", "precision", "recall"):
        assert scored.scores[metric] == expected[metric]
    intra = scored.slices.query("slice == 'intra' and protocol == 'strict'").iloc[0]
    assert intra["f1"] == pytest.approx(
        next(group["intra"]["f1"] for group in expected["slices"]["strict"].values() if "intra" in group)
    )
    assert "'nowhere'" in " ".join(scored.notes)


def test_predictions_of_a_run_are_rows_and_damaged_ones_are_refused(small, tmp_path, bench):
    arguments = ("--models", "prior", "--dataset", "small", "--encoder", "tiny", "--seeds", 1, "--launcher", "inline")
    bench("run", *arguments, "--out", tmp_path / "out")
    (run,) = (tmp_path / "out" / "runs").iterdir()
    frame = api.load_predictions(run)
    assert list(frame.columns) == ["title", "head", "tail", "relation", "evidence", "score"]
    assert set(frame["title"]) <= {document.title for document in open_dataset("small").documents("test")}
    (run / "predictions-test.json").write_text("[]")
    with pytest.raises(UsageError, match="not what was written"):
        api.load_predictions(run)
    with pytest.raises(UsageError, match="no such predictions"):
        api.load_predictions(run, "train")


@pytest.mark.parametrize(
    "call",
    [lambda out: api.load_runs(out), lambda out: api.table(out), lambda out: api.compare("a", "b", out)],
    ids=["load_runs", "table", "compare"],
)
def test_a_folder_without_runs_is_an_error_in_words(call, tmp_path):
    with pytest.raises(UsageError, match="nothing has been planned"):
        call(tmp_path)


def test_the_notebook_runs(small, tmp_path, monkeypatch, bench):
    documents = open_dataset("small").documents("test")
    rows = [{"title": d.title, "h_idx": 0, "t_idx": 1, "r": "knows"} for d in documents]
    for name, some in (("LMRC", rows), ("AutoRE", rows[1:])):
        (tmp_path / "pred.json").write_text(json.dumps(some))
        assert bench("import", name, "--dataset", "small", "--pred", tmp_path / "pred.json", "--out", tmp_path)[0] == 0
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples" / "results.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(ROOT)}}).execute()
    kinds = ("execute_result", "display_data")
    shown = [o for cell in notebook.cells for o in cell.get("outputs", ()) if o.output_type in kinds]
    assert len(shown) == 4


def test_the_notebook_runs_with_one_model_and_without_predictions_on_test(tmp_path, monkeypatch):
    write(tmp_path, plan(), [[1, 2, 3, 0]])
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    notebook = nbformat.read(ROOT / "examples" / "results.ipynb", as_version=4)
    names = {"display": print}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, names)
    assert names["models"] == ["m"]
