"""Runs that the same command would not find again today."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_experiments import plans

from bench.execution import stale
from bench.execution.stale import stale_runs
from bench.inference import changed_code
from bench.interface import Inference
from bench.runs.run_folder import announce, run_folders

pytestmark = pytest.mark.usefixtures("small")
SCHEMA_1 = Path(__file__).resolve().parents[1] / "fixtures" / "schema-1" / "results"


@pytest.fixture
def out(tmp_path) -> Path:
    """A run that is planned and not begun."""
    announce(tmp_path, plans("atlop"))
    return tmp_path


def reasons(out: Path) -> list[str]:
    return list(stale_runs(out).values())


def test_what_is_planned_today_is_not_stale(out):
    assert reasons(out) == []


def test_an_older_version_of_harness_and_metric_is_told(out, monkeypatch):
    monkeypatch.setattr(stale, "HARNESS_VERSION", 100)
    monkeypatch.setattr(stale, "METRIC_VERSION", 99)
    (why,) = reasons(out)
    assert why.startswith("stale: version ")
    assert "of the harness, today's is 100; version " in why
    assert why.endswith("of the metric, today's is 99")


def test_changed_code_is_told(out, monkeypatch):
    monkeypatch.setattr("bench.inference.changed_code.code_version", lambda cls: "another")
    assert reasons(out) == ["stale: the code of atlop has changed"]


def test_changed_code_of_an_inference_is_told(tmp_path, monkeypatch):
    announce(tmp_path, plans("dreeam-isf"))
    real = changed_code.code_version
    monkeypatch.setattr(changed_code, "code_version", lambda cls: real(cls) + "x" * issubclass(cls, Inference))
    assert reasons(tmp_path) == ["stale: the code of the inference of dreeam-isf has changed"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"relations": ("r",)}, "stale: other relations now"),
        ({"facts_source": lambda: {"file": "x.fact", "sha256": "x"}}, "stale: other facts for Ign F1 now"),
    ],
)
def test_other_relations_and_facts_are_told(changed, said, out, monkeypatch):
    real = stale.open_dataset

    def opened(name):
        dataset = real(name)
        for attribute, value in changed.items():
            monkeypatch.setattr(dataset, attribute, value)
        return dataset

    monkeypatch.setattr(stale, "open_dataset", opened)
    assert reasons(out) == [said]


def test_other_documents_under_the_same_name_are_told(out, monkeypatch):
    real = stale.open_dataset

    def changed(name):
        dataset = real(name)
        checksum = dataset.checksum
        monkeypatch.setattr(dataset, "checksum", lambda split: checksum(split) + "x" * (split in ("train", "dev")))
        return dataset

    monkeypatch.setattr(stale, "open_dataset", changed)
    assert reasons(out) == ["stale: other documents now: dev, train"]


def test_a_data_set_that_is_not_here_tells_nothing(out, monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "empty"))
    assert reasons(out) == []


def test_code_that_only_the_folder_names_is_not_imported(tmp_path):
    plugin = tmp_path / "theirs.py"
    plugin.write_text("raise SystemExit('imported')")
    (plan,) = plans("atlop")
    stages = tuple(stage.model_copy(update={"reference": f"{plugin}:Theirs"}) for stage in plan.stages)
    announce(tmp_path / "out", [plan.model_copy(update={"stages": stages})])
    assert reasons(tmp_path / "out") == []


def test_only_what_is_stale_is_shown_and_removed(out, bench):
    shutil.copytree(SCHEMA_1, out, dirs_exist_ok=True)
    count = len(list(run_folders(out)))
    status, printed, _ = bench("status", "--stale", "--out", out)
    assert (status, "waiting" in printed) == (0, False)
    assert "stale: version 2 of the harness, today's is" in printed
    status, printed, _ = bench("remove", "--stale", "--yes", "--out", out)
    assert status == 0
    assert len(list(run_folders(out))) == 1 < count
    assert bench("remove", "--stale", "--yes", "--out", out)[1] == "no run is stale\n"
    assert bench("status", "--stale", "--out", out)[1].strip() == "no run is stale"
