from __future__ import annotations

import csv
import functools
import re
from importlib.resources import files
from pathlib import Path

import pytest

from bench.cli.stand_ins import StandIns
from bench.errors import UsageError
from bench.experiment.checks import check_changes
from bench.experiment.config import CommandLine, Experiment, make_experiments, preset_names
from bench.experiment.losses import changeable
from bench.experiment.planner import planned_runs
from bench.experiment.variants import plain, resolve_stages
from bench.registry import LOSS, find, find_loss, registered
from bench.runs.plan import RunPlan

PUBLISHED = Path(__file__).parents[2] / "results" / "published" / "ttm_re_tables.csv"
TABLES = ("table3", "table4", "table5", "table6", "table7", "table8", "table9")
PRESETS = ("atgl-table2", "atgl-table3", *TABLES)
MODELS = {
    "ATLOP": "atlop",
    "BRAN": "bran",
    "DREEAM": "dreeam",
    "KD-DocRE": "kd_docre",
    "PN": "pn",
    "PU": "pu",
    "PubmedBert": "pubmedbert",
    "PubmedBert + BRAN": "pubmedbert-bran",
    "SSR-PU": "ssrpu",
    "TTM-RE": "ttmre",
}
VARIANTS = {"memory_layers": "layers", "memory_tokens": "memory"}
UNTOLD = {"none", "unstated"}
"""Encoders of rows that name none."""


@functools.cache
def experiments(preset: str) -> list[Experiment]:
    return make_experiments(CommandLine(config=preset))


def cells(preset: str) -> list[tuple[str, str, str, str, str]]:
    """Data set, setting, model, its variant and encoder, as the published file has them."""
    return [
        (e.dataset, setting, v.entry.name, ",".join(f"{k}={plain(x)}" for k, x in v.changes.items()), e.encoder)
        for e in experiments(preset)
        for setting, v in e.cells
    ]


