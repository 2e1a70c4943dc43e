from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KINDS = ("pairs", "tokens", "counting")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_holds_under_every_check(kind, folder, bench):
    status, out, error = bench("models", "new", "my-model", "--kind", kind)
    assert status == 0, error
    assert "bench models check my_model.py:MyModel" in out
    status, out, error = bench("models", "check", "my_model.py:MyModel")
    assert status == 0, out + error
    assert {line.split()[0] for line in out.splitlines()} == {"ok"}


@pytest.mark.parametrize("kind", KINDS)
def test_its_tests_pass(kind, folder, bench):
    bench("models", "new", "my-model", "--kind", kind, "--to", "sub")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "sub/test_my_model.py"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", KINDS)
def test_it_runs(kind, folder, bench):
    bench("models", "new", "my-model", "--kind", kind)
    changes = () if kind == "counting" else ("--set", "epochs=1", "--set", "batch_size=2")
    options = (
        "--dataset",
        "small",
        "--encoder",
        "tiny",
        "--seeds",
        "1",
        "--launcher",
        "inline",
        "--out",
        "out",
        *changes,
    )
    status, out, error = bench("run", "--models", "./my_model.py:MyModel", *options)
    assert status == 0, out + error
    (record,) = folder.glob("out/runs/*/record.json")
    assert json.loads(record.read_text())["record"]["model"] == "MyModel"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_in_the_style_of_the_repository(kind, folder, bench):
    ruff = shutil.which("ruff", path=Path(sys.executable).parent) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("needs ruff")
    bench("models", "new", "my-model", "--kind", kind)
    settings = ["--config", ROOT / "pyproject.toml", "--config", 'lint.isort.known-third-party = ["bench"]']
    # To the user's formatter `bench` is a library like any other, set apart here by hand.
    for command in (["check", "--ignore", "D1,I001"], ["format", "--check"]):
        done = subprocess.run([ruff, *command, *settings, "--no-cache", "."], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("there", ["my_model.py", "test_my_model.py"])
def test_a_file_that_is_there_is_kept_and_nothing_is_written(there, folder, bench):
    Path(there).write_text("mine")
    status, _, error = bench("models", "new", "MyModel")
    assert (status, f"{there}: there is such a file already" in error) == (2, True)
    assert [path.name for path in folder.iterdir()] == [there]
    assert Path(there).read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "module", "class_name"),
    [
        ("my-model", "my_model", "MyModel"),
        ("my_model", "my_model", "MyModel"),
        ("MyModel2", "my_model2", "MyModel2"),
        ("GPT2Prompt", "gpt2_prompt", "GPT2Prompt"),
        ("x", "x", "X"),
    ],
)
def test_file_and_class_are_called_after_the_name(name, module, class_name, folder, bench):
    assert bench("models", "new", name)[0] == 0
    assert f"\nclass {class_name}(PairModel):" in (folder / f"{module}.py").read_text()
    assert f"from {module} import {class_name}\n" in (folder / f"test_{module}.py").read_text()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ü", "letters and digits"),
        ("2fast", "letters and digits"),
        ("../up", "letters and digits"),
        ("class", "Python has another use"),
        ("json", "is a module that is installed"),
        ("baselines", "is a module that is installed"),
        ("tensor", "uses the name Tensor"),
        ("pair-model", "uses the name PairModel"),
    ],
)
def test_a_name_that_cannot_be_is_refused_with_the_reason(name, why, folder, bench):
    status, _, error = bench("models", "new", name)
    assert (status, why in error) == (2, True), error
    assert list(folder.iterdir()) == []
