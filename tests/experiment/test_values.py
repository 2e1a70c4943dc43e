from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from bench.errors import UsageError
from bench.experiment.config import CommandLine, make_experiments, read_config
from bench.experiment.overrides import parse_changes
from bench.experiment.values import checked, shown
from bench.experiment.variants import resolve_stages, variants_of

MANY = "9" * 5000


def stage_of(*changes, model="atlop"):
    (variant,) = variants_of(model)
    (stage,) = resolve_stages(variant, "human", [parse_changes(changes)])
    return stage


WRONG = {
    "epochs=true": "epochs = True: true and false are no values of it",
    "batch_size=false": "batch_size = False",
    "head_lr=true": "head_lr = True: true and false",
    "head_lr=Infinity": "head_lr = inf: expected a finite number",
    "head_lr=NaN": "head_lr = nan: ",
    "head_lr=inf": "head_lr = 'inf': expected a finite number",
    "head_lr=nan": "head_lr = 'nan': ",
    "head_lr=1e400": "head_lr = inf: expected a finite number",
    "clip=-Infinity": "clip = -inf: ",
    f"epochs={MANY}": "epochs: a number of 5,000 digits",
    f"head_lr={MANY}": "head_lr: a number of 5,000 digits",
    f"epochs={'9' * 4000}": "epochs = 9999",
    f"epochs={'9' * 30}": "too large a number",
    f"epochs={'[' * 100_000}": "epochs: a value nested too deep",
    "epochs=": "epochs = '': input should be a valid integer",
    "epochs= ": "epochs = '': input should be a valid integer",
    "epochs=0": "epochs = 0: input should be greater than 0",
    "epochs=-1": "epochs = -1: input should be greater than 0",
    "epochs=null": "epochs = None: input should be a valid integer",
    "epochs=[1]": "epochs = [1]: input should be a valid integer",
    "precision=": "precision = '': input should be 'auto'",
    "compile=2": "compile = 2: input should be a valid boolean",
    "pair_size=true": "pair_size = True",
    "=1": "expected key=value",
    " =1": "expected key=value",
}


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change[:20])
def test_a_value_that_nobody_can_have_meant_is_refused_with_its_name(change):
    with pytest.raises(UsageError) as error:
        stage_of(change)
    assert WRONG[change] in str(error.value)
    assert len(str(error.value)) < 400


def test_true_is_a_value_of_what_is_true_or_false_and_nothing_is_one_of_what_may_be_unset():
    assert stage_of("compile=true").training.compile is True
    assert stage_of("patience=null").training.patience is None


class Odd(BaseModel):
    either: int | bool = 1
    choice: Literal[True, "auto"] = "auto"
    anything: Any = None
    numbers: list[float] = Field(default_factory=list)
    limit: float = float("inf")
    checked: int = 0

    @field_validator("checked")
    @classmethod
    def _check(cls, value: int) -> int:
        if value == 1:
            raise SystemExit(4)
        if value == 2:
            raise KeyError("of a validator")
        return value


def test_a_default_need_not_be_finite_and_true_is_taken_where_a_schema_has_it():
    odd = checked(Odd, {"either": True, "choice": True, "anything": True}, "m")
    assert (odd.either, odd.choice, odd.anything, odd.limit) == (True, True, True, float("inf"))


def test_numbers_in_lists_are_looked_at():
    with pytest.raises(UsageError, match=r"m: numbers = \[1, inf\]: expected a finite number"):
        checked(Odd, {"numbers": [1, float("inf")]}, "m")


@pytest.mark.parametrize(("value", "said"), [(1, "the model's code ended the program: sys.exit(4)"), (2, "KeyError")])
def test_a_models_own_check_that_fails_or_ends_the_program_is_a_message(value, said):
    with pytest.raises(UsageError) as error:
        checked(Odd, {"checked": value}, "m")
    assert said in str(error.value)


def test_a_long_value_is_cut_and_one_that_cannot_be_written_is_described():
    assert shown("x" * 100).endswith("... (102 characters)")
    assert shown(10**5000) == "a number of thousands of digits"


@pytest.mark.parametrize("name", ["atlop:", ":Atlop", "atlop::layers=1", "atlop: ", "./mine.py:"])
def test_a_model_with_nothing_beside_a_colon_says_what_may_stand_there(name):
    with pytest.raises(
        UsageError, match=r"(?s)nothing stands (before|after) a colon.*ttmre:layers=2.*my_model\.py:MyModel"
    ):
        variants_of(name)


def test_a_range_of_thousands_of_digits_is_a_message():
    with pytest.raises(UsageError, match="a number of 5,000 digits"):
        variants_of(f"ttmre:layers=1..{MANY}")


FILES = {
    'seeds = ""': "seeds",
    "seeds = true": "seeds",
    "seeds = 1.5": "seeds",
    "seeds = nan": "seeds",
    "seeds = []": "expected at least one seed",
    "seeds = [true]": "seeds",
    f"seeds = {'9' * 200}": "at most 100 digits",
    f"seeds = {MANY}": "x.toml: not valid TOML",
    'dataset = ""': "dataset = ''",
    'encoder = " "': "encoder = ' '",
    "models = []": "models = []",
    'models = [""]': "models.0 = ''",
    'models = ["atlop:"]': "nothing stands after a colon",
    'settings = [""]': "settings.0 = ''",
    "max_length = true": "max_length = True",
    "max_length = 0": "max_length = 0",
    "max_length = inf": "max_length = inf",
    f"max_length = {'9' * 30}": "max_length = 9999",
    "set = true": "set = True",
    "set.epochs = true": "epochs = True: true and false are no values of it",
    "set.head_lr = inf": "head_lr = inf: expected a finite number",
    "set.head_lr = nan": "head_lr = nan",
    'set.epochs = ""': "epochs = ''",
    f"set.epochs = {'9' * 30}": "too large a number",
    'extends = ""': "extends = ''",
}


def resolved(config):
    """The stages of the experiments in a file."""
    experiments = make_experiments(CommandLine(config=config))
    return [resolve_stages(variant, setting, e.overrides) for e in experiments for setting, variant in e.cells]


@pytest.mark.parametrize("line", FILES, ids=lambda line: line[:24])
def test_the_same_in_a_file_is_refused_with_its_key(line, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(line + "\n" if "models" in line else f'{line}\nmodels = ["atlop"]\n')
    with pytest.raises(UsageError) as error:
        resolved(path)
    assert FILES[line] in str(error.value)
    assert len(str(error.value)) < 600


def test_a_folder_in_the_place_of_a_file_is_a_message(tmp_path):
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_config(tmp_path)
