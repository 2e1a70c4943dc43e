"""Cards and uploads of runs that were not trained here, and of models that have no weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from checkpoint_files import exported, trained
from huggingface_hub import ModelCard
from small_experiments import execute, plans

from bench.data.catalog.dataset import open_dataset
from bench.errors import UsageError
from bench.execution.imported_run import import_checkpoint
from bench.hub.card import card_text, cell_of
from bench.hub.upload import uploads_of
from bench.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("small")


def files_and_card(folder: RunFolder) -> tuple[set[str], str]:
    text = card_text(cell_of([folder]))
    assert ModelCard(text).data.eval_results
    return {file.path.rpartition("/")[2] for file in uploads_of([folder], text.encode())}, text


def test_weights_of_elsewhere_are_told_as_such(tmp_path: Path):
    checkpoint = exported(tmp_path, trained(tmp_path, "atlop"), "atlop", tmp_path / "file" / "atlop.pt")
    run = import_checkpoint(tmp_path / "imported", checkpoint, open_dataset("small")).run
    files, text = files_and_card(RunFolder(tmp_path / "imported", run))
    assert "selected.safetensors" in files
    assert "trained elsewhere, by the program of ATLOP" in text
    assert "## How it was trained\n\nNot here." in text
    assert "The epoch was chosen" not in text


def test_a_model_without_weights_is_sent_as_its_record_and_predictions(tmp_path, monkeypatch):
    monkeypatch.setattr("small_experiments.SMALL", ())
    (plan,) = plans("prior")
    assert not execute(tmp_path, [plan])
    files, text = files_and_card(RunFolder.of(tmp_path, plan))
    assert files == {
        "README.md", "run.json", "record.json", "predictions-dev.json", "predictions-test.json",
        "predictions-dev.json.sha256", "predictions-test.json.sha256",
    }  # fmt: skip
    assert "It has no weights: `bench run --models prior`" in text
    assert "base_model" not in text
    assert "epochs" not in text


def test_predictions_of_elsewhere_have_no_card(bench, tmp_path):
    run = trained(tmp_path, "atlop")
    predictions = RunFolder.of(tmp_path, run).path / "predictions-test.json"
    status, _, error = bench("import", "Theirs", "--dataset", "small", "--pred", predictions, "--out", tmp_path / "o")
    assert status == 0, error
    (folder,) = (tmp_path / "o" / "runs").iterdir()
    with pytest.raises(UsageError, match="there is no model to describe"):
        cell_of([RunFolder(tmp_path / "o", folder.name)])
