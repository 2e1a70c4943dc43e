from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from own_models import COMPANY, MINE, finished_run, write_model
from small_experiments import documents, execute, plans

from bench.data.formats.docred import write_documents
from bench.inference.load import predictor_of
from bench.inference.model_code import UnusableModelError
from bench.registry import _import_file
from bench.runs.interrupt import Interrupt
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import stage_folder

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def trained(small_home, tmp_path_factory):
    """An output folder with a run of ATLOP, and its plan."""
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        (plan,) = plans()
        assert execute(out, [plan]) == []
    return out, plan


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it to be damaged."""
    out, plan = trained
    shutil.copytree(out, tmp_path / "out")
    return tmp_path / "out", plan


@pytest.fixture
def predict(bench, tmp_path):
    """`bench predict` on two documents: its status and what it says."""

    def call(out: Path, plan, *options: str) -> tuple[int, str]:
        write_documents(tmp_path / "x.json", documents("test", 2), labelled=False)
        arguments = (plan.folder, tmp_path / "x.json", "--out", out, "--to", tmp_path / "p.json", *options)
        status, _, error = bench("predict", *arguments)
        assert "Traceback" not in error
        assert (tmp_path / "p.json").exists() == (status == 0)
        return status, error

    return call


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("damage", ["changed by one byte", "cut", "missing"])
def test_a_tokenizer_or_configuration_that_is_not_what_was_written_is_told_with_the_file(name, damage, run, predict):
    out, plan = run
    path = stage_folder(out, plan.stages[-1]) / "encoder" / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-2] if damage == "cut" else content.replace(b"1", b"2", 1))
    status, error = predict(out, plan)
    assert status == 1
    assert f"{path}" in error
    assert f"`bench run --again {plan.folder} --out {out}` makes it anew" in error


def test_a_file_that_came_into_a_sealed_encoder_is_told(run, predict):
    out, plan = run
    (stage_folder(out, plan.stages[-1]) / "encoder" / "added_tokens.json").write_text('{"Ada": 0}')
    status, error = predict(out, plan)
    assert status == 1
    assert "added_tokens.json: not a file that was written there" in error


def test_a_damaged_seal_is_damage(run, predict):
    out, plan = run
    (stage_folder(out, plan.stages[-1]) / "encoder.json").write_text("{}")
    assert "encoder.json: not what was written" in predict(out, plan)[1]


def test_a_stage_of_before_there_were_seals_predicts_as_ever(run, predict):
    out, plan = run
    (stage_folder(out, plan.stages[-1]) / "encoder.json").unlink()
    assert predict(out, plan) == (0, "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("config.json", content) for content in (None, "{", "[]", '{"model_type": "bert", "hidden_size": 64}')),
        *(("tokenizer.json", content) for content in (None, "{")),
    ],
)
def test_without_a_seal_a_configuration_or_tokenizer_that_cannot_be_is_one_message(name, content, run, predict):
    out, plan = run
    folder = stage_folder(out, plan.stages[-1])
    (folder / "encoder.json").unlink()
    path = folder / "encoder" / name
    path.unlink() if content is None else path.write_text(content)
    status, error = predict(out, plan)
    assert status == 1
    assert str(folder) in error
    assert "bench run --again" in error
    if name == "tokenizer.json":
        assert str(folder / "encoder") in error


@pytest.mark.parametrize("name", ["selected.safetensors", "selected.json"])
def test_damaged_weights_say_how_they_are_made_anew(name, run, predict):
    out, plan = run
    path = stage_folder(out, plan.stages[-1]) / name
    path.write_bytes(path.read_bytes()[:-3])
    status, error = predict(out, plan)
    assert status == 1
    assert "selected.safetensors" in error
    assert f"`bench run --again {plan.folder} --out {out}` makes it anew" in error


def test_a_damaged_record_says_how_the_run_is_made_anew(run, predict):
    out, plan = run
    path = RunFolder.of(out, plan).path / "record.json"
    path.write_text(path.read_text().replace("f1", "f2", 1))
    status, error = predict(out, plan)
    assert status == 2
    assert "damaged: record.json: not what was written" in error
    assert f"\n`bench run --again {plan.folder}" in error


def test_a_stage_that_is_done_gets_its_encoder_back_without_being_trained(run, predict):
    out, plan = run
    folder = stage_folder(out, plan.stages[-1])
    trained = (folder / "selected.safetensors").stat().st_mtime_ns
    (folder / "encoder" / "tokenizer.json").unlink()
    (RunFolder.of(out, plan).path / "record.json").unlink()
    assert execute(out, [plan]) == []
    assert (folder / "selected.safetensors").stat().st_mtime_ns == trained
    assert predict(out, plan) == (0, "")


# Models whose code is not what it was


@pytest.fixture
def changed(tmp_path):
    """A finished run of one's own model, whose file now has another text."""

    def change(text: str):
        path = write_model(tmp_path / "model", MINE)
        plan = finished_run(tmp_path / "out", path)
        path.write_text(text)
        _import_file.cache_clear()  # as in another process
        return tmp_path / "out", plan, f"{path}:Mine"

    return change


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE.replace("margin:", "distance:"), "margin"),
        (MINE.replace("    margin: float = Field(0.5, description=\"of nothing\")\n", "    pass\n"), "margin"),
        (MINE + "\n    def __init__(self, hp, task):\n        raise KeyError('of building')\n", "of building"),
        (MINE + "\n    def forward(self, pairs):\n        return self.nothing\n", "nothing"),
        (MINE.replace("class Mine", "class Yours"), "unknown class in"),
        ("raise OSError('no disk')", "no disk"),
        ("import sys; sys.exit(3)", "the model's code ended the program: sys.exit(3)"),
    ],
    ids=["renamed", "removed", "constructor", "forward", "class gone", "import fails", "import exits"],
)  # fmt: skip
def test_a_model_of_other_code_is_one_message_that_says_what_is_wrong(text, said, changed, predict):
    out, plan, _ = changed(text)
    status, error = predict(out, plan, "--trust-code")
    assert status in (1, 2)
    assert said in error


