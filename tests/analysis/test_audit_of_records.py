"""The audit of our own records, and its command."""

from __future__ import annotations

import json

import pytest
from made_records import plan, record, split_record, write
from printed_rows import PUBLISHED

from bench.analysis.aggregate import Cell
from bench.analysis.audit import audit_rows
from bench.analysis.audit.records import audit_records, cells_apart, record_rows
from bench.runs.names import NO_ENCODER

COUNTS = [[5, 7, 8, 1], [3, 3, 4, 0], [0, 2, 5, 0]]
OTHER = [[4, 7, 8, 1], [3, 4, 4, 0], [1, 2, 5, 1]]


def cell(plans, counts) -> Cell:
    records = [record(p, c) for p, c in zip(plans, counts, strict=True) if c is not None]
    return Cell(
        tuple(plans),
        tuple(records),
        tuple(f"seed {p.seed}: lost" for p, c in zip(plans, counts, strict=True) if c is None),
    )


def audit_cells(*cells):
    return list(cells_apart(cells, record_rows(cells, PUBLISHED)))


def test_records_of_true_counts_never_alarm(tmp_path):
    for seed, counts in enumerate((COUNTS, OTHER)):
        write(tmp_path, plan(seed=seed), counts)
        write(tmp_path, plan("n", seed=seed), OTHER[::-1] if seed else [[1, 1, 8, 0], [2, 2, 4, 1], [3, 4, 5, 1]])
    assert audit_records(tmp_path) == []


def test_a_run_whose_plan_is_unreadable_is_told_though_no_row_counts_it(tmp_path, capsys):
    for seed in range(3):
        write(tmp_path, plan(seed=seed), COUNTS if seed % 2 else OTHER)
    damaged = next((tmp_path / "runs").glob("*-s1-*/run.json"))
    damaged.write_text(damaged.read_text()[:40])
    (finding,) = audit_records(tmp_path)
    assert (finding.kind, finding.where) == ("fewer-seeds", damaged.parent.name)
    assert str(damaged) in capsys.readouterr().err


def test_missing_seeds_of_our_own_are_told_with_their_errors():
    (finding,) = audit_cells(cell([plan(seed=0), plan(seed=1)], [COUNTS, None]))
    assert (finding.kind, finding.what) == ("fewer-seeds", "1 of 2 seeds are there (0): seed 1: lost")


def test_scores_that_the_counts_do_not_give_are_found():
    true = record(plan(), COUNTS)
    false = true.splits["test"].model_copy(
        update={"scores": true.splits["test"].scores.model_copy(update={"f1": 99.0})}
    )
    damaged = true.model_copy(update={"splits": {**true.splits, "test": false}})
    (finding,) = audit_cells(Cell((plan(),), (damaged,), ()))
    assert (finding.kind, finding.numbers["recorded"]) == ("scores-not-of-counts", 99.0)


@pytest.mark.parametrize(
    ("changed", "kind", "severity"),
    [
        ({"test": "other"}, "mixed-evaluation", "error"),
        ({"metric": 2}, "mixed-evaluation", "error"),
        ({"train": "other"}, "mixed-data", "error"),
        ({"harness": 2}, "mixed-training", "warning"),
        ({"fingerprint": "other"}, "mixed-training", "warning"),
        ({"encoder": "other", "fingerprint": "other"}, "mixed-encoders", "error"),
    ],
)
def test_what_rows_of_a_table_do_not_share_is_told(changed, kind, severity):
    findings = audit_cells(cell([plan()], [COUNTS]), cell([plan("n", **changed)], [OTHER]))
    assert {(f.kind, f.severity) for f in findings} == {(kind, severity)}


def test_a_model_without_an_encoder_has_no_other_one_than_the_rest():
    assert audit_cells(cell([plan()], [COUNTS]), cell([plan("prior", encoder=NO_ENCODER)], [OTHER])) == []


def test_other_data_sets_and_settings_are_other_tables():
    cells = [cell([plan(dataset=d, setting=s, test=d, train=s)], [COUNTS]) for d in "de" for s in ("human", "ext")]
    assert audit_cells(*cells) == []


def test_two_configurations_of_one_name_are_told():
    (finding,) = audit_cells(cell([plan()], [COUNTS]), cell([plan(epochs=2)], [OTHER]))
    assert finding.kind == "several-configurations"
    assert plan(epochs=2).configuration[:4] in finding.what


def test_recorded_slices_that_sum_are_found():
    split = split_record(COUNTS)
    half = split.scores.precision / 2
    slices = {
        name: split.scores.model_copy(update={"precision": half, "f1": 1.0}) for name in ("top_10", "all_but_top_10")
    }
    wrong = split.model_copy(update={"slices": {"strict": slices, "released": {}}})
    damaged = record(plan(), COUNTS).model_copy(update={"splits": {"test": wrong}})
    findings = audit_rows(record_rows([Cell((plan(),), (damaged,), ())], PUBLISHED))
    assert "slice-precisions-sum" in [f.kind for f in findings]


# The command


def test_the_command_counts_by_kind(bench):
    status, out, _ = bench("audit")
    assert status == 0
    assert "F1 77.81, but 2PR/(P + R) = 75.54" in out
    assert "183 published rows" in out


def test_the_command_prints_json_of_one_kind(bench):
    status, out, _ = bench("audit", "--json", "--kind", "ign-f1-above-f1")
    printed = json.loads(out)
    assert status == 0
    assert printed["counts"] == {"ign-f1-above-f1": 4}
    assert {"f1": 41.83, "ign_f1": 48.83} in [finding["numbers"] for finding in printed["findings"]]


def test_records_are_audited_with_out(bench, tmp_path):
    write(tmp_path, plan(seed=0), COUNTS)
    write(tmp_path, plan(seed=1), None)
    status, out, _ = bench("audit", "--out", tmp_path)
    assert status == 0
    assert "1 of 2 seeds" in out
    assert f"2 runs in {tmp_path}: 1 finding" in out.replace("\n", "")


def test_another_folder_of_published_numbers_is_audited(bench, tmp_path):
    (tmp_path / "mine.csv").write_text("source,dataset,split,setting,model,f1,ign_f1\ns,d,test,human,X,80,81.5\n")
    status, out, _ = bench("audit", "--published", tmp_path)
    assert status == 0
    assert "Ign F1 81.5 is above F1 80" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kind", "f1"), "unknown kind of finding 'f1'"),
        (("--out", "nowhere"), "nothing has been planned in nowhere"),
        (("--out", "nowhere", "--published", "nowhere"), "one of them at a time"),
        (("--published", "nowhere"), "expected a folder with .csv files"),
    ],
)
def test_what_cannot_be_audited_is_said(bench, arguments, message):
    status, _, error = bench("audit", *arguments)
    assert status == 2
    assert message in error
