"""Results of the first release: two models, two seeds, two settings, a run that failed and one that was stopped.

`fixtures/schema-1` holds what that program wrote (records, no weights) and what its commands printed of it. They stay
readable for good, and where nothing is said of it in CHANGELOG.md, they read the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.documents import Document
from bench.nn.encoder_source import EncoderSource
from bench.runs.run_folder import run_folders

FIXTURE = Path(__file__).resolve().parents[1] / "fixtures" / "schema-1"
RUN = (
    *("run", "--models", "ttmre,ssrpu", "--seeds", 2, "--settings", "human,human+distant", "--set", "epochs=2"),
    *("--set", "distant.epochs=1", "--set", "pair_size=32", "--set", "block_size=16", "--set", "ttmre.memory=8"),
    *("--set", "ttmre.layers=1", "--launcher", "inline"),
)
PAIR = ("ttmre (block_size=16,epochs=2,layers=1,memory=8,pair_size=32)", "ssrpu (block_size=16,epochs=2,pair_size=32)")


@pytest.fixture
def results(tmp_path, small, monkeypatch) -> Path:
    """The fixture as `results` in an empty folder, which is the working directory."""
    shutil.copytree(FIXTURE / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "results"


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("printed", "command"),
    [
        ("table.txt", ("table",)),
        ("table.csv", ("table", "--format", "csv")),
        ("status.txt", ("status",)),
        ("compare.txt", ("compare", *PAIR)),
        ("audit.txt", ("audit", "--out", "results")),
    ],
    ids=["table", "csv", "status", "compare", "audit"],
)
def test_commands_print_what_they_printed(printed, command, results, bench):
    status, out, error = bench(*command)
    assert (status, error) == (0, "")
    assert lines(out) == lines((FIXTURE / "printed" / printed).read_text())


def test_every_number_of_every_seed_is_the_same(results, bench):
    _, out, _ = bench("table", "--json")
    digest = hashlib.sha256(json.dumps(json.loads(out), sort_keys=True).encode()).hexdigest()
    assert digest == (FIXTURE / "printed" / "table.json.sha256").read_text().strip()


def test_the_tables_of_the_report_are_the_same(results, bench):
    status, _, _ = bench("report", "--no-memory")
    assert status == 0
    frozen = json.loads((FIXTURE / "printed" / "report.json").read_text())
    report = results / "report"
    written = [
        "tables.md",
        "tables.tex",
        "runs.csv",
        *(f"tables/{path.name}" for path in (report / "tables").iterdir()),
    ]
    assert {name: hashlib.sha256((report / name).read_bytes()).hexdigest()[:16] for name in written} == frozen


@pytest.fixture
def plan_as_then(results, monkeypatch) -> None:
    """Plan with the encoder files, the models' code and the version of the harness that the fixture was made with."""
    # Imported before the patch: what these import must not keep the patched function.
    from bench.cli import run_experiments

    plans = [folder.plan() for folder in run_folders(results)]
    code = {stage.class_name: stage.code for plan in plans for stage in plan.stages}
    (version,) = {stage.harness for plan in plans for stage in plan.stages}
    find_encoder = run_experiments.encoder_source.find_encoder
    fingerprint = plans[0].stages[0].encoder_fingerprint  # of files that the libraries write: it changes with them

    def with_that_fingerprint(name: str, documents: Sequence[Document], download: bool = False) -> EncoderSource:
        return replace(find_encoder(name, documents, download), fingerprint=fingerprint)

    monkeypatch.setattr(run_experiments.encoder_source, "find_encoder", with_that_fingerprint)
    monkeypatch.setattr("bench.experiment.planner.code_version", lambda cls: code[cls.__qualname__])
    monkeypatch.setattr("bench.experiment.planner.HARNESS_VERSION", version)


def test_running_it_again_with_that_version_does_nothing(results, bench, plan_as_then):
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    status, out, _ = bench(*RUN)
    assert status == 0
    assert "8 done before" in out
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == before
    assert not (results / "stages").exists()


def test_a_newer_version_of_the_harness_has_runs_of_its_own(results, bench):
    status, out, _ = bench(*RUN, "--dry-run")
    assert status == 0
    assert "8 runs, 12 stages; 0 runs already have their record" in " ".join(out.split())
