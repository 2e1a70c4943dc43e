from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_experiments import SMALL, documents, execute, plans

from bench.cli.main import main
from bench.data.formats.docred import write_documents
from bench.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("small")

CHANGES = [part for change in SMALL for part in ("--set", change)]
RUN = ["run", "--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", "1", "--launcher", "inline"]


@pytest.fixture(scope="module")
def finished(small_home, tmp_path_factory) -> Path:
    """An output folder with a finished run of 12 epochs, which predicts something."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        out = tmp_path_factory.mktemp("a folder é")
        assert execute(out, plans("atlop", "epochs=12")) == []
    return out


def run_of(out: Path) -> Path:
    (folder,) = (out / "runs").iterdir()
    return folder


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_help_loads_nothing_heavy():
    show_help = (
        "import sys\nfrom bench.cli.main import main\n"
        "sys.argv = ['bench', '--help']\ntry: main()\nexcept SystemExit: pass\n"
    )
    loaded = "print({'torch', 'transformers', 'pandas', 'numpy', 'scipy', 'pyarrow', 'pydantic'} & set(sys.modules))"
    assert python(show_help + loaded).splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    "command", ["run", "status", "remove", "table", "evaluate", "predict", "doctor", "models", "data"]
)
def test_every_command_explains_itself(command, bench):
    status, out, _ = bench(command, "--help")
    assert status == 0
    assert f" {command} [OPTIONS]" in out


def test_the_version_is_printed(bench):
    status, out, _ = bench("--version")
    assert status == 0
    assert out.startswith("docre-bench ")


def test_the_package_is_run_as_a_module_with_the_same_messages_and_exit_status(tmp_path):
    command = [sys.executable, "-m", "bench", "status", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"bench: nothing has been planned in {tmp_path}")


def test_windows_is_refused_in_words(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", ["bench", "status"])
    with pytest.raises(SystemExit) as leaving:
        main()
    assert leaving.value.code == 2
    assert "Windows is not supported" in capsys.readouterr().err


def test_importing_the_module_that_is_run_runs_nothing():
    assert python("import bench.__main__") == ""


def test_a_run_prints_its_table_with_the_seeds_it_holds(bench, tmp_path):
    status, out, err = bench(*RUN, *CHANGES, "--seeds", "2", "--out", tmp_path / "o")
    assert (status, err) == (0, "")
    assert "2 of 2" in out
    assert "small, human: percent, mean ± std over seeds" in out
    assert (tmp_path / "o" / "tables" / "runs.md").exists()


def test_a_pipe_gets_whole_lines(bench, finished):
    _, out, _ = bench("table", "--out", finished)
    assert [line for line in out.splitlines() if line.startswith("atlop") and line.rstrip().endswith("1 of 1")]


def test_a_narrow_terminal_gets_dev_and_test_below_each_other(finished):
    from rich.console import Console

    from bench.analysis.aggregate import load_cells
    from bench.report.write import print_tables

    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    print_tables(console, load_cells(finished))
    text = console.export_text()
    assert "…" not in text
    assert text.count("1 of 1") == 2


def test_the_second_run_of_a_command_does_nothing_and_says_so(bench, finished):
    before = (run_of(finished) / "record.json").stat().st_mtime_ns
    status, out, _ = bench(*RUN, *CHANGES, "--set", "epochs=12", "--out", finished)
    assert status == 0
    assert "1 done before" in out
    assert (run_of(finished) / "record.json").stat().st_mtime_ns == before


def test_a_dry_run_shows_the_stages_and_writes_nothing(bench, tmp_path):
    out = tmp_path / "o"
    status, printed, _ = bench(*RUN, *CHANGES, "--settings", "distant,human+distant", "--out", out, "--dry-run")
    assert status == 0
    assert "2 runs, 2 stages (1 shared between runs); 0 runs already have their record" in printed
    assert [line.split()[-1] for line in printed.splitlines() if " distant " in line] == ["do", "shared"]
    assert not out.exists()


def test_a_dry_run_tells_what_is_done(bench, finished):
    _, printed, _ = bench(*RUN, *CHANGES, "--set", "epochs=12", "--out", finished, "--dry-run")
    assert "1 run already has its record" in printed
    assert " done" in printed


def test_a_configuration_file_runs(bench, tmp_path):
    changes = "\n".join(change.replace("=", " = ") for change in SMALL)
    (tmp_path / "x.toml").write_text(
        f'models = ["atlop"]\nseeds = [3]\ndataset = "small"\nencoder = "tiny"\n[set]\n{changes}\n'
    )
    status, out, _ = bench("run", "--config", tmp_path / "x.toml", "--launcher", "inline", "--out", tmp_path / "o")
    assert status == 0
    assert "seed 3: finished" in out


def test_a_matrix_runs_whole_and_trains_what_its_experiments_share_once(bench, tmp_path):
    changes = "\n".join(change.replace("=", " = ") for change in SMALL)
    (tmp_path / "x.toml").write_text(
        f'seeds = 1\ndataset = "small"\nencoder = "tiny"\n[set]\n{changes}\n[set.distant]\nepochs = 1\n'
        '[[experiment]]\nmodels = ["atlop"]\nsettings = ["distant"]\n'
        '[[experiment]]\nmodels = ["atlop", "dreeam"]\nsettings = ["distant", "human+distant"]\n'
        "set.dreeam.evidence_lambda = 0.5\n"
    )
    out = tmp_path / "o"
    status, printed, _ = bench("run", "--config", tmp_path / "x.toml", "--launcher", "inline", "--out", out)
    assert status == 0
    assert printed.startswith("left out: dreeam has no setting distant")
    assert "3 runs, 5 stages (1 shared between runs) on small with tiny" in printed
    assert len(list((out / "stages").iterdir())) == 5
    assert printed.count("1 of 1") == 3


def test_a_model_of_ones_own_runs_beside_a_registered_one(bench, tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text("from baselines.atlop import Atlop\n\n\nclass MyModel(Atlop):\n    pass\n")
    monkeypatch.chdir(tmp_path)
    status, out, _ = bench(*RUN, *CHANGES, "--models", "./my_model.py:MyModel,atlop", "--out", "o")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if "1 of 1" in line] == ["MyModel", "atlop"]


def test_a_failing_run_is_a_row_with_its_error_and_the_status_is_1(bench, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from baselines.atlop import Atlop\n\n\nclass Bad(Atlop):\n    def loss(self, logits, labels):\n"
        "        raise ValueError('of [no] use [/here]')\n"
    )
    status, out, err = bench(*RUN, *CHANGES, "--models", f"{tmp_path}/bad.py:Bad,atlop", "--out", tmp_path / "o")
    assert status == 1
    assert "0 of 1*" in out
    assert "1 of 1" in out
    assert "ValueError: of [no] use [/here]" in out
    assert err.startswith("bench: 1 of 2 runs failed:\n")
    assert "ValueError: of [no] use [/here]" in err
    assert "Traceback" not in out + err
    status, out, _ = bench("status", "--out", tmp_path / "o")
    assert status == 0
    assert "1 failed, 1 done" in out


def test_status_tells_where_each_run_is(bench, finished):
    status, out, _ = bench("status", "--out", finished)
    assert status == 0
    assert "test F1" in out
    assert out.splitlines()[-1] == "1 done"


def test_status_as_json(bench, finished):
    _, out, _ = bench("status", "--out", finished, "--json")
    (run,) = json.loads(out)["runs"]
    assert (run["model"], run["seed"], run["state"]) == ("atlop", 0, "done")


def test_table_as_json_has_the_documented_keys(bench, finished):
    status, out, _ = bench("table", "--out", finished, "--json")
    rows = json.loads(out)["rows"]
    numbers = {"split", "slice", "metric", "mean", "std", "n", "expected", "seeds"}
    assert status == 0
    assert all({"model", "variant", "dataset", "setting", "encoder", *numbers} <= row.keys() for row in rows)


def test_table_as_json_is_the_records_number_in_percent_unrounded(bench, finished):
    record = RunFolder(finished, run_of(finished).name).record()
    _, out, _ = bench("table", "--out", finished, "--json")
    (row,) = [
        row
        for row in json.loads(out)["rows"]
        if (row["split"], row["slice"], row["metric"]) == ("test", "all", "precision")
    ]
    assert row["mean"] == row["seeds"]["0"] == record.splits["test"].scores.precision > 1


def test_predictions_of_a_runs_test_documents_are_the_runs_own(bench, finished, tmp_path):
    write_documents(tmp_path / "test.json", documents("test", 3))
    status, out, _ = bench("predict", run_of(finished), tmp_path / "test.json", "--to", tmp_path / "p.json")
    assert status == 0
    assert "triples of 3 documents" in out
    assert (tmp_path / "p.json").read_bytes() == (run_of(finished) / "predictions-test.json").read_bytes()
    assert len(json.loads((tmp_path / "p.json").read_text())) > 3


def test_a_run_can_be_named_and_moved_and_the_documents_unlabelled(bench, finished, tmp_path, monkeypatch):
    import shutil

    moved = shutil.copytree(finished, tmp_path / "moved")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "another home"))
    write_documents(tmp_path / "test é.json", documents("test", 3), labelled=False)
    arguments = (run_of(moved).name, tmp_path / "test é.json", "--to", tmp_path / "new" / "p é.json", "--out", moved)
    status, _, _ = bench("predict", *arguments)
    assert status == 0
    assert (tmp_path / "new" / "p é.json").read_bytes() == (run_of(finished) / "predictions-test.json").read_bytes()


def test_predictions_can_be_evaluated_and_give_the_records_scores(bench, finished, tmp_path):
    for split, count in (("train", 5), ("distant", 4), ("test", 3)):
        write_documents(tmp_path / f"{split}.json", documents(split, count))
    status, out, _ = bench(
        "evaluate",
        "--gold",
        tmp_path / "test.json",
        "--pred",
        run_of(finished) / "predictions-test.json",
        "--train-facts",
        tmp_path / "train.json",
        "--distant-facts",
        tmp_path / "distant.json",
        "--json",
    )
    scores = RunFolder(finished, run_of(finished).name).record().splits["test"].scores
    assert status == 0
    ranked = {"auc", "ign_auc"}  # of all candidates, of which predictions are a part
    expected = scores.model_dump(exclude=ranked)
    assert {key: json.loads(out)[key] for key in expected} == expected
    assert {key: json.loads(out)[key] for key in ranked} == dict.fromkeys(ranked)


def test_a_run_whose_model_is_damaged_cannot_predict_and_says_so(bench, finished, tmp_path):
    import shutil

    moved = shutil.copytree(finished, tmp_path / "moved")
    (path,) = moved.glob("stages/*/selected.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    write_documents(tmp_path / "test.json", documents("test", 1))
    status, _, err = bench("predict", run_of(moved), tmp_path / "test.json", "--to", tmp_path / "p.json")
    assert status == 1
    assert "not the content that was written (checksum)" in err
    assert not (tmp_path / "p.json").exists()


def test_models_are_listed_without_a_subcommand_too(bench):
    status, out, _ = bench("models")
    assert status == 0
    assert out == bench("models", "list")[1]
    assert {"atlop", "ssrpu", "spu", "pu", "pn", "ttmre", "ttmre-released"} <= {
        line.split()[0] for line in out.splitlines()
    }


def test_a_model_shows_its_hyperparameters_stages_and_whole_docstring(bench, tmp_path):
    status, out, _ = bench("models", "show", "ttmre")
    assert status == 0
    assert "memory" in out
    assert "frozen: read.memory" in out
    (tmp_path / "doc.py").write_text(
        'from baselines.atlop import Atlop\n\n\nclass Doc(Atlop):\n    """Logits [pairs, relations] and [/x]."""\n'
    )
    assert "Logits [pairs, relations] and [/x]." in bench("models", "show", f"{tmp_path}/doc.py:Doc")[1]


def test_doctor_tells_what_is_here(bench):
    status, out, _ = bench("doctor")
    assert status == 0
    for what in ("Python, torch", "GPU", "threads", "BENCH_HOME", "encoder tiny", "SLURM", "data set small"):
        assert what in out


MISUSES = {
    ("run",): "which models? For example",
    ("run", "--models", "tmre"): "unknown model 'tmre'. Did you mean 'ttmre'?\nChoices: atlop",
    ("run", "--models", "./none.py:Model"): "no file",
    ("run", "--models", "atlop", "--dataset", "smal"): "unknown data set 'smal'. Did you mean 'small'?",
    ("run", "--models", "atlop", "--settings", "humane"): "unknown setting 'humane'. Did you mean 'human'?",
    ("run", "--models", "atlop", "--seeds", "x"): "--seeds x: expected a number of seeds",
    ("run", "--models", "atlop", "--set", "epochs"): "expected key=value",
    ("run", "--models", "atlop", "--set", "epoch=1"): "Did you mean 'epochs'?\nChoices: accumulate",
    ("run", "--models", "atlop", "--set", "epochs=x"): "atlop, stage human: epochs = 'x'",
    ("run", "--models", "atlop", "--config", "none.toml"): "no file none.toml here",
    (
        "run",
        "--models",
        "atlop",
        "--encoder",
        "no/such-encoder",
    ): "the encoder 'no/such-encoder' is not on this machine",
    ("run", "--models", "atlop", "--launcher", "cloud"): "inline",
    ("status", "--out", "nowhere"): "nothing has been planned in nowhere",
    ("table", "--out", "nowhere"): "nothing has been planned in nowhere",
    ("table", "--out", "nowhere", "--json"): "nothing has been planned in nowhere",
    ("predict", "nothing", "x.json", "--out", "nowhere"): "nothing has been planned in nowhere",
    ("evaluate", "--gold", "none.json", "--pred", "none.json"): "none.json",
    ("models", "show", "tmre"): "Did you mean 'ttmre'?",
    ("models", "check", "./none.py:Model"): "no file",
    ("frobnicate",): "frobnicate",
}


@pytest.mark.parametrize("arguments", MISUSES, ids=" ".join)
def test_misuse_is_one_message_with_status_2_and_no_traceback(arguments, bench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    defaults = []
    if arguments[0] == "run" and "--dataset" not in arguments:
        defaults += ["--dataset", "small"]
    if arguments[0] == "run" and "--encoder" not in arguments:
        defaults += ["--encoder", "tiny"]
    status, out, err = bench(*arguments, *defaults)
    assert status == 2
    assert MISUSES[arguments] in err
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_finished_cannot_predict(bench, tmp_path):
    from bench.runs.run_folder import announce

    announce(tmp_path, planned := plans())
    write_documents(tmp_path / "x.json", documents("test", 1))
    status, _, err = bench("predict", RunFolder.of(tmp_path, planned[0]).path, tmp_path / "x.json")
    assert status == 2
    assert "is not a finished run" in err


@pytest.mark.parametrize("name", ["it's a [bold]folder[/bold] é", "-dash", "a=b:c", "x" * 200, "[/]"])
def test_an_output_folder_may_be_called_anything(name, bench, tmp_path):
    status, out, err = bench(*RUN, *CHANGES, f"--out={tmp_path / name}")
    assert (status, err) == (0, "")
    assert f"in {tmp_path / name}" in out
    assert bench("status", f"--out={tmp_path / name}")[0] == 0


def test_a_file_where_the_output_folder_should_be_is_one_message(bench, tmp_path):
    (tmp_path / "o").write_text("")
    status, out, err = bench(*RUN, *CHANGES, "--out", tmp_path / "o")
    assert status == 1
    assert err.startswith("bench: ")
    assert str(tmp_path / "o") in err
    assert "Traceback" not in out + err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_one_message(bench, tmp_path):
    (tmp_path / "o").mkdir(mode=0o555)
    status, _, err = bench(*RUN, *CHANGES, "--out", tmp_path / "o")
    assert status == 1
    assert "Permission denied" in err


def test_a_full_disk_is_one_message(bench, tmp_path, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("bench.filesystem.write_atomically", full)
    status, out, err = bench(*RUN, *CHANGES, "--out", tmp_path / "o")
    assert status == 1
    assert err.count("\n") == 1
    assert "the disk is full (no space left on " in err
    assert "run.json" in err
    assert "Traceback" not in out + err


def test_a_tokenizer_that_does_not_know_the_words_of_the_documents_is_told(monkeypatch):
    from types import SimpleNamespace

    from bench.cli import run_experiments

    known = SimpleNamespace(unknown=lambda words: sum(word == "大" for word in words))
    encoder = SimpleNamespace(name="english", words=lambda: known)

    def on(*words: str) -> str:
        data = SimpleNamespace(documents=lambda split: [SimpleNamespace(sentences=(words,))])
        monkeypatch.setattr(run_experiments, "open_dataset", lambda name: data)
        return run_experiments.unread_words("hacred", encoder)

    assert on("大", "大", "a", "b").startswith("50% of the words of hacred (dev) are unknown to")
    assert on(*["a"] * 99, "大") == ""
    assert on() == ""
