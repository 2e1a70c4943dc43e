from __future__ import annotations

import json
import shutil

import pytest
from own_models import MARK, MINE, as_of_somebody_else, finished_run, write_model
from small_experiments import SMALL, documents, plans

from bench.data.formats.docred import write_documents
from bench.inference.trust import Trust, UntrustedCodeError
from bench.registry import find, is_installed
from bench.runs.plan import InferencePlan
from bench.runs.run_folder import RunFolder, announce
from bench.runs.triple_scores import scores_path

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def trained(small_home, tmp_path_factory):
    """An output folder with a run of a model in a file, and the file."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        model = write_model(folder)
        finished_run(folder / "out", model)
    return folder / "out", model


@pytest.fixture
def foreign(trained, tmp_path):
    """A results folder of somebody else's, whose run names a file that tells when it is imported."""
    model = write_model(tmp_path / "theirs")
    folder = as_of_somebody_else(trained[0], tmp_path / "out", f"{model}:Mine")
    return folder, model


@pytest.fixture
def text(tmp_path):
    write_documents(tmp_path / "x.json", documents("test", 2), labelled=False)
    return tmp_path / "x.json"


def ran(model):
    return model.with_suffix(".ran").exists()


def test_predicting_imports_no_file_that_the_folder_names_and_says_how_to_go_on(foreign, text, bench, tmp_path):
    folder, model = foreign
    status, _, error = bench("predict", folder.path, text, "--to", tmp_path / "p.json")
    assert (status, ran(model), (tmp_path / "p.json").exists()) == (2, False, False)
    assert f"{folder.path / 'run.json'} names code of its own, which was not run: {model} (Mine)" in error
    assert "--trust-code" in error
    assert "--models my_model.py:Mine" in error


def test_predicting_runs_what_the_folder_names_where_it_is_trusted(foreign, text, bench, tmp_path):
    folder, model = foreign
    status, printed, _ = bench("predict", folder.path, text, "--to", tmp_path / "p.json", "--trust-code")
    assert (status, ran(model)) == (0, True)
    assert "of 2 documents in" in printed


def test_ones_own_copy_of_a_model_is_taken_for_the_one_that_the_folder_names(trained, foreign, text, bench, tmp_path):
    folder, model = foreign
    own = f"{trained[1]}:Mine"
    status, _, error = bench("predict", folder.path, text, "--to", tmp_path / "p.json", "--models", own)
    assert (status, error) == (0, "")
    assert not ran(model)


def test_a_module_is_not_imported_either(trained, text, bench, tmp_path, monkeypatch):
    write_model(tmp_path).rename(tmp_path / "docre_bench_test_theirs.py")
    monkeypatch.syspath_prepend(tmp_path)
    folder = as_of_somebody_else(trained[0], tmp_path / "out", "docre_bench_test_theirs:Mine")
    status, _, error = bench("predict", folder.path, text, "--to", tmp_path / "p.json")
    assert status == 2
    assert "docre_bench_test_theirs (Mine)" in error
    assert not (tmp_path / "docre_bench_test_theirs.ran").exists()


def test_the_page_of_errors_shows_such_a_run_without_scores_and_runs_nothing(foreign, bench):
    folder, model = foreign
    scores_path(folder.path, "test").unlink()
    out = folder.path.parent.parent
    status, printed, error = bench("explore", "--out", out)
    assert (status, ran(model)) == (0, False)
    assert "1 run" in printed
    assert "shown without scores" in error
    assert "--trust-code" in error
    assert "names code of its own, which was not run" in (out / "report" / "explorer.html").read_text()
    assert bench("explore", "--out", out, "--trust-code")[0] == 0
    assert ran(model)
    assert scores_path(folder.path, "test").exists()


def test_the_report_draws_no_memory_by_code_that_the_folder_names(tmp_path, bench):
    text = MINE.replace("margin: float = Field(0.5", "memory: int = Field(1") + MARK
    finished_run(tmp_path / "theirs", write_model(tmp_path / "a", text))
    model = write_model(tmp_path / "b", text)
    as_of_somebody_else(tmp_path / "theirs", tmp_path / "out", f"{model}:Mine")
    status, _, error = bench("report", "--out", tmp_path / "out")
    assert (status, ran(model)) == (0, False)
    assert "is not drawn" in error
    assert "names code of its own" in error


def test_trying_again_asks_before_it_runs_what_the_folder_names(foreign, bench):
    folder, model = foreign
    (folder.path / "record.json").unlink()
    folder.write_error("it broke", "")
    again = ("retry", "--failed", "--launcher", "inline", "--out", folder.path.parent.parent)
    status, _, error = bench(*again)
    assert (status, ran(model)) == (2, False)
    assert "--trust-code" in error
    assert folder.error() == "it broke"  # it is as it was
    assert bench(*again, "--trust-code")[0] == 0
    assert ran(model)