def published(preset: str) -> set[tuple[str, str, str, str, str]]:
    """The rows of a table, in our words."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if f"table{row['table']}" == preset]
    cells = set()
    for row in rows:
        name, equals, value = row["variant"].partition("=")
        # ChemDisGene has one training set, distantly labelled, in the place of `train`.
        setting = "human" if row["dataset"] == "chemdisgene" else row["setting"]
        variant = f"{VARIANTS.get(name, name)}{equals}{value}"
        cells.add((row["dataset"], setting, MODELS[row["model"]], variant, row["encoder"]))
    return cells


def is_row(cell: tuple[str, ...], row: tuple[str, ...]) -> bool:
    encoder = row[4] in UNTOLD or cell[4].rpartition("/")[2] == row[4]
    return encoder and (cell[0], cell[2], cell[3]) == (row[0], row[2], row[3]) and row[1] in (cell[1], "unstated")


def test_there_is_a_preset_for_every_published_table():
    assert preset_names() == list(PRESETS)


@pytest.mark.parametrize("preset", TABLES)
def test_every_row_of_a_published_table_is_a_cell_of_its_preset_and_nothing_else_is(preset):
    rows, ours = published(preset), cells(preset)
    assert [row for row in rows if not any(is_row(cell, row) for cell in ours)] == []
    assert [cell for cell in ours if not any(is_row(cell, row) for row in rows)] == []
    assert len(set(ours)) == len(ours)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_published_table_takes_five_seeds(preset):
    assert {len(experiment.seeds) for experiment in experiments(preset)} == {5}


@pytest.mark.parametrize("preset", PRESETS)
def test_no_cell_of_a_preset_is_one_that_the_model_does_not_have(preset):
    assert [reason for experiment in experiments(preset) for reason in experiment.left_out] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_every_key_of_a_preset_changes_something(preset):
    entries = [find(name) for name in registered()]
    losses = {name: find_loss(name) for name in registered(LOSS)}
    for experiment in experiments(preset):
        models = [changeable(entry, experiment.presets) for entry in entries]
        models += [changeable(variant.entry, [variant.changes]) for variant in experiment.models]
        for level in experiment.presets:
            check_changes(f"{preset}: ", level, models, losses)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_of_a_preset_has_its_source_beside_it(preset):
    covered, without = False, []
    for line in (files("bench.presets") / f"{preset}.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            covered = "#" in line or "set" not in line
        elif re.match(r"\w+ =", line) and not covered and "#" not in line and not line.startswith(("seeds", "extends")):
            without.append(line)
    assert [line for line in without if line.partition(" ")[0] not in ("models", "settings", "encoder")] == []


# What presets and recipes disagree about. A recipe is what a model does where nobody says otherwise; a preset repeats
# one publication. Every difference is said in the preset too ("recipe:").
DIFFERENT: dict[tuple[str, str], dict[tuple[str, str], set[str]]] = {
    ("atlop", "redocred"): {
        ("distant", "distant"): {"head_lr"},
        ("human+distant", "distant"): {"head_lr"},
        ("human+distant", "human"): {"head_lr"},
        ("ext", "ext"): {"batch_size", "select_on"},
        ("ext+distant", "distant"): {"head_lr"},
        ("ext+distant", "ext"): {"head_lr", "select_on"},
    },
    ("ssrpu", "redocred"): {
        ("distant", "distant"): {"head_lr"},
        ("human+distant", "distant"): {"head_lr"},
        ("human+distant", "human"): {"head_lr"},
        ("ext", "ext"): {"select_on"},
        ("ext+distant", "distant"): {"head_lr"},
        ("ext+distant", "ext"): {"head_lr", "select_on"},
    },
    ("kd_docre", "redocred"): {
        ("human+distant", "distant"): {"epochs", "batch_size", "accumulate"},
        ("human+distant", "human after"): {"num_labels"},
    },
    ("ttmre", "redocred"): {
        ("human", "human"): {"weight_decay"},
        ("distant", "distant"): {"weight_decay", "prior_multiple"},
        ("human+distant", "distant"): {"weight_decay", "prior_multiple"},
        ("human+distant", "human"): {"weight_decay"},
        ("ext", "ext"): {"weight_decay", "select_on"},
        ("ext+distant", "distant"): {"weight_decay", "prior_multiple"},
        ("ext+distant", "ext"): {"weight_decay", "select_on"},
    },
    **{
        (model, "chemdisgene"): {("human", "human"): {"batch_size", "encoder_lr", "prior_multiple"}}
        for model in ("pn", "pu", "ssrpu")
    },
    ("atlop", "chemdisgene"): {("human", "human"): {"batch_size", "encoder_lr"}},
    ("ttmre", "chemdisgene"): {
        ("human", "human"): {"batch_size", "encoder_lr", "prior_multiple", "margin", "layers", "weight_decay"}
    },
}


@pytest.mark.parametrize("preset", TABLES)
def test_a_preset_contradicts_a_recipe_only_where_that_is_known(preset):
    for experiment in experiments(preset):
        for setting, variant in experiment.cells:
            known = DIFFERENT.get((variant.entry.name, experiment.dataset), {})
            with_preset = resolve_stages(variant, setting, experiment.overrides)
            without = resolve_stages(variant, setting, [])
            for i, (ours, plain_stage) in enumerate(zip(with_preset, without, strict=True)):
                values = dict(ours.training) | ours.hyperparameters
                recipe = dict(plain_stage.training) | plain_stage.hyperparameters
                different = {name for name in values if values[name] != recipe[name]}
                data = ours.stage.data + (" after" if i and ours.stage.data == with_preset[0].stage.data else "")
                expected = known.get((setting, data), set()) | {"precision"}
                if experiment.encoder.endswith("deberta-v3-large") and variant.entry.name == "ttmre":
                    expected = expected | {"layers"}
                assert different == expected, (setting, str(variant), data)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_computed_in_float32_on_a_cpu(preset):
    for experiment in experiments(preset):
        for setting, variant in experiment.cells:
            for stage in resolve_stages(variant, setting, experiment.overrides):
                assert stage.training.precision == "bf16-on-gpu", (setting, str(variant))


@functools.cache
def plans(preset: str) -> tuple[RunPlan, ...]:
    here = StandIns()
    return tuple(plan for _, runs in planned_runs(experiments(preset), here.dataset, here.encoder) for plan in runs)


def trained(preset: str, **wanted: str) -> set[str]:
    """The keys of the trainings of some runs."""
    runs = [plan for plan in plans(preset) if all(getattr(plan, key) == value for key, value in wanted.items())]
    return {stage.key for plan in runs for stage in plan.stages}


@pytest.fixture(autouse=True)
def nothing_here(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))


def test_tables_of_the_same_models_train_them_once():
    assert trained("table5") < trained("table3")
    assert trained("table7", encoder="roberta-large") < trained("table3")
    assert trained("table8", variant="layers=4") == trained("table9", variant="memory=200")
    assert trained("table8", variant="layers=4") == trained(
        "table3", model="ttmre", variant="", setting="human+distant"
    )


def test_the_distant_stages_of_the_extremely_unlabeled_scenario_are_those_of_the_main_table():
    distant = {stage.key for plan in plans("table6") for stage in plan.stages if stage.data == "distant"}
    assert distant < trained("table3", setting="distant")


def test_a_teacher_is_the_model_that_has_a_row_of_its_own():
    for model in ("dreeam", "kd_docre"):
        runs = [plan for plan in plans("table3") if plan.model == model and plan.setting == "human+distant"]
        assert {plan.stages[0].key for plan in runs} == trained("table3", model=model, setting="human")


@pytest.mark.parametrize("name", ["table3", "table3.toml"])
def test_a_preset_is_found_by_its_name(name):
    assert make_experiments(CommandLine(config=name)) == experiments("table3")


def test_a_file_by_its_path_though_it_is_called_like_a_preset(tmp_path, monkeypatch):
    (tmp_path / "table3.toml").write_text('models = ["atlop"]\nseeds = [9]')
    monkeypatch.chdir(tmp_path)
    for path in ("./table3.toml", tmp_path / "table3.toml"):
        (experiment,) = make_experiments(CommandLine(config=path))
        assert experiment.seeds == (9,)
    assert make_experiments(CommandLine(config="table3")) == experiments("table3")
    with pytest.raises(UsageError, match=r"table3.toml is a preset and a file here: .* \./table3.toml for the file"):
        make_experiments(CommandLine(config="table3.toml"))


def test_a_file_in_this_folder_needs_no_path_where_no_preset_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "mine.toml").write_text('models = ["atlop"]\nseeds = [9]')
    monkeypatch.chdir(tmp_path)
    (experiment,) = make_experiments(CommandLine(config="mine.toml"))
    assert experiment.seeds == (9,)


@pytest.mark.parametrize("name", ["tabel3", "tabel3.toml"])
def test_an_unknown_preset_is_told_with_those_there_are(name, bench):
    status, _, err = bench("run", "--config", name)
    assert status == 2
    assert "unknown preset 'tabel3'. Did you mean 'table3'?\nChoices: atgl-table2, atgl-table3, table3, table4" in err
    assert f"There is no file {name} here" in err


def test_a_data_set_is_not_given_a_tables_values_for_being_called_like_it():
    (experiment,) = make_experiments(CommandLine(models="ttmre", dataset="table3"))
    assert [level for level in experiment.presets if level] == []


def test_a_table_can_be_tried_small():
    (experiment,) = make_experiments(
        CommandLine(config="table3", encoder="minilm", dataset="mine", seeds="1", models="ssrpu", settings="human")
    )
    assert (experiment.encoder, experiment.dataset, experiment.seeds) == ("minilm", "mine", (0,))
    training = resolve_stages(experiment.models[0], "human", experiment.overrides)[0].training
    assert training.epochs == 30


def test_on_the_sample_its_own_values_win_over_a_tables():
    for experiment in make_experiments(CommandLine(config="table3", dataset="sample")):
        assert experiment.encoder == "tiny"
        for setting, variant in experiment.cells:
            for stage in resolve_stages(variant, setting, experiment.overrides):
                assert stage.training.encoder_lr == 1e-3


def test_a_file_that_extends_a_preset_has_the_last_word(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "table3"\nencoder = "tiny"\n[set]\nepochs = 2\n')
    mine = make_experiments(CommandLine(config=path, dataset="sample", settings="human+distant", models="kd_docre"))
    (experiment,) = mine
    stages = resolve_stages(experiment.models[0], "human+distant", experiment.overrides)
    assert [stage.training.epochs for stage in stages] == [2, 2, 2]
    assert experiment.changes == ({"epochs": 2}, {})
