from __future__ import annotations

from pathlib import Path

import pytest
from small_experiments import execute

from bench.data.catalog.dataset import open_dataset
from bench.data.formats.docred import write_documents
from bench.execution import counting_checks as checking
from bench.execution.counting_checks import check_counting
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan
from bench.inference.counting import fitted_again
from bench.inference.model_code import UnusableModelError
from bench.nn.encoder_source import find_encoder
from bench.registry import find
from bench.runs.interrupt import Interrupted
from bench.runs.plan import RunPlan
from bench.runs.run_folder import RunFolder, predictions_path

MODEL = """
from bench.interface import CountingModel, Prediction, Recipe, Stage


class Mine(CountingModel):
    recipe = Recipe.one_then_the_other(Stage(data="human"), Stage(data="distant"), Stage(data="ext"))

    def fit(self, documents, dev, seed):
        self.relation = min(label.relation for document in documents for label in document.labels)

    def predict(self, documents):
        return [Prediction(document.title, 0, 1, self.relation) for document in documents if len(document.entities) > 1]
"""


@pytest.fixture
def mine(tmp_path, small, monkeypatch):
    """A counting model, with lines of it replaced, as `--models` takes it."""
    monkeypatch.chdir(tmp_path)

    def write(**replaced: str) -> str:
        code = MODEL
        for line, other in replaced.items():
            start = code.index(f"    def {line}(")
            stop = code.find("    def ", start + 8)
            code = code[:start] + other + (code[stop:] if stop > 0 else "")
        Path("mine.py").write_text(code)
        return f"{tmp_path}/mine.py:Mine"

    return write


def plans(models: str, *changes: str, **options: object) -> list[RunPlan]:
    """What `bench run` would plan on `small`, one seed unless told otherwise."""
    typed = {"seeds": "1", "encoder": "tiny", "dataset": "small", **options}
    (experiment,) = make_experiments(CommandLine(models=models, changes=changes, **typed))
    dataset = open_dataset("small")
    return make_plan(experiment, dataset, find_encoder("tiny", dataset.documents("train")))


def test_of_a_share_of_the_labels_it_sees_no_others(mine, tmp_path):
    body = "    def fit(self, documents, dev, seed):\n        raise ValueError(sum(len(d.labels) for d in documents))\n"
    (plan,) = plans(mine(predict=body + "    def predict(self, documents):\n        return []\n"), settings="ext@50%")
    execute(tmp_path / "out", [plan])
    labels = len({triple for d in open_dataset("small").documents("train") for triple in d.triples()})
    assert f"ValueError: {(labels + 1) // 2}" in RunFolder.of(tmp_path / "out", plan).error()


@pytest.mark.parametrize("setting", ["human", "human+distant", "ext"])
def test_it_is_fitted_scored_and_kept_as_a_record_without_weights_or_encoder(setting, mine, tmp_path):
    (plan,) = plans(mine(), settings=setting)
    assert plan.encoder == "none"
    assert execute(tmp_path / "out", [plan]) == []
    record = RunFolder.of(tmp_path / "out", plan).record()
    assert [stage.data for stage in record.stages] == setting.split("+")[::-1]
    assert set(record.splits) == {"dev", "test"}
    assert record.splits["test"].scores.recall > 0
    assert not (tmp_path / "out" / "stages").exists()


def test_a_run_with_a_record_is_not_fitted_again(mine, tmp_path):
    (plan,) = plans(mine())
    execute(tmp_path / "out", [plan])
    before = predictions_path(RunFolder.of(tmp_path / "out", plan).path, "test").stat().st_mtime_ns
    execute(tmp_path / "out", [plan])
    assert predictions_path(RunFolder.of(tmp_path / "out", plan).path, "test").stat().st_mtime_ns == before


def test_what_it_is_keyed_by_is_its_code_its_data_and_its_choices_not_encoder_or_training(mine):
    key = plans(mine())[0].key
    beside = next(plan for plan in plans(f"{mine()},atlop", "epochs=7", max_length=99) if plan.model == "Mine")
    assert (beside.key, beside.variant) == (key, "")
    assert plans(mine(), settings="ext")[0].key != key
    assert plans(mine(), seeds="5,")[0].key != key


