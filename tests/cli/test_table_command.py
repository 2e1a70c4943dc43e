"""`bench table --format`: the report's tables for other tools."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from made_records import plan, write

from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for setting in ("human", "ext"):
        for seed in range(2):
            write(tmp_path, plan("m", seed, setting), [[60 + seed, 100, 100, 5]])
    return tmp_path


def test_latex_has_the_caption_and_label_that_were_asked_for(out, bench):
    options = ("--only", "table3-d-e", "--caption", "Ours, 50% of it", "--label", "tab:ours")
    status, printed, _ = bench("table", "--out", out, "--format", "latex", *options)
    assert status == 0
    assert r"\caption{Ours, 50\% of it}" in printed
    assert r"\label{tab:ours}" in printed
    assert r"60.50 $\pm$ 0.71" in printed


def test_all_tables_are_printed_where_none_is_named(out, bench):
    _, printed, _ = bench("table", "--out", out, "--format", "markdown")
    assert printed.count("\n## ") + printed.startswith("## ") == 2
    _, printed, _ = bench("table", "--out", out, "--format", "latex")
    assert printed.count(r"\begin{table}") == printed.count(r"\end{table}") == 2


def test_csv_is_one_row_per_run_and_split(out, bench):
    _, printed, _ = bench("table", "--out", out, "--format", "csv")
    runs = pd.read_csv(io.StringIO(printed))
    assert len(runs) == 2 * 2 * 2
    assert sorted(runs[(runs.setting == "human") & (runs.split == "test")].f1) == [60.0, 61.0]


@pytest.mark.parametrize("digits", ["12345678", "2e128301", "00000001", "1e999999"])
def test_a_configuration_is_no_number_to_pandas_in_csv_or_json(out, bench, digits, monkeypatch):
    monkeypatch.setattr(RunPlan, "configuration", digits)
    _, printed, _ = bench("table", "--out", out, "--format", "csv")
    assert set(pd.read_csv(io.StringIO(printed)).configuration) == {f"x{digits}"}
    _, printed, _ = bench("table", "--out", out, "--json")
    assert {row["configuration"] for row in json.loads(printed)["rows"]} == {f"x{digits}"}


def test_a_variant_that_begins_as_a_formula_is_text_in_csv(out, bench):
    write(out, plan("m", 0, variant="=1+1"), [[1, 2, 3, 0]])
    _, printed, _ = bench("table", "--out", out, "--format", "csv")
    assert {row["variant"] for row in csv.DictReader(io.StringIO(printed))} == {"", "'=1+1"}


def test_json_is_what_the_option_of_that_name_prints(out, bench):
    _, one, _ = bench("table", "--out", out, "--json")
    _, two, _ = bench("table", "--out", out, "--format", "json")
    assert json.loads(one) == json.loads(two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "latex", "--caption", "x"), "say which with --only, of table3-d-e, table6-d-e"),
        (("--format", "latex", "--only", "table3"), "Did you mean 'table3-d-e'?"),
        (("--format", "csv", "--caption", "x"), "are for --format latex or markdown"),
        (("--format", "markdown", "--only", "table3-d-e", "--caption", "x"), "are for --format latex"),
    ],
)
def test_what_cannot_be_is_told(out, bench, options, message):
    status, _, error = bench("table", "--out", out, *options)
    assert status == 2
    assert message in error


def test_auc_is_among_the_numbers_and_in_csv_where_a_run_has_it_and_no_column_of_the_table(tmp_path, bench):
    for seed in range(2):
        write(tmp_path, plan("m", seed), [[5, 10, 10, 1]])
    without = bench("table", "--out", tmp_path)[1]
    assert "auc" not in bench("table", "--out", tmp_path, "--format", "csv")[1]
    assert "auc" not in bench("table", "--out", tmp_path, "--json")[1]
    for seed in range(2):
        folder = RunFolder.of(tmp_path, plan("m", seed))
        dev = folder.record().splits["dev"]
        scores = dev.scores.model_copy(update={"auc": 30.0 + seed, "ign_auc": 20.0 + seed})
        splits = {**folder.record().splits, "dev": dev.model_copy(update={"scores": scores})}
        folder.write_record(folder.record().model_copy(update={"splits": splits}))
    rows = json.loads(bench("table", "--out", tmp_path, "--json")[1])["rows"]
    (auc,) = [row for row in rows if row["metric"] == "auc"]
    assert (auc["split"], auc["slice"], auc["mean"], auc["seeds"]) == ("dev", "all", 30.5, {"0": 30.0, "1": 31.0})
    runs = pd.read_csv(io.StringIO(bench("table", "--out", tmp_path, "--format", "csv")[1]))
    assert runs.loc[runs["split"] == "dev", "ign_auc"].tolist() == [20.0, 21.0]
    assert runs.loc[runs["split"] == "test", "auc"].isna().all()
    assert bench("table", "--out", tmp_path)[1] == without
