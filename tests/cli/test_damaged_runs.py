"""What every command that reads records does where one of them is damaged, or of a newer version."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import made_records
import pytest
from spoiled_records import COUNTS, IMPOSSIBLE, NEWER, edit_plan, edit_record

from bench.runs.run_folder import RunFolder

SEEDS = 3
OTHER = [[2, 3, 4, 1]] * 3


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two models with three seeds each."""
    for seed in range(SEEDS):
        made_records.write(tmp_path, made_records.plan("m", seed), COUNTS)
        made_records.write(tmp_path, made_records.plan("n", seed), OTHER)
    return tmp_path


@pytest.fixture
def first(out) -> RunFolder:
    """The run of which something is going to be wrong."""
    return RunFolder.of(out, made_records.plan("m", 0))


def commands(out: Path) -> dict[str, tuple[object, ...]]:
    return {
        "status": ("status", "--out", out),
        "status as JSON": ("status", "--json", "--out", out),
        "table": ("table", "--out", out),
        "table as JSON": ("table", "--json", "--out", out),
        "table as CSV": ("table", "--format", "csv", "--out", out),
        "table as LaTeX": ("table", "--format", "latex", "--out", out),
        "compare": ("compare", "m", "n", "--resamples", 100, "--out", out),
        "audit": ("audit", "--out", out),
        "report": ("report", "--no-memory", "--no-figures", "--out", out),
    }


@pytest.mark.parametrize("kind", [*IMPOSSIBLE, *NEWER])
def test_every_command_goes_on_with_the_other_runs(kind, out, first, bench):
    edit_record(first, (IMPOSSIBLE | NEWER)[kind][0])
    for name, command in commands(out).items():
        status, printed, error = bench(*command)
        assert status == 0, (name, error)
        assert "by nan" not in printed, name
    rows = json.loads(bench(*commands(out)["table as JSON"])[1])["rows"]
    (row,) = [row for row in rows if (row["model"], row["split"], row["metric"]) == ("m", "test", "f1")]
    assert (row["n"], row["expected"], sorted(row["seeds"])) == (2, 3, ["1", "2"])


@pytest.mark.parametrize(
    ("kind", "state", "count"),
    [("not a number", "damaged", "1 damaged"), ("a higher schema", "newer", "1 made by a newer version")],
)
def test_status_counts_it_and_the_others_as_done(kind, state, count, out, first, bench):
    edit_record(first, (IMPOSSIBLE | NEWER)[kind][0])
    _, printed, _ = bench("status", "--out", out)
    assert printed.splitlines()[-1] in (f"{count}, 5 done", f"5 done, {count}")
    views = json.loads(bench("status", "--json", "--out", out)[1])["runs"]
    assert [view["run"] for view in views if view["state"] == state] == [first.name]


@pytest.mark.parametrize("command", ["table", "compare", "audit", "report"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("not a number", "damaged, and in no mean: 1 run ("),
        ("a higher schema", "made by a newer version of docre-bench, and in no mean: 1 run"),
    ],
)
def test_what_is_in_no_mean_is_counted_and_its_seed_told(kind, told, command, out, first, bench):
    edit_record(first, (IMPOSSIBLE | NEWER)[kind][0])
    _, printed, error = bench(*commands(out)[command])
    assert told in error
    if command in ("table", "audit"):
        assert "seed 0: " in printed


@pytest.mark.parametrize(("kind", "status"), [("not a number", "damaged"), ("a higher schema", "newer")])
def test_the_row_of_a_run_says_how_it_stands_and_why(kind, status, out, first, bench):
    edit, said = (IMPOSSIBLE | NEWER)[kind]
    edit_record(first, edit)
    rows = list(csv.DictReader(io.StringIO(bench(*commands(out)["table as CSV"])[1])))
    (row,) = [row for row in rows if row["status"] != "finished"]
    assert (row["model"], row["seed"], row["status"]) == ("m", "0", status)
    assert said in row["error"]


def test_plans_that_cannot_be_read_are_named_and_nobody_is_told_that_there_are_none(out, first, bench):
    for folder in (out / "runs").iterdir():
        edit_plan(RunFolder(out, folder.name), lambda plan: plan.update(surprise=1))
    status, _, error = bench("table", "--out", out)
    assert status == 2
    assert f"{first.path / 'run.json'} cannot be read (made by a newer version of docre-bench: " in error
    assert f"no run in {out} can be read (`bench status --out {out}` says why)" in error


def test_records_of_other_documents_than_the_other_seeds_leave_tests_over_documents_undone(out, first, bench):
    edit_record(first, lambda record: record["splits"]["test"]["documents"].update(titles=["x", "y", "z"]))
    status, printed, _ = bench("compare", "m", "n", "--json", "--out", out)
    assert status == 0
    (comparison,) = json.loads(printed)["comparisons"]
    assert comparison["over_documents"]["bootstrap"] is None
    assert comparison["difference"] is not None


def test_a_seed_without_a_split_that_the_others_have_is_missing_there_alone(out, first, bench):
    edit_record(first, lambda record: record["splits"].pop("test"))
    rows = json.loads(bench("table", "--json", "--out", out)[1])["rows"]
    seeds = {row["split"]: row["n"] for row in rows if (row["model"], row["metric"]) == ("m", "f1")}
    assert seeds == {"dev": 3, "test": 2}
    assert bench(*commands(out)["report"])[0] == 0


@pytest.mark.parametrize("kind", ["not a number", "a higher schema"])
@pytest.mark.parametrize("command", ["explore", "predict"])
def test_a_run_that_is_asked_for_by_name_is_refused_with_the_reason(command, kind, out, first, bench):
    edit, said = (IMPOSSIBLE | NEWER)[kind]
    edit_record(first, edit)
    asked = (first.name,) if command == "explore" else (first.path, out / "documents.json")
    status, _, error = bench(command, *asked, "--out", out)
    assert status == 2
    assert said in error
    again = f"`bench run --again {first.name} --out {out}` makes it anew"
    assert (again in error) == (kind == "not a number")


def test_a_run_whose_plan_is_gone_is_counted_and_told_by_every_command(out, first, bench):
    (first.path / "run.json").unlink()
    for name, command in commands(out).items():
        status, printed, error = bench(*command)
        assert status == 0, (name, error)
        assert "run.json: missing" in printed + error, name


@pytest.mark.parametrize("options", [("m-small-human-tiny-s0",), ("--failed",)])
def test_a_run_whose_plan_is_lost_is_not_tried_again_without_a_word(options, out, first, bench):
    (first.path / "run.json").write_text("{")
    options = (first.name, *options[1:]) if options[0] != "--failed" else options
    status, _, error = bench("retry", *options, "--out", out)
    assert status == 1
    assert f"{first.name} cannot be tried again: damaged: run.json: not what was written" in error
    assert "none of these runs can be tried again" in error


def test_predicting_with_a_run_whose_plan_is_lost_says_that_it_is_lost(out, first, bench):
    (first.path / "run.json").unlink()
    (out / "documents.json").write_text("[]")
    status, _, error = bench("predict", first.name, out / "documents.json", "--to", out / "to.json", "--out", out)
    assert status == 2
    assert "is not a finished run: damaged: run.json: missing; what was planned is lost" in error
