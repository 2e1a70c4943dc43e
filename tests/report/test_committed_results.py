"""What is committed of our own experiments is whole, and everything else is made from it."""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

import pytest

from bench.analysis.aggregate import load_cells
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.variants import ResolvedStage, resolve_stages, variant_name
from bench.runs.archive import ARCHIVE, archived_runs
from bench.runs.plan import StagePlan

FOLDER = Path(__file__).resolve().parents[2] / "results" / "redocred-small-minilm"


@pytest.fixture
def committed(tmp_path, monkeypatch) -> Path:
    """The archive of records alone, in an empty folder."""
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    (tmp_path / "results").mkdir()
    shutil.copy(FOLDER / ARCHIVE, tmp_path / "results")
    return tmp_path / "results"


def settings_of(stages: Iterable[StagePlan | ResolvedStage], without: Sequence[str] = ()) -> str:
    """Everything that training a model stage by stage is set to, but for the parts that are frozen."""
    return str(
        [
            (
                stage.training,
                sorted((k, v) for k, v in stage.hyperparameters.items() if k not in without),
                sorted(dict(stage.loss.hyperparameters).items()) if stage.loss else "its own loss",
            )
            for stage in stages
        ]
    )


def test_every_run_is_as_it_was_written_and_as_the_files_plan_it(committed: Path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    planned = {
        (variant.entry.name, variant_name(variant, setting, experiment.named), setting, seed, settings_of(stages))
        for file in FOLDER.glob("*.toml")
        if file.name != "base.toml"
        for experiment in make_experiments(CommandLine(config=file))
        for setting, variant in experiment.cells
        for stages in [resolve_stages(variant, setting, experiment.overrides)]
        for seed in experiment.seeds
    }
    for folder in archived_runs(committed):
        found = folder.verdict()
        assert not found.why, folder.name
        plan = found.plan
        as_made = (plan.model, plan.variant, plan.setting, plan.seed, settings_of(plan.stages))
        assert as_made in planned, folder.name


def test_with_and_without_a_memory_all_else_is_equal(monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    trained: dict[str, set[str]] = {}
    for experiment in make_experiments(CommandLine(config=FOLDER / "memory.toml")):
        for setting, variant in experiment.cells:
            stages = resolve_stages(variant, setting, experiment.overrides)
            all_else = settings_of(stages, without=("memory", "layers", "read"))
            trained.setdefault(variant.entry.name, set()).add(f"{setting}: {all_else}")
    assert trained["MemoryOrNot"] == trained["ttmre"]
    assert len(trained["ttmre"]) == 3  # one way in each setting


def test_tables_are_those_that_the_records_make(committed: Path, bench):
    status, _, error = bench("table", "--out", committed)
    assert (status, error) == (0, "")
    assert (committed / "tables" / "runs.md").read_text() == (FOLDER / "tables" / "runs.md").read_text()


@pytest.mark.parametrize("file", sorted((FOLDER / "compare").glob("*.txt")), ids=lambda file: file.stem)
def test_comparisons_are_those_that_the_records_make(file: Path, committed: Path, bench, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    command, _, printed = file.read_text().partition("\n")
    program, *arguments, option, out = shlex.split(command.removeprefix("$ "))
    assert (option, out) == ("--out", "results/redocred-small-minilm")
    if program == "bench":
        status, said, error = bench(*arguments, "--out", committed)
        assert (status, error) == (0, "")
    else:
        script, *arguments = arguments
        assert (program, Path(script).parent) == ("python", Path("benchmarks"))
        monkeypatch.setattr("sys.argv", [script, *arguments, "--out", str(committed)])
        import_module(Path(script).stem).main()
        said = capsys.readouterr().out
    assert said == printed


def test_answers_have_the_numbers_of_tables_and_comparisons():
    page = (FOLDER.parent / "README.md").read_text()
    answers = page[page.index("## Is the memory") : page.index("## Published numbers")]
    table = (FOLDER / "tables" / "runs.md").read_text()
    compared = " ".join(file.read_text() for file in (FOLDER / "compare").glob("*.txt"))
    scores = re.findall(r"\d+\.\d\d ± \d+\.\d\d", answers)
    assert len(scores) > 5
    assert [score for score in scores if score not in table] == []
    intervals = re.findall(r"[+-]\d+\.\d\d to [+-]\d+\.\d\d", answers)
    assert len(intervals) > 2
    assert [interval for interval in intervals if interval not in compared] == []


def test_a_report_is_made_of_the_records_alone(committed: Path, bench):
    status, printed, _ = bench("report", "--out", committed)
    assert status == 0
    assert "tables of results" in printed
    page = (committed / "report" / "report.html").read_text()
    finished = sum(len(cell.records) for cell in load_cells(committed))
    assert f"{finished} of {sum(cell.expected for cell in load_cells(committed))}" in page


def test_every_row_of_the_main_table_says_of_how_many_seeds_it_is(committed: Path):
    seeds = tomllib.loads((FOLDER / "base.toml").read_text())["seeds"]
    cells = load_cells(committed)
    assert {cell.expected for cell in cells} == {len(seeds)}
    assert {cell.plans[0].setting for cell in cells} == {"human", "ext", "human+distant"}
