"""Checkpoints of the authors' programs: the programs' own logits and decisions, and files that do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import Published, changed, exported, scores_of, trained
from small_experiments import plans

from bench.data.catalog.dataset import open_dataset
from bench.data.formats.detect import read_documents
from bench.errors import NewerVersionError, UsageError
from bench.execution.imported_run import Checkpoint, import_checkpoint
from bench.filesystem import read_sealed, write_sealed
from bench.runs.run_folder import RunFolder, run_folders
from bench.runs.stage_folder import stage_folder

RECORDED = [
    ("atlop", "", False),
    ("ssrpu", "", False),
    ("kd_docre-released", "", False),
    ("kd_docre", "_own_cells", False),
    ("dreeam", "", False),
    ("ttmre-released", "", False),
    ("ttmre-released", "_one_batch", True),
]
ROUNDING = 3e-5
"""The programs' float32 is up to 1.6e-5 from their float64."""


@pytest.fixture
def published(shared_file, tmp_path, monkeypatch) -> Published:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return Published(shared_file, tmp_path)


@pytest.fixture(scope="module")
def of_atlop(small_home, tmp_path_factory) -> tuple[Path, Checkpoint]:
    """A trained run's output folder, and a checkpoint of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        folder = tmp_path_factory.mktemp("atlop")
        return folder, exported(folder, trained(folder, "atlop"), "atlop", folder / "file" / "atlop.pt")


@pytest.fixture
def checkpoint(small, of_atlop) -> Checkpoint:
    return of_atlop[1]


def imported(out: Path, checkpoint: Checkpoint):
    return import_checkpoint(out, checkpoint, open_dataset("small"))


# The programs' own


@pytest.mark.parametrize(("model", "recording", "together"), RECORDED)
def test_logits_and_decisions_are_those_that_the_program_itself_makes(model, recording, together, published):
    run = published.imported(model).run
    recorded = published.recorded(model)
    columns = published.columns(json.loads(published.relations.read_text()))
    documents = read_documents(published.find("documents.json"))
    logits, decided = scores_of(published.out, run, documents, together).of(recorded["pairs"])
    np.testing.assert_allclose(logits, recorded[f"logits{recording}"][:, columns], rtol=0, atol=ROUNDING)
    np.testing.assert_array_equal(decided, recorded[f"predicted{recording}"][:, columns[1:]])


def test_evidence_is_the_sentences_that_the_program_itself_finds(published):
    run = published.imported("dreeam").run
    recorded = published.recorded("dreeam")
    found = scores_of(published.out, run, read_documents(published.find("documents.json"))).evidence
    for pair, expected in zip(recorded["pairs"].tolist(), recorded["evidence"], strict=True):
        own = found[tuple(pair)]
        np.testing.assert_array_equal(own, expected[: len(own)])
        assert not expected[len(own) :].any()


def test_sizes_are_read_from_the_file_and_what_has_no_use_is_told(published):
    of = published.imported("ttmre-released")
    stage = RunFolder(published.out, of.run).plan().last
    sizes = {name: stage.hyperparameters[name] for name in ("pair_size", "block_size", "layers", "memory")}
    assert sizes == {"pair_size": 48, "block_size": 12, "layers": 2, "memory": 200}
    assert stage.training.batch_size == 1
    told = " ".join(of.notes)
    for what in ("layers=2", "26 tensors: the step that writes", "2 tensors: heads and tails", "one document in each"):
        assert what in told


def test_a_file_of_another_program_is_refused_with_its_name(published):
    of_kd = replace(published.checkpoint("kd_docre"), model="dreeam")
    with pytest.raises(UsageError, match=r"not what DREEAM's(.|\n)*projection\.weight.*import-checkpoint kd_docre-rel"):
        import_checkpoint(published.out, of_kd, published.dataset)
    assert not published.out.exists()


def test_kd_docres_paper_form_of_its_checkpoint_is_told_to_differ(published):
    assert any("kd_docre-released computes" in note for note in published.imported("kd_docre").notes)
    assert not any("kd_docre-released" in note for note in published.imported("kd_docre-released").notes)


# What becomes of it


def test_a_run_is_finished_and_its_plan_says_where_its_weights_are_from(checkpoint, tmp_path):
    said = replace(checkpoint, source="a page", note="a note")
    of = imported(tmp_path, said)
    assert of.is_new
    found = RunFolder(tmp_path, of.run).verdict()
    weights = found.plan.imported
    assert (weights.mapping, weights.file, weights.source, weights.note) == ("ATLOP", "atlop.pt", "a page", "a note")
    assert weights.columns == ("leads", "knows")
    assert found.plan.relations == ("knows", "leads")
    (stage,) = found.record.stages
    assert stage.dev_f1 == [found.record.splits["dev"].scores.f1]


def test_the_same_file_again_is_nothing_new_whatever_is_said_of_it(checkpoint, tmp_path):
    first = imported(tmp_path, checkpoint)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "lock" not in path.name}
    again = imported(tmp_path, replace(checkpoint, source="a page"))
    assert (again.run, again.is_new) == (first.run, False)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    "damaged", ["record.json", "run.json", "predictions-test.json", "selected.safetensors", "config.json"]
)
def test_whatever_is_damaged_is_made_anew_by_importing_it_again(damaged, checkpoint, tmp_path):
    first = imported(tmp_path, checkpoint)
    (path,) = tmp_path.rglob(damaged)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    again = imported(tmp_path, checkpoint)
    assert (again.run, again.is_new) == (first.run, True)
    assert path.read_bytes() == whole
    assert not imported(tmp_path, checkpoint).is_new


def test_what_a_newer_version_has_made_of_it_is_kept(checkpoint, tmp_path):
    path = tmp_path / "runs" / imported(tmp_path, checkpoint).run / "record.json"
    write_sealed(path, "record", read_sealed(path, "record") | {"schema_version": 99})
    newer = path.read_bytes()
    with pytest.raises(NewerVersionError, match="made by a newer version"):
        imported(tmp_path, checkpoint)
    assert path.read_bytes() == newer


def test_files_of_other_seeds_are_one_row_which_is_not_that_of_trained_runs(checkpoint, tmp_path):
    other = changed(checkpoint.path, lambda tensors: tensors["bilinear.bias"].add_(1), tmp_path / "b.pt")
    imported(tmp_path, checkpoint)
    imported(tmp_path, replace(checkpoint, path=other, seed=67))
    one, two = (folder.plan() for folder in run_folders(tmp_path))
    assert one.configuration == two.configuration
    assert one.stages[0].key != two.stages[0].key
    assert one.configuration != plans("atlop", encoder="tiny")[0].configuration


def test_another_file_of_a_seed_is_refused_and_names_what_is_there(checkpoint, tmp_path):
    first = imported(tmp_path, checkpoint)
    other = changed(checkpoint.path, lambda tensors: tensors["bilinear.bias"].add_(1), tmp_path / "b.pt")
    with pytest.raises(UsageError, match=rf"seed 66 of this row is atlop.pt already(.|\n)*bench remove {first.run}"):
        imported(tmp_path, replace(checkpoint, path=other))


def test_one_file_is_a_run_of_its_own_for_each_setting_that_it_is_said_to_be_of(checkpoint, tmp_path):
    imported(tmp_path, checkpoint)
    imported(tmp_path, replace(checkpoint, setting="distant"))
    one, two = (folder.plan() for folder in run_folders(tmp_path))
    assert {one.setting, two.setting} == {"human", "distant"}
    assert one.key != two.key


def test_plans_of_trained_runs_say_nothing_of_imports_so_that_versions_before_read_them(small):
    (plan,) = plans("atlop")
    assert "imported" not in plan.model_dump(mode="json")["stages"][0]


def test_relations_in_another_order_give_the_same_predictions(checkpoint, tmp_path):
    def exchange(tensors):
        for name in ("bilinear.weight", "bilinear.bias"):
            tensors[name] = tensors[name][[0, 2, 1]]

    order = tmp_path / "other.json"
    order.write_text('{"Na": 0, "knows": 1, "leads": 2}')
    file = changed(checkpoint.path, exchange, tmp_path / "b.pt")
    one, other = tmp_path / "one", tmp_path / "other"
    runs = [imported(one, checkpoint), imported(other, replace(checkpoint, path=file, relations=order))]
    assert runs[0].run != runs[1].run
    first, second = (out / "runs" / of.run for out, of in zip((one, other), runs, strict=True))
    assert (first / "predictions-test.json").read_bytes() == (second / "predictions-test.json").read_bytes()


def test_half_precision_is_read_as_single_and_told(checkpoint, tmp_path):
    def halve(tensors):
        tensors["bilinear.weight"] = tensors["bilinear.weight"].half()

    of = imported(tmp_path / "out", replace(checkpoint, path=changed(checkpoint.path, halve, tmp_path / "b.pt")))
    assert any("1 tensor of torch.float16, read as torch.float32" in note for note in of.notes)


# What does not fit


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("bilinear.bias"), r"missing: bilinear\.bias \[3\] \(classifier\.bias here, a row for each"),
        (lambda t: t.update({"bilinear.bias": torch.ones(5)}), r"unfit: bilinear\.bias is \[5\], expected \[3\]"),
        (lambda t: t.update({"bilinear.bias": torch.ones(3).long()}), r"unfit: bilinear\.bias is of torch\.int64"),
        (lambda t: t["bilinear.bias"][0].fill_(torch.nan), r"bilinear\.bias has 1 number of 3 that is NaN"),
        (lambda t: t.update({"span.weight": torch.ones(2, 3)}), r"unexpected: span\.weight \[2, 3\]"),
        (lambda t: t.pop("model.embeddings.LayerNorm.bias"), r"LayerNorm\.bias \[128\] \(of the encoder\)"),
        (lambda t: t.pop("head_extractor.weight"), r"missing: head_extractor\.weight"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named_with_what_it_would_have_been(change, said, checkpoint, tmp_path):
    file = changed(checkpoint.path, change, tmp_path / "b.pt")
    with pytest.raises(UsageError, match=said) as error:
        imported(tmp_path / "out", replace(checkpoint, path=file))
    assert str(file) in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ('{"Na": 0, "knows": 1}', r"without a column: leads"),
        ('{"Na": 0, "knows": 1, "leads": 2, "likes": 3}', r"not of the data set: likes"),
        ('{"knows": 0, "leads": 1, "Na": 2}', r"0 is 'knows'"),
        ('{"Na": 0, "knows": 1, "leads": 1}', r"from 0 to 2, each once"),
        ('{"knows": "knows", "leads": "leads"}', r"expected the program's rel2id"),
        ("[]", r"expected the program's rel2id"),
    ],
)
def test_relations_that_are_not_the_columns_of_the_data_set_are_refused(numbers, said, checkpoint, tmp_path):
    path = tmp_path / "rel2id.json"
    path.write_text(numbers)
    with pytest.raises(UsageError, match=said):
        imported(tmp_path / "out", replace(checkpoint, relations=path))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"model": "ttmre"}, r"'ttmre' here. That of its authors' program is 'ttmre-released'"),
        ({"changes": {"layers": 2}}, r"unknown hyperparameter of atlop 'layers'"),
        ({"changes": {"pair_size": 32}}, r"head_extractor\.weight is \[16, 256\], expected \[32, 256\]"),
        ({"changes": {"num_labels": 0}}, r"num_labels = 0"),
        ({"max_length": 2}, r"--max-length 2 leaves no room"),
        ({"encoder": "no/such"}, r"no/such"),
        ({"path": Path("nowhere.pt")}, r"nowhere.pt: no such file"),
    ],
)
def test_what_is_said_wrong_is_refused_before_anything_is_written(said, expected, checkpoint, tmp_path):
    with pytest.raises(UsageError, match=expected):
        imported(tmp_path / "out", replace(checkpoint, **said))
    assert not (tmp_path / "out").exists()


def test_a_setting_that_the_model_does_not_have_is_refused_with_the_reason(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="dreeam has no setting distant: there it is a student"):
        imported(tmp_path, replace(checkpoint, model="dreeam", setting="distant"))


def test_an_encoder_without_weights_will_do_since_they_are_in_the_file(checkpoint, tmp_path):
    of = imported(tmp_path / "tiny", checkpoint)
    stage = RunFolder(tmp_path / "tiny", of.run).plan().last
    folder = stage_folder(tmp_path / "tiny", stage) / "encoder"
    assert not list(folder.glob("*.safetensors"))
    again = imported(tmp_path / "out", replace(checkpoint, encoder=str(folder)))
    assert again.record.splits == of.record.splits
