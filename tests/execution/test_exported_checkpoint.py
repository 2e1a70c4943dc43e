"""Trained runs in the form of the authors' programs, and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import Published, encoder_folder, exported, scores_of, trained
from small_experiments import execute, plans

from bench.data.catalog.dataset import open_dataset
from bench.errors import UsageError
from bench.execution.exported_checkpoint import export_checkpoint
from bench.execution.imported_run import import_checkpoint
from bench.outside.mappings import MAPPINGS
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, announce


def read_back(out: Path, plan: RunPlan, model: str) -> None:
    """Write the checkpoint of a run, import it, and hold the logits of the two against each other."""
    checkpoint = exported(out, plan, model, out / "file" / "checkpoint.pt")
    back = import_checkpoint(out / "back", checkpoint, open_dataset("small"))
    documents = open_dataset("small").documents("test")
    before, after = scores_of(out, plan.folder, documents), scores_of(out / "back", back.run, documents)
    pairs = np.array(list(before.logits))
    for one, other in zip(before.of(pairs), after.of(pairs), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.ptp(before.of(pairs)[0], axis=0).min() > 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("model", MAPPINGS)
def test_what_is_written_gives_the_same_logits_when_it_is_read_back(model, tmp_path):
    read_back(tmp_path, trained(tmp_path, model), model)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("kind", "positions"), [("roberta", 66), ("deberta-v3", None)])
def test_encoders_are_written_as_the_programs_versions_of_transformers_have_them(kind, positions, tmp_path):
    read_back(tmp_path, trained(tmp_path, "atlop", encoder_folder(kind, tmp_path / "encoder")), "atlop")
    tensors = torch.load(tmp_path / "file" / "checkpoint.pt", weights_only=True)
    assert ("model.pooler.dense.weight" in tensors) == (kind == "roberta")
    if positions is not None:
        assert tensors["model.embeddings.position_ids"].tolist() == [list(range(positions))]


@pytest.mark.parametrize("model", [model for model in MAPPINGS if model != "kd_docre"])
def test_a_programs_own_checkpoint_comes_back_with_every_tensor_that_it_uses(model, shared_file, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    published = Published(shared_file, tmp_path)
    run = RunFolder(published.out, published.imported(model).run)
    export_checkpoint(run, model, tmp_path / "back.pt", published.relations)
    theirs = torch.load(published.checkpoint(model).path, weights_only=True)
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert {name: (t.shape, t.dtype) for name, t in back.items()} == {n: (t.shape, t.dtype) for n, t in theirs.items()}
    unused = {"model.pooler.dense.weight", "model.pooler.dense.bias"}
    unused |= {name for of in MAPPINGS[model].unused for name in of.tensors}
    for name in theirs.keys() - unused:
        assert torch.equal(back[name], theirs[name]), name
    assert json.loads((tmp_path / "rel2id.json").read_text()) == json.loads(published.relations.read_text())


@pytest.mark.usefixtures("small")
def test_what_no_program_can_load_is_refused_with_the_reason(tmp_path):
    (plan,) = plans("ssrpu")
    atlop = trained(tmp_path, "atlop")
    announce(tmp_path, [plan])
    with pytest.raises(UsageError, match="not a finished run"):
        export_checkpoint(RunFolder.of(tmp_path, plan), "atlop", tmp_path / "a.pt")
    run = RunFolder.of(tmp_path, atlop)
    with pytest.raises(UsageError, match=r"is of atlop, whose weights mean nothing in that model's program"):
        export_checkpoint(run, "dreeam", tmp_path / "a.pt")
    with pytest.raises(UsageError, match=r"--as pubmedbert: no program is known"):
        export_checkpoint(run, "pubmedbert", tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.usefixtures("small")
def test_weights_of_another_loss_are_refused_since_the_program_would_decide_otherwise(tmp_path):
    run = RunFolder.of(tmp_path, trained(tmp_path, "atlop:loss=balanced-softmax"))
    with pytest.raises(UsageError, match="trained with the loss balanced-softmax"):
        export_checkpoint(run, "atlop", tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


@pytest.mark.usefixtures("small")
def test_an_order_of_relations_that_is_there_is_not_written_over(tmp_path):
    run = RunFolder.of(tmp_path, trained(tmp_path, "atlop"))
    other = tmp_path / "rel2id.json"
    other.write_text('{"Na": 0, "leads": 1, "knows": 2}')
    with pytest.raises(UsageError, match="another order"):
        export_checkpoint(run, "atlop", tmp_path / "a.pt")
    told = export_checkpoint(run, "atlop", tmp_path / "a.pt", other).notes
    assert json.loads(other.read_text()) == {"Na": 0, "leads": 1, "knows": 2}
    assert any("pair_size is 16 here and 768 in the code of ATLOP's program" in note for note in told)
    assert any("num_labels=4" in note for note in told)


@pytest.mark.usefixtures("small")
def test_a_run_that_only_predicts_otherwise_is_written_as_what_it_was_trained_as(tmp_path):
    (plan,) = plans("dreeam-isf", "epochs=1")
    assert not execute(tmp_path, [plan])
    made = export_checkpoint(RunFolder.of(tmp_path, plan), "dreeam", tmp_path / "file" / "dreeam.pt")
    assert (tmp_path / "file" / "dreeam.pt").exists()
    chosen = RunFolder.of(tmp_path, plan).record().chosen
    assert any(f" with {chosen}, chosen on dev; the program decides by the logits alone" in note for note in made.notes)
