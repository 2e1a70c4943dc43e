from __future__ import annotations

from pathlib import Path

import pytest
import torch
from checkpoint_files import trained

from bench.data.catalog.dataset import open_dataset
from bench.data.formats.docred import write_documents
from bench.runs.run_folder import run_folders


@pytest.fixture(scope="module")
def files(small_home, tmp_path_factory) -> Path:
    """A folder with a trained run of ATLOP in `own`, its checkpoint, and the order of its relations."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        trained(folder / "own", "atlop")
    return folder


@pytest.fixture
def out(files, small, bench, tmp_path, monkeypatch) -> Path:
    """An output folder with one imported run, in the folder of work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    run = next(run_folders(files / "own"))
    status, printed, error = bench("export-checkpoint", run.path, "--as", "atlop", "--to", "atlop.pt")
    assert status == 0, error
    assert "rel2id.json" in printed
    status, printed, error = imported(bench)
    assert status == 0, error
    assert "test F1" in printed
    return tmp_path / "out"


def imported(bench, *more: object) -> tuple[int, str, str]:
    said = ("--dataset", "small", "--encoder", "tiny", "--relations", "rel2id.json", "--out", "out")
    return bench("import-checkpoint", "atlop", "atlop.pt", *said, *more)


def test_every_command_over_results_takes_it(out, bench):
    for command in ("status", "table", "audit", "report", "explore"):
        status, _, error = bench(command, "--out", "out")
        assert (command, status) == (command, 0), error
    assert "1 done" in bench("status", "--out", "out")[1]
    assert all(",imported," in line for line in Path("out/report/runs.csv").read_text().splitlines()[1:])


def test_tables_mark_it_and_say_what_file_it_is(out, bench):
    printed = " ".join(bench("table", "--out", "out")[1].split())
    assert "atlop (imported)" in printed
    assert "weights trained elsewhere, evaluated here (seed 66: atlop.pt of ATLOP's program, sha256" in printed


def test_it_predicts_as_the_run_that_its_weights_are_from(out, files, bench):
    write_documents("test.json", open_dataset("small").documents("test"))
    (run,) = run_folders(Path("out"))
    assert bench("predict", run.path, "test.json", "--to", "a.json")[0] == 0
    assert bench("predict", next(run_folders(files / "own")).path, "test.json", "--to", "b.json")[0] == 0
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()


def test_the_same_again_says_that_it_is_there(out, bench):
    assert "was there already" in imported(bench)[1]


def test_a_changed_hyperparameter_is_in_its_name(out, bench):
    imported(bench, "--set", "num_labels=2")
    assert "atlop (imported,num_labels=2)" in bench("table", "--out", "out")[1]


@pytest.mark.parametrize("damaged", [False, True])
def test_it_is_imported_again_and_neither_run_nor_tried_again(damaged, out, bench):
    (run,) = run_folders(out)
    if damaged:
        (run.path / "record.json").write_text("{")
        assert "`bench import-checkpoint`" in " ".join(bench("status", "--out", "out")[1].split())
    for command in (("run", "--again", run.name), ("retry", run.name)):
        status, _, error = bench(*command, "--out", "out")
        assert status != 0
        assert "`bench import-checkpoint` of its file makes it anew" in error
    assert imported(bench)[0] == 0
    assert "1 done" in bench("status", "--out", "out")[1]


def test_an_import_that_was_not_finished_is_told_what_goes_on_with_it(out, bench):
    (run,) = run_folders(out)
    for left in ("record.json", "status.json"):
        (run.path / left).unlink()
    assert "not finished; `bench import-checkpoint`" in " ".join(bench("status", "--out", "out")[1].split())


def test_a_model_that_is_damaged_is_told_what_makes_it_anew(out, bench):
    (weights,) = out.rglob("selected.safetensors")
    weights.write_bytes(b"")
    write_documents("test.json", open_dataset("small").documents("test"))
    (run,) = run_folders(out)
    status, _, error = bench("predict", run.path, "test.json", "--to", "a.json")
    assert status == 1
    assert "`bench import-checkpoint`" in error


def test_it_can_be_removed_with_its_weights(out, bench):
    (run,) = run_folders(out)
    assert bench("remove", "--yes", run.name, "--out", "out")[0] == 0
    assert not list(out.rglob("selected.safetensors"))


def test_it_is_compared_with_the_caution_that_its_training_is_not_known(out, bench):
    tensors = torch.load("atlop.pt", weights_only=True)
    tensors["bilinear.bias"][0] += 1
    torch.save(tensors, "atlop.pt")
    assert imported(bench, "--seed", "67", "--set", "num_labels=2")[0] == 0
    status, printed, _ = bench("compare", "atlop (imported)", "atlop (imported,num_labels=2)", "--out", "out")
    assert status == 0
    assert "is not known here" in " ".join(printed.split())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--setting", "huma"), "Did you mean 'human'"),
        (("--dataset", "smal"), "Did you mean 'small'"),
        (("--set", "layers=2"), "unknown hyperparameter of atlop 'layers'"),
        (("--relations", "nowhere.json"), "nowhere.json: no such file"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(more, said, out, bench):
    status, _, error = imported(bench, *more)
    assert status == 2
    assert said in error


def test_exporting_names_runs_that_there_are(out, bench):
    status, _, error = bench("export-checkpoint", "nowhere", "--as", "atlop", "--out", "out")
    assert status == 2
    assert "no run 'nowhere' in" in error