def test_a_model_that_is_gone_is_one_message(changed, predict):
    out, plan, own = changed(MINE)
    Path(own.partition(":")[0]).unlink()
    status, error = predict(out, plan, "--trust-code")
    assert status == 1
    assert f"its model cannot be used: model '{own}': no file" in error


@pytest.mark.parametrize("where", ["__init__(self, hp, task)", "forward(self, pairs)", "decode(self, logits)"])
def test_a_model_that_ends_the_program_fails_with_where_it_did(where, changed, predict):
    out, plan, own = changed(MINE + f"\n    def {where}:\n        raise SystemExit(5)\n")
    status, error = predict(out, plan, "--trust-code")
    assert status == 1
    place = f"{own.partition(':')[0]}, line 17, in {where.partition('(')[0]}"
    assert f"the model's code ended the program: sys.exit(5) ({place})" in error


def test_an_interrupt_in_a_models_code_is_none_of_its_errors(trained, monkeypatch):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    out, plan = trained
    monkeypatch.setattr("baselines.atlop.Atlop.__init__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predictor_of(out, plan, Interrupt())


def test_weights_of_another_model_are_told_as_the_files_they_are(run):
    out, plan = run
    path = stage_folder(out, plan.stages[-1]) / "encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 1}))
    path.parent.with_name("encoder.json").unlink()
    with pytest.raises(UnusableModelError, match=r"selected\.safetensors: not weights of the model as it is built now"):
        predictor_of(out, plan, Interrupt())


@pytest.mark.parametrize("kind", ["a folder", "within a file"])
def test_where_predictions_cannot_go_is_said_before_the_model_is_looked_at(kind, run, bench, tmp_path):
    out, plan = run
    shutil.rmtree(out / "stages")
    (tmp_path / "file").write_text("")
    to = tmp_path if kind == "a folder" else tmp_path / "file" / "p.json"
    status, _, error = bench("predict", plan.folder, tmp_path / "x.json", "--out", out, "--to", to)
    assert status == 2
    assert error.startswith(f"bench: --to {to}: ")


# Batches


@pytest.mark.parametrize(("options", "documents"), [((), 2), (("--batch-size", "1"), 1)])
def test_as_many_documents_are_read_at_once_as_are_asked_for(options, documents, predict, tmp_path):
    path = write_model(tmp_path / "model", COMPANY)
    plan = finished_run(tmp_path / "out", path)
    assert plan.stages[-1].training.batch_size >= 2
    assert predict(tmp_path / "out", plan, "--trust-code", *options) == (0, "")
    said = {row["r"] for row in json.loads((tmp_path / "p.json").read_text())}
    assert said == {plan.relations[documents - 1]}
