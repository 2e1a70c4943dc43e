from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small_experiments import SMALL, execute, plans, stopped

from bench.cli.dry_run import _rate, planned_cells
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder

pytestmark = pytest.mark.usefixtures("small")

CHANGES = [part for change in SMALL for part in ("--set", change)]
RUN = ["run", "--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--dry-run"]


@pytest.fixture(scope="module")
def finished(small_home, tmp_path_factory) -> Path:
    """An output folder with the distant setting of seed 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        out = tmp_path_factory.mktemp("out")
        assert execute(out, plans(settings="distant")) == []
    return out


def test_each_stage_says_what_it_trains_on_how_long_how_fast_and_from_what(bench, tmp_path):
    (tmp_path / "x.toml").write_text('extends = "table3"\ndataset = "small"\nencoder = "tiny"')
    options = ["--config", tmp_path / "x.toml", "--models", "ttmre", "--settings", "human+distant", "--out", tmp_path]
    _, out, _ = bench("run", *options, "--dry-run")
    rows = [line.split() for line in out.splitlines() if "ttmre " in line or "read.memory" in line]
    assert rows[-2] == ["ttmre", "human+distant", "3", "distant", "2", "3e-5", "5e-5", "encoder", "to", "do"]
    assert rows[-1] == ["4", "human", "30", "3e-5", "1e-5", "3;", "frozen:", "read.memory", "to", "do"]


def test_a_student_is_taught_by_a_teacher_that_another_setting_has_too(bench, tmp_path):
    arguments = ["--models", "dreeam", "--settings", "human,human+distant", "--seeds", "2", "--out", tmp_path]
    _, out, _ = bench(*RUN, *arguments)
    assert "encoder; taught by 1 " in out
    assert [line.split()[-1] for line in out.splitlines() if " human " in line][:2] == ["do", "shared"]
    assert "4 runs, 6 stages (2 shared between runs)" in out


def test_what_is_done_begun_and_to_do_is_told_for_all_seeds_together(bench, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    begun = plans(settings="human+distant", seeds="2")[1].stages[0]
    stage_folder(out, begun).mkdir(parents=True)
    _, printed, _ = bench(*RUN, *CHANGES, "--settings", "distant,human+distant", "--seeds", "3", "--out", out)
    assert "1 done, 1 begun of 3" in printed
    assert "6 runs, 6 stages (3 shared between runs); 1 run already has its record" in printed


def test_a_run_without_its_record_is_trained_but_not_done(finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (plan,) = plans(settings="distant")
    assert [cell.done for cell in planned_cells([plan], out, {})] == [1]
    (RunFolder.of(out, plan).path / "record.json").unlink()
    (cell,) = planned_cells([plan], out, {})
    assert (cell.done, cell.stages[0].done) == (0, 1)


def test_all_stages_of_a_finished_run_of_a_model_that_counts_are_done(tmp_path, monkeypatch):
    monkeypatch.setattr("small_experiments.SMALL", ())
    planned = plans("prior", settings="human+distant")
    (cell,) = planned_cells(planned, tmp_path, {})
    assert [stage.done for stage in cell.stages] == [0, 0]
    assert execute(tmp_path, planned) == []
    (cell,) = planned_cells(planned, tmp_path, {})
    assert [stage.done for stage in cell.stages] == [1, 1]


def test_an_interrupted_run_is_begun(tmp_path):
    planned = plans()
    assert stopped(tmp_path, planned, after=3)
    (cell,) = planned_cells(planned, tmp_path, {})
    assert (cell.done, cell.stages[0].done, cell.stages[0].begun) == (0, 0, 1)


def test_what_all_cells_have_is_said_once(bench, tmp_path):
    options = ["--models", "ttmre:layers=1,2,atlop", "--seeds", "1", "--set", "clip=3", "--out", tmp_path]
    _, out, _ = bench(*RUN, *options)
    assert "small, tiny, seed 0, all with clip=3\n" in out
    assert [line.partition("  ")[0] for line in out.splitlines()[2:5]] == [
        "ttmre (layers=1) human",
        "ttmre (layers=2) human",
        "atlop",
    ]


def test_an_experiment_whose_runs_are_all_anothers_says_so(bench, tmp_path):
    (tmp_path / "two.toml").write_text('[[experiment]]\nencoder = "a"\n[[experiment]]\nencoder = "b"\n')
    text = (tmp_path / "two.toml").read_text().replace("[[experiment]]\n", '[[experiment]]\nmodels = ["atlop"]\n')
    (tmp_path / "two.toml").write_text(text)
    _, out, _ = bench(*RUN, "--config", tmp_path / "two.toml", "--seeds", "2", "--out", tmp_path)
    assert "1. small, tiny, seeds 0 to 1" in out
    assert "2. small, tiny, seeds 0 to 1\nthe same runs as above" in out
    assert "2 runs, 2 stages;" in out


def test_a_published_table_can_be_looked_at_before_anything_of_it_is_here(bench, tmp_path):
    status, out, _ = bench("run", "--config", "table8", "--dry-run", "--out", tmp_path)
    assert status == 0
    assert "redocred, roberta-large, seeds 0 to 4" in out
    assert "20 runs, 40 stages; 0 runs already have their record" in out
    assert "before any of it can be run:\ndata set 'redocred' is not here yet" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "To download it: bench run ... --encoder nobody/has-this --download"),
        (("--download",), "--download fetches the encoder 'nobody/has-this', if the Hub has it"),
    ],
)
def test_an_encoder_that_is_not_here_is_downloaded_by_whoever_says_so(options, said, bench, tmp_path):
    wanted = ["--models", "atlop", "--dataset", "small", "--encoder", "nobody/has-this", "--out", tmp_path]
    status, out, _ = bench("run", *wanted, "--dry-run", *options)
    assert status == 0
    assert out.partition("before any of it can be run:\n")[2].splitlines()[-1] == said


def test_an_unknown_data_set_is_no_data_set_to_fetch(bench):
    status, _, err = bench("run", "--models", "atlop", "--dataset", "redocrad", "--dry-run")
    assert status == 2
    assert "unknown data set 'redocrad'. Did you mean 'redocred'?" in err


def test_a_script_gets_the_plan_as_json(bench, tmp_path):
    arguments = ["--models", "dreeam,atlop", "--settings", "distant,human+distant", "--seeds", "2"]
    status, out, err = bench(*RUN, *arguments, "--out", tmp_path, "--json")
    assert status == 0
    assert err.startswith("left out: dreeam has no setting distant")
    (experiment,) = json.loads(out)["experiments"]
    assert {key: experiment[key] for key in ("dataset", "encoder", "seeds")} == {
        "dataset": "small",
        "encoder": "tiny",
        "seeds": [0, 1],
    }
    cells = {(cell["model"], cell["setting"]): cell for cell in experiment["cells"]}
    assert [stage["training"] for stage in cells["atlop", "distant"]["stages"]] == [1]
    assert [stage["starts_from"] for stage in cells["atlop", "human+distant"]["stages"]] == [None, 1]
    teacher, student, after = cells["dreeam", "human+distant"]["stages"]
    assert student["taught_by"] == teacher["training"]
    assert after["starts_from"] == student["training"]
    assert after["optimisation"]["epochs"] == 10


def test_json_is_of_the_dry_run_alone(bench):
    status, _, err = bench("run", "--models", "atlop", "--json")
    assert status == 2
    assert "--json is for --dry-run" in err


def test_a_cell_that_a_model_does_not_have_is_left_out_and_told(bench, tmp_path):
    arguments = ["--models", "dreeam,atlop", "--settings", "distant", "--seeds", "1", "--out", tmp_path]
    status, out, _ = bench(*RUN, *arguments)
    assert status == 0
    assert out.startswith("left out: dreeam has no setting distant: ")
    assert "1 run, 1 stage" in out


@pytest.mark.parametrize(
    ("value", "shown"), [(3e-5, "3e-5"), (1e-4, "1e-4"), (0.0025, "2.5e-3"), (0.0, "0"), (1.0, "1e0")]
)
def test_rates_are_shown_as_papers_have_them(value, shown):
    assert _rate(value) == shown