@pytest.mark.parametrize("launcher", ["inline", "local"])
def test_a_plan_of_ones_own_replaces_what_a_folder_says_of_the_same_run(trained, foreign, bench, launcher):
    folder, model = foreign
    (folder.path / "record.json").unlink()
    out = folder.path.parent.parent
    changes = [part for change in SMALL for part in ("--set", change)]
    arguments = ("--dataset", "small", "--encoder", "tiny", "--seeds", "1", "--launcher", launcher, "--jobs", "1")
    status, _, error = bench("run", "--models", f"{trained[1]}:Mine", *arguments, *changes, "--out", out)
    assert (status, error) == (0, "")
    assert not ran(model)
    assert folder.record() is not None
    assert folder.plan().stages[-1].reference == f"{trained[1]}:Mine"


def test_announcing_a_plan_again_leaves_the_file_alone(tmp_path):
    (plan,) = plans()
    announce(tmp_path, [plan])
    path = RunFolder.of(tmp_path, plan).path / "run.json"
    written = path.stat().st_ino
    announce(tmp_path, [plan])
    assert path.stat().st_ino == written


@pytest.mark.parametrize(
    ("reference", "installed"),
    [
        ("atlop", True),
        ("baselines.atlop:Atlop", True),
        ("nobody-registers-this", True),  # finding it runs nothing: it is an unknown name
        ("baselines:Atlop", False),
        ("os:system", False),
        ("./baselines.atlop.py:Atlop", False),
        ("/tmp/x.py:X", False),
    ],
)
def test_only_what_packages_register_counts_as_installed(reference, installed):
    assert is_installed(reference) == installed


def test_an_inference_is_code_like_a_model(tmp_path):
    (plan,) = plans()
    theirs = InferencePlan(reference=f"{tmp_path}/theirs.py:Fusion", class_name="Fusion", code="x")
    plan = plan.model_copy(update={"inference": theirs})
    with pytest.raises(UntrustedCodeError, match=r"theirs\.py \(Fusion\)"):
        Trust().trusted(plan, tmp_path)
    assert Trust(everything=True).trusted(plan, tmp_path) == plan


def test_every_stage_of_a_run_is_asked_about(trained, tmp_path):
    (plan,) = plans(settings="human+distant")
    first = plan.stages[0].model_copy(update={"reference": "theirs.py:Atlop"})
    with pytest.raises(UntrustedCodeError, match=r"theirs\.py"):
        Trust().trusted(plan.model_copy(update={"stages": (first, *plan.stages[1:])}), tmp_path)


def test_ones_own_models_stand_in_by_the_name_of_their_class(trained, tmp_path):
    own = find(f"{trained[1]}:Mine")
    (plan,) = plans(own.reference)
    stage = plan.stages[0].model_copy(update={"reference": "/elsewhere/mine.py:Mine"})
    moved = plan.model_copy(update={"stages": (stage,)})
    assert Trust(models=(own,)).trusted(moved, tmp_path) == plan
    assert Trust(models=(own,)).trusted(moved, tmp_path).key == moved.key


def test_an_encoder_of_a_results_folder_brings_no_code(trained, text, bench, tmp_path):
    shutil.copytree(trained[0], tmp_path / "out")
    (stage,) = (tmp_path / "out" / "stages").iterdir()
    (stage / "encoder.json").unlink()  # as in a folder that its author has sealed otherwise, or not at all
    (stage / "encoder" / "theirs.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n")
    for name, of in (("config.json", "AutoConfig"), ("tokenizer_config.json", "AutoTokenizer")):
        path = stage / "encoder" / name
        content = json.loads(path.read_text()) | {"auto_map": {of: "theirs.Theirs", "AutoModel": "theirs.Theirs"}}
        path.write_text(json.dumps(content | {"model_type": "nobody-has-this"} if of == "AutoConfig" else content))
    (run,) = (tmp_path / "out" / "runs").iterdir()
    arguments = (run, text, "--to", tmp_path / "p.json", "--trust-code")
    status, _, error = bench("predict", *arguments)
    assert status == 1
    assert "tokenizer or configuration cannot be read" in error
    assert not (tmp_path / "ran").exists()


def test_a_model_in_a_file_that_the_user_has_run_is_imported_again_without_asking(small, bench, tmp_path):
    model = write_model(tmp_path / "mine")
    changes = [part for change in SMALL for part in ("--set", change)]
    what = ("--models", f"{model}:Mine", "--dataset", "small", "--encoder", "tiny", "--seeds", "1", *changes)
    inline = ("--launcher", "inline", "--out", tmp_path / "out")
    assert bench("run", *what, *inline)[0] == 0
    (run,) = (tmp_path / "out" / "runs").iterdir()
    (run / "record.json").unlink()
    assert bench("retry", "--failed", *inline)[0] == 0
    assert bench("run", "--again", run.name, *inline)[0] == 0
    (small / "trusted.json").unlink()
    status, _, error = bench("run", "--again", run.name, *inline)
    assert status == 2
    assert "--trust-code" in error
    assert (run / "record.json").exists()
    assert bench("run", "--again", run.name, "--trust-code", *inline)[0] == 0
