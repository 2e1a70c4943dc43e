"""The model of docs/your-model.md is a file that works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from own_models import COMPANY, finished_run, write_model
from small_experiments import documents

from bench.data.formats.docred import write_documents
from bench.execution.counting_checks import check_counting
from bench.execution.loss_checks import check_loss
from bench.execution.model_checks import check_model
from bench.registry import find, find_loss

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "mean_pair.py"
PAGE = ROOT / "docs" / "your-model.md"


def test_the_example_model_passes_every_check():
    findings = list(check_model(find(f"{EXAMPLE}:MeanPair").cls))
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) > 5


def test_the_example_without_gradients_passes_every_check():
    findings = list(check_counting(find(f"{EXAMPLE.with_name('most_frequent.py')}:MostFrequent").cls))
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) > 5


def test_the_example_of_a_loss_passes_every_check():
    cls = find_loss(f"{EXAMPLE.with_name('squared_hinge.py')}:SquaredHinge").cls
    assert [finding for finding in check_loss(cls, cls.Hyperparameters()) if not finding.holds] == []


def test_the_page_shows_the_example_as_it_is():
    shown = PAGE.read_text(encoding="utf-8").split("```")[1].splitlines()[1:]
    code = EXAMPLE.read_text(encoding="utf-8")
    for line in shown:
        bare = line.split("  #")[0].rstrip()
        if bare.strip() in ("", "..."):
            continue
        # The page leaves the type annotations of signatures out.
        wanted = bare.split("(")[0] if bare.strip().startswith("def ") else bare
        assert wanted in code, f"{PAGE.name} shows {line!r}, which is not in {EXAMPLE.name}"


@pytest.mark.parametrize(
    "command", ["bench models check examples/mean_pair.py:", "bench run --models examples/mean_pair"]
)
def test_the_commands_of_the_example_are_those_of_the_page(command):
    assert command in PAGE.read_text(encoding="utf-8")
    assert command in EXAMPLE.read_text(encoding="utf-8")


def test_what_depends_on_the_documents_beside_it_is_counted(small, tmp_path):
    plan = finished_run(tmp_path / "out", write_model(tmp_path / "model", COMPANY))
    write_documents(tmp_path / "x.json", documents("test", 2))
    run = tmp_path / "out" / "runs" / plan.folder
    command = [sys.executable, ROOT / "examples" / "neighbours.py", run, tmp_path / "x.json", "--batch-sizes", "2"]
    said = subprocess.run([*command, "--trust-code"], check=True, capture_output=True, text=True).stdout
    pairs = sum(len(d.entities) * (len(d.entities) - 1) for d in documents("test", 2))
    rows = [[cell.strip() for cell in line.split("|")[1:5]] for line in said.splitlines()[2:]]
    assert rows == [["1", f"{pairs:,}", "", ""], ["2", f"{pairs:,}", f"{pairs:,}", f"{pairs:,}"]]


@pytest.mark.parametrize(("arguments", "said"), [
    (["nowhere", "x.json", "--batch-sizes", "0"], "whole numbers above 1"),
    (["nowhere", "x.json"], "nothing has been planned"),
    (["nowhere", "x.json", "--batch-sizes", "a,b"], "invalid sizes value: 'a,b'"),
])  # fmt: skip
def test_what_cannot_be_asked_of_neighbours_is_one_message(arguments, said, tmp_path):
    command = [sys.executable, ROOT / "examples" / "neighbours.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