def test_a_stop_is_heeded_and_the_run_begins_again(mine, tmp_path):
    planned = plans(mine())
    with pytest.raises(Interrupted):
        execute(tmp_path / "out", planned, stop_after=1)
    assert RunFolder.of(tmp_path / "out", planned[0]).record() is None
    assert execute(tmp_path / "out", planned) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("        return [Prediction('nowhere', 0, 1, self.relation)]\n", "where there is no such thing"),
        ("        return [Prediction(documents[0].title, 0, 99, self.relation)]\n", "where there is no such thing"),
        ("        return [Prediction(documents[0].title, 0, 1, 'P0')]\n", "where there is no such thing"),
        ("        return [(documents[0].title, 0, 1)]\n", "no Predictions"),
        ("        raise KeyError('gone')\n", "mine.py, line 12, in predict)"),
        ("        raise SystemExit(3)\n", "mine.py, line"),
    ],
)
def test_what_it_does_wrong_is_a_failed_run_with_the_reason(body, said, mine, tmp_path):
    (plan,) = plans(mine(predict="    def predict(self, documents):\n" + body))
    assert execute(tmp_path / "out", [plan]) == [plan]
    assert said in RunFolder.of(tmp_path / "out", plan).error()


def test_it_is_not_given_the_labels_of_what_it_predicts(mine, tmp_path):
    cheat = (
        "    def predict(self, documents):\n        assert not any(d.labels for d in documents)\n        return []\n"
    )
    assert execute(tmp_path / "out", plans(mine(predict=cheat))) == []


def test_a_trained_and_a_counting_model_stand_in_one_table_and_are_compared(mine, bench):
    small = ("--set", "epochs=1", "--set", "pair_size=16", "--set", "block_size=16")
    run = ("run", "--models", f"{mine()},atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", 1)
    assert bench(*run, *small, "--launcher", "inline")[0] == 0
    _, table, _ = bench("table")
    assert "Mine" in table
    status, out, _ = bench("compare", "atlop", "Mine")
    assert status == 0
    assert "limits in word pieces" not in out


def test_a_finished_run_predicts_new_documents_by_being_fitted_again(mine, bench):
    bench("run", "--models", mine(), "--dataset", "small", "--encoder", "tiny", "--seeds", 1, "--launcher", "inline")
    (run,) = Path("results/runs").iterdir()
    write_documents("test.json", open_dataset("small").documents("test"))
    status, _, error = bench("predict", run, "test.json", "--to", "p.json", "--models", "./mine.py:Mine")
    assert status == 0, error
    assert Path("p.json").read_bytes() == predictions_path(run, "test").read_bytes()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_model_that_would_be_fitted_on_other_documents_now_is_refused(split, monkeypatch):
    (plan,) = plans("prior")
    dataset = open_dataset("small")
    checksum = dataset.checksum
    monkeypatch.setattr(dataset, "checksum", lambda of: checksum(of) + "x" * (of == split))
    with pytest.raises(UnusableModelError, match="documents of 'small' changed"):
        fitted_again(plan, dataset)


def test_the_prior_passes_every_check():
    findings = list(check_counting(find("prior").cls))
    assert [finding for finding in findings if not finding.holds] == []
    assert len(findings) == 1 + len(checking.CHECKS)


@pytest.mark.parametrize(
    ("part", "code", "claim"),
    [
        ("fit", "    def fit(self, documents, dev, seed):\n        documents[:] = []\n", "it can be fitted"),
        ("predict", "    def predict(self, documents):\n        return [('a', 0, 1, 'P')]\n", "its predictions are of"),
        (
            "predict",
            "    def predict(self, documents):\n        import random\n        return [Prediction(d.title, 0, 1, "
            "self.relation) for d in documents if random.random() < 0.5]\n",
            "fitted again",
        ),
        (
            "predict",
            "    def predict(self, documents):\n        return [Prediction(documents[0].title, 0, 1, self.relation)]\n",
            "a document's predictions are its own",
        ),
    ],
)
def test_a_broken_promise_is_named(part, code, claim, mine):
    findings = [f.claim for f in check_counting(find(mine(**{part: code})).cls) if not f.holds]
    assert findings[0].startswith(claim)


@pytest.mark.parametrize(
    "method", ["__init__(self, hp, task)", "fit(self, documents, dev, seed)", "predict(self, documents)"]
)
def test_wherever_it_fails_its_line_is_told(method, mine, tmp_path):
    name = method.partition("(")[0]
    mine()
    failing = f"\n    def {method}:\n        raise ValueError('no')\n"
    code = MODEL if name == "__init__" else MODEL.replace(f"    def {name}(", f"    def was_{name}(")
    (tmp_path / "mine.py").write_text(code + failing)
    (plan,) = plans(f"{tmp_path}/mine.py:Mine")
    assert execute(tmp_path / "out", [plan]) == [plan]
    line = len((code + failing).splitlines())
    error = RunFolder.of(tmp_path / "out", plan).error()
    assert error.endswith(f": ValueError: no ({tmp_path / 'mine.py'}, line {line}, in {name})")
