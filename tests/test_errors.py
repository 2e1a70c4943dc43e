from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import torch

from bench.errors import in_words, model_line
from bench.registry import find

HELPER = "def give_up(value):\n    raise ValueError(value)\n"
MODEL = """import torch
from pydantic import field_validator

from bench.interface import Hyperparameters, PairModel, Recipe, Stage
from bench.nn.segments import segment_logsumexp


class Settings(Hyperparameters):
    size: int = 1

    @field_validator("size")
    @classmethod
    def small(cls, value):
        return value / 0


class Mine(PairModel):
    Hyperparameters = Settings
    recipe = Recipe(stages={"human": (Stage(data="human"),)})

    def __init__(self, hp=None, task=None):
        super().__init__()

    def forward(self, what):
        if what == "torch":
            return torch.zeros(2) @ torch.zeros(3)
        if what == "harness":
            return segment_logsumexp(None, None, 3)
        if what == "helper":
            from mine_helper import give_up
            give_up("no")
        raise SystemExit(3)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """The class of a model in a file, which has another file beside it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_helper", raising=False)
    (tmp_path / "mine_helper.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(MODEL)
    return find(f"{tmp_path / 'mine.py'}:Mine").cls


def raised(call, *arguments) -> BaseException:
    """What a call of the harness raises: torch calls what the model has defined."""
    try:
        torch.no_grad()(call)(*arguments)
    except (Exception, SystemExit) as error:
        # The frame of this test is not one that the harness has.
        return error.with_traceback(error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("what", "place"),
    [
        ("torch", "mine.py, line 26, in forward"),
        ("harness", "mine.py, line 28, in forward"),
        ("helper", "mine_helper.py, line 2, in give_up"),
        ("exit", "mine.py, line 32, in forward"),
    ],
)
def test_the_line_is_the_last_of_the_models_own_files_not_of_what_they_call(what, place, model, tmp_path):
    error = raised(model(), what)
    assert model_line(error) == f"{tmp_path}/{place}"
    assert in_words(error).endswith(f" ({tmp_path}/{place})")


def test_the_line_of_a_model_whose_settings_fail_is_that_of_its_settings(model, tmp_path):
    assert model_line(raised(lambda: None.nothing)).startswith(__file__)
    error = raised(model.Hyperparameters.model_validate, {"size": 3})
    assert model_line(error) == f"{tmp_path}/mine.py, line 14, in small"


def test_an_error_of_the_harness_or_of_what_it_uses_has_no_line_of_a_model():
    error = raised(torch.zeros, "three")
    assert model_line(error) == ""
    assert in_words(error) == f"TypeError: {error}"
    assert model_line(raised(find, "no such model")) == ""


def test_a_file_that_cannot_be_imported_is_told_with_its_line(tmp_path):
    path = Path(tmp_path / "broken.py")
    path.write_text("import torch\n\nSIZE = torch.zeros(2) @ torch.zeros(3)\n")
    with pytest.raises(Exception, match=rf"importing {path} failed: .* \({path}, line 3\)$"):
        find(f"{path}:Mine")
    importlib.invalidate_caches()
