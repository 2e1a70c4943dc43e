from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.experiment.config import CommandLine, Experiment, Options, dataset_preset, make_experiments, read_config
from bench.experiment.variants import resolve_stages, variant_name
from bench.interface import SETTINGS


def make_experiment(**options) -> Experiment:
    (experiment,) = make_experiments(CommandLine(**options))
    return experiment


def stages(models: str = "atlop", setting: str = "human", **options):
    """The resolved stages of the first model."""
    experiment = make_experiment(models=models, **options)
    return resolve_stages(experiment.models[0], setting, experiment.overrides)


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "experiment é.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_recipe_holds_where_nobody_says_otherwise():
    assert stages(dataset="mine", setting="distant")[0].training.epochs == 2


def test_a_preset_wins_over_the_recipe():
    assert (
        stages(dataset="sample", setting="distant")[0].training.epochs
        == dataset_preset("sample").set["distant"]["epochs"]
    )


def test_a_configuration_file_wins_over_the_preset(toml):
    assert stages(config=toml('dataset = "sample"\n[set]\nepochs = 3'), setting="distant")[0].training.epochs == 3


def test_the_command_line_wins_over_the_configuration_file(toml):
    assert stages(config=toml("[set]\nepochs = 3"), changes=["epochs=4"])[0].training.epochs == 4


def test_a_models_own_change_wins_over_the_command_line():
    assert stages("atlop:epochs=6", changes=["epochs=4"])[0].training.epochs == 6


def test_a_general_change_of_the_command_line_wins_over_a_limited_one_of_the_file(toml):
    assert stages(config=toml("[set.atlop.human]\nepochs = 3"), changes=["epochs=4"])[0].training.epochs == 4


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        (["epochs=1"], 1),
        (["epochs=1", "human.epochs=2"], 2),
        (["human.epochs=2", "epochs=1"], 2),
        (["human.epochs=2", "atlop.epochs=3"], 3),
        (["atlop.human.epochs=4", "atlop.epochs=3", "human.epochs=2", "epochs=1"], 4),
        (["distant.epochs=5", "epochs=1"], 1),
        (["epochs=1", "epochs=2"], 2),
    ],
)
def test_within_a_level_the_more_limited_change_wins_then_the_later(changes, epochs):
    assert stages(changes=changes)[0].training.epochs == epochs


def test_a_change_for_one_model_is_not_one_for_another():
    experiment = make_experiment(models="atlop,ssrpu", changes=["ssrpu.prior_multiple=7", "ssrpu.epochs=1"])
    atlop, ssrpu = (resolve_stages(variant, "human", experiment.overrides)[0] for variant in experiment.models)
    assert ssrpu.hyperparameters["prior_multiple"] == 7
    assert atlop.training.epochs != 1


def test_a_change_for_one_source_of_data_is_for_its_stages():
    distant, human = stages(setting="human+distant", changes=["distant.batch_size=7"])
    assert (distant.training.batch_size, human.training.batch_size) != (7, 7)
    assert distant.training.batch_size == 7


def test_tables_of_toml_and_dotted_keys_are_the_same(toml):
    nested = stages(config=toml("[set.atlop.human]\nepochs = 3"))
    dotted = stages(config=toml('[set]\n"atlop.human.epochs" = 3'))
    assert nested == dotted


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("false", False), ('"clamp"', "clamp"), ("clamp", "clamp"), (" clamp ", "clamp")],
)
def test_values_of_the_command_line_are_json_or_text(text, value):
    key = "nn_correction" if isinstance(value, str) else "class_weight"
    assert stages("ssrpu", changes=[f"{key}={text}"])[0].hyperparameters[key] == value


@pytest.mark.parametrize(
    ("asked", "seeds"),
    [("5", (0, 1, 2, 3, 4)), ("66,67,68", (66, 67, 68)), ("66,", (66,)), (" 3 , 1 ", (3, 1)), (None, (0, 1, 2, 3, 4))],
)
def test_seeds_are_a_number_or_a_list(asked, seeds):
    assert make_experiment(models="atlop", seeds=asked).seeds == seeds


@pytest.mark.parametrize("asked", ["0", "-1", "1,1", "-3,", "five", "1.5", "", ",", "1,x"])
def test_seeds_that_cannot_be_are_refused(asked):
    with pytest.raises(UsageError, match="--seeds"):
        make_experiment(models="atlop", seeds=asked)


@pytest.mark.parametrize("asked", ["20240101", "1" + "0" * 40])
def test_a_seed_that_looks_like_a_number_of_seeds_gets_a_hint(asked):
    with pytest.raises(UsageError, match=f"for the one seed {asked}: --seeds {asked},"):
        make_experiment(models="atlop", seeds=asked)


@pytest.mark.parametrize(("text", "seeds"), [("seeds = 2", (0, 1)), ("seeds = [66]", (66,))])
def test_seeds_of_a_file_are_a_number_or_a_list(text, seeds, toml):
    assert make_experiment(models="atlop", config=toml(text)).seeds == seeds


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, ("human",)),
        ("all", SETTINGS),
        ("ext,human", ("human", "ext")),
        ("human,all", SETTINGS),
        ("human,human", ("human",)),
        ("human+distant", ("human+distant",)),
        ("ext+distant,ext@50%,ext@5%,ext", ("ext", "ext@5%", "ext@50%", "ext+distant")),
        ("ext@5.0%,ext@5%:per-type:0", ("ext@5%",)),
        ("all,ext@5%+distant", (*SETTINGS, "ext@5%+distant")),
    ],
)
def test_settings_are_named_or_all(asked, expected):
    assert make_experiment(models="atlop", settings=asked).settings == expected


def test_a_file_has_shares_of_labels_as_the_command_line_has(toml):
    text = 'dataset = "mine"\nsettings = ["ext@2.5%", "ext@5%"]\n[set.ssrpu."ext@2.5%"]\nprior_multiple = 40'
    experiment = make_experiment(models="ssrpu", config=toml(text))
    of_settings = [resolve_stages(experiment.models[0], s, experiment.overrides) for s in experiment.settings]
    assert experiment.settings == ("ext@2.5%", "ext@5%")
    assert [stage.hyperparameters["prior_multiple"] for (stage,) in of_settings] == [40, 12]


def test_of_a_table_that_has_ext_its_shares_can_be_chosen():
    (experiment,) = make_experiments(CommandLine(config="table6", models="ssrpu", settings="ext@10%,ext@5%"))
    assert experiment.settings == ("ext@5%", "ext@10%")
    (stage,) = resolve_stages(experiment.models[0], "ext@5%", experiment.overrides)
    assert stage.training.select_on == "dev_ext"
    with pytest.raises(UsageError, match="unknown setting of preset table8 'ext@5%'"):
        make_experiments(CommandLine(config="table8", settings="ext@5%"))


def test_a_change_of_a_share_that_is_not_run_is_refused_where_it_was_typed():
    with pytest.raises(UsageError, match=r"--set ext@5%.epochs: ext@5% is not run; the settings are ext@10%"):
        make_experiment(models="atlop", settings="ext@10%", changes=["ext@5%.epochs=3"])
    assert stages(settings="ext@5%", setting="ext@5%", changes=["ext@5%.epochs=3"])[0].training.epochs == 3


def test_a_file_can_hold_the_whole_experiment(toml):
    path = toml(
        'models = ["atlop", "ssrpu:margin=0.5"]\nseeds = [7]\ndataset = "mine"\nsettings = ["ext"]\n'
        'encoder = "tiny"\nmax_length = 300\n[set]\nepochs = 2'
    )
    experiment = make_experiment(config=path)
    assert [variant.entry.name for variant in experiment.models] == ["atlop", "ssrpu"]
    assert experiment.models[1].changes == {"margin": 0.5}
    assert (experiment.seeds, experiment.dataset, experiment.settings) == ((7,), "mine", ("ext",))
    assert (experiment.encoder, experiment.max_length) == ("tiny", 300)


@pytest.mark.parametrize(
    ("option", "value"), [("models", "ttmre"), ("seeds", "2"), ("dataset", "other"), ("settings", "human")]
)
def test_every_option_of_the_command_line_wins_over_the_file(option, value, toml):
    path = toml('models = ["atlop"]\nseeds = [7]\ndataset = "mine"\nsettings = ["ext"]')
    assert getattr(make_experiment(config=path, **{option: value}), option) == getattr(
        make_experiment(**{"models": "atlop", option: value}), option
    )


def test_the_sample_comes_with_an_encoder_and_others_with_the_papers():
    assert make_experiment(models="atlop").encoder == "tiny"
    assert make_experiment(models="atlop", dataset="mine").encoder == "roberta-large"


def test_a_file_with_a_byte_order_mark_is_read(toml):
    path = toml('\ufeffmodels = ["atlop"]\nseeds = 2')
    assert read_config(path).models == ["atlop"]
    assert make_experiment(config=path).seeds == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds = ", "not valid TOML"),
        ("sedes = 5", "sedes = 5: extra inputs are not permitted"),
        ('seeds = "many"', "seeds"),
        ('models = "atlop"', "models = 'atlop'"),
        ("max_length = 1.5\nmodel = 1", "model = 1"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(text, message, toml):
    with pytest.raises(UsageError, match=message) as caught:
        read_config(toml(text))
    assert "experiment é.toml" in str(caught.value)


def test_all_problems_of_a_file_are_told_at_once(toml):
    with pytest.raises(UsageError, match=r"sedes.*modles"):
        read_config(toml("sedes = 5\nmodles = 1"))


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path):
    with pytest.raises(UsageError, match="no configuration file"):
        read_config(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'dataset = "\xe9"')
    with pytest.raises(UsageError, match="not valid TOML"):
        read_config(tmp_path / "latin.toml")


def test_only_some_data_sets_come_with_values():
    assert dataset_preset("sample") != Options()
    assert dataset_preset("no such data set") == Options()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "epoch=3",
            "--set epoch: unknown hyperparameter of atlop 'epoch'. Did you mean 'epochs'?\nChoices: accumulate",
        ),
        ("atlpo.epochs=3", "--set atlpo.epochs: unknown scope 'atlpo'. Did you mean 'atlop'?\nChoices: atlop, distant"),
        ("atlop.margin=3", "unknown hyperparameter of atlop 'margin'"),
        ("ssrpu.epochs=3", "unknown scope 'ssrpu'"),
        ("human+distnat.epochs=3", "unknown scope 'human+distnat'. Did you mean 'human+distant'?"),
        ("atlop.human+distnat.epochs=3", "unknown setting or data 'human+distnat'. Did you mean 'human+distant'?"),
        ("atlop.human+distant.humna.epochs=3", "unknown setting or data 'humna'. Did you mean 'human'?"),
        ("human.atlop.epochs=3", "Expected [MODEL.][SETTING.][DATA.]NAME"),
        ("atlop.train.epochs=3", "unknown setting or data 'train'"),
        ("human.distant.epochs=3", "unknown data of the setting human 'distant'.\nChoices: human"),
        ("human+distant.ext.epochs=3", "unknown data of the setting human+distant 'ext'.\nChoices: distant, human"),
        ("distant.human+distant.epochs=3", "unknown setting or data 'distant'"),
    ],
)
def test_a_change_that_would_change_nothing_is_refused_with_the_choices(change, message):
    with pytest.raises(UsageError) as caught:
        stages(changes=[change])
    assert message in str(caught.value)


@pytest.mark.parametrize("change", ["epochs", "=3", ""])
def test_a_change_that_is_none_is_refused_with_an_example(change):
    with pytest.raises(UsageError, match="expected key=value, for example"):
        stages(changes=[change])


@pytest.mark.parametrize(
    "change", ["epochs=0", "epochs=2.5", "epochs=many", "warmup=2", "encoder_lr=-1", "encoder_lr=NaN", "select=first"]
)
def test_a_value_that_cannot_be_is_refused_with_its_key(change):
    key = change.partition("=")[0]
    with pytest.raises(UsageError, match=f"atlop, stage human: {key} = "):
        stages(changes=[change])


def test_a_models_own_change_of_what_only_another_model_has_is_refused():
    with pytest.raises(UsageError, match="atlop:margin: unknown hyperparameter of atlop 'margin'"):
        make_experiment(models="atlop:margin=1,ssrpu")


def test_an_unknown_model_or_setting_is_refused_with_the_choices():
    with pytest.raises(UsageError, match=r"Did you mean 'ttmre'\?\nChoices: atlop, "):
        make_experiment(models="tmre")
    with pytest.raises(UsageError, match=r"Choices: all, distant, ext, ext\+distant, human, human\+distant"):
        make_experiment(models="atlop", settings="humane")


def test_no_model_is_a_question():
    with pytest.raises(UsageError, match="which models"):
        make_experiment()


@pytest.mark.parametrize("text", ["models = []", "settings = []", "seeds = []", "seeds = 0", "max_length = 0"])
def test_nothing_is_no_value(text, toml):
    with pytest.raises(UsageError):
        make_experiments(CommandLine(config=toml(f'{text}\n[[experiment]]\nencoder = "tiny"'), models="atlop"))


def test_a_models_file_may_lie_in_a_folder_with_an_equals_sign(tmp_path):
    folder = tmp_path / "lr=3"
    folder.mkdir()
    (folder / "mine.py").write_text("from baselines.atlop import Atlop\nclass Mine(Atlop):\n    pass\n")
    variant = make_experiment(models=f"{folder}/mine.py:Mine:epochs=3").models[0]
    assert (variant.entry.name, variant.changes) == ("Mine", {"epochs": 3})


def test_a_variant_of_several_values_is_several_models():
    assert [v.changes for v in make_experiment(models="ttmre:memory=10,50,ssrpu").models] == [
        {"memory": 10},
        {"memory": 50},
        {},
    ]


MATRIX = """
seeds = [7]
dataset = "mine"
settings = ["human"]
[set]
epochs = 3
[set.atlop]
clip = 2
[[experiment]]
models = ["atlop", "ssrpu"]
encoder = "a"
[[experiment]]
models = ["ssrpu:margin=1", "ssrpu"]
settings = ["human", "distant"]
encoder = "b"
seeds = 2
[experiment.set]
epochs = 4
"""


def test_a_row_of_a_matrix_is_an_experiment_for_which_the_keys_beside_it_are_defaults(toml):
    first, second = make_experiments(CommandLine(config=toml(MATRIX)))
    assert (first.encoder, first.seeds, first.settings, first.dataset) == ("a", (7,), ("human",), "mine")
    assert (second.encoder, second.seeds, second.settings, second.dataset) == (
        "b",
        (0, 1),
        ("human", "distant"),
        "mine",
    )
    epochs = [resolve_stages(e.models[0], "human", e.overrides)[0].training.epochs for e in (first, second)]
    assert epochs == [3, 4]


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"encoder": "c"}, "encoder", ["c", "c"]),
        ({"dataset": "sample"}, "dataset", ["sample", "sample"]),
        ({"seeds": "1"}, "seeds", [(0,), (0,)]),
        ({"max_length": 100}, "max_length", [100, 100]),
        ({"settings": "distant"}, "settings", [("distant",)]),
        ({"settings": "all"}, "settings", [("human",), ("human", "distant")]),
        ({"models": "atlop"}, "encoder", ["a"]),
        ({"models": "ssrpu"}, "models", [["ssrpu"], ["ssrpu:margin=1", "ssrpu"]]),
        ({"models": "ssrpu:margin=1"}, "models", [["ssrpu:margin=1"]]),
        ({"models": "ssrpu,atlop", "settings": "human"}, "models", [["atlop", "ssrpu"], ["ssrpu:margin=1", "ssrpu"]]),
    ],
)
def test_options_replace_what_a_matrix_says_but_models_and_settings_choose_from_it(options, field, expected, toml):
    experiments = make_experiments(CommandLine(config=toml(MATRIX), **options))
    values = [getattr(experiment, field) for experiment in experiments]
    assert [list(map(str, value)) if field == "models" else value for value in values] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "ttmre"}, "unknown model of .*: 'ttmre'|unknown model of .* 'ttmre'"),
        ({"models": "ssrpu:margin=2"}, r"unknown model of .* 'ssrpu:margin=2'. Did you mean 'ssrpu:margin=1'\?"),
        ({"settings": "ext"}, "unknown setting of .* 'ext'"),
        ({"models": "atlop", "settings": "distant"}, "has none of atlop in distant"),
    ],
)
def test_what_a_matrix_does_not_have_cannot_be_chosen_from_it(options, message, toml):
    with pytest.raises(UsageError, match=message):
        make_experiments(CommandLine(config=toml(MATRIX), **options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("[set.atlpo]\nclip = 1", "unknown scope 'atlpo'"),
        ('[set.atlop."human+distant".ext]\nclip = 1', "unknown data of the setting human.distant 'ext'"),
        ("[set]\nnum_label = 1", "set.num_label: unknown hyperparameter of atlop"),
        ('[[experiment]]\nmodels = ["atlop"]\n[experiment.set.atlop]\nmargin = 1', "unknown hyperparameter of atlop"),
        ('[[experiment]]\nmodel = ["atlop"]', "experiment.0.model"),
    ],
)
def test_a_typo_in_a_file_is_told_with_the_file_and_the_key(change, message, toml):
    with pytest.raises(UsageError, match=f"experiment é.toml.*{message}"):
        make_experiments(CommandLine(config=toml(f'models = ["atlop"]\n{change}')))


def test_a_file_may_change_models_that_this_command_does_not_run(toml):
    path = toml('models = ["atlop", "ssrpu"]\n[set]\nmargin = 0.5\n[set.ttmre]\nlayers = 2')
    assert [variant.entry.name for variant in make_experiment(config=path, models="atlop").models] == ["atlop"]


def test_a_file_extends_another_one_beside_it(toml, tmp_path):
    toml('seeds = [1]\nencoder = "a"\nmodels = ["atlop"]\n[set.atlop.human]\nepochs = 3\nclip = 2')
    (tmp_path / "child.toml").write_text('extends = "experiment é.toml"\nencoder = "b"\n[set]\nepochs = 4')
    experiment = make_experiment(config=tmp_path / "child.toml", dataset="mine")
    training = resolve_stages(experiment.models[0], "human", experiment.overrides)[0].training
    assert (experiment.seeds, experiment.encoder, training.epochs, training.clip) == ((1,), "b", 4, 2)


def test_a_matrix_is_inherited_unless_there_is_another(toml, tmp_path):
    toml(MATRIX)
    (tmp_path / "same.toml").write_text('extends = "./experiment é.toml"\nencoder = "c"\n[set]\nclip = 9')
    (tmp_path / "other.toml").write_text('extends = "./same.toml"\n[[experiment]]\nmodels = ["atlop"]')
    assert [e.encoder for e in make_experiments(CommandLine(config=tmp_path / "same.toml"))] == ["c", "c"]
    other = make_experiment(config=tmp_path / "other.toml")
    training = resolve_stages(other.models[0], "human", other.overrides)[0].training
    assert (training.epochs, training.clip) == (3, 9)


def test_a_circle_of_files_is_told(toml, tmp_path):
    path = toml('extends = "other.toml"\nmodels = ["atlop"]')
    (tmp_path / "other.toml").write_text(f'extends = "{path.name}"')
    with pytest.raises(UsageError, match=r"extends .*: a circle"):
        make_experiments(CommandLine(config=path))


def test_what_a_model_does_not_have_is_left_out_with_the_reason():
    experiment = make_experiment(models="dreeam,atlop", settings="human,distant")
    assert [(setting, str(variant)) for setting, variant in experiment.cells] == [
        ("human", "dreeam"),
        ("human", "atlop"),
        ("distant", "atlop"),
    ]
    (reason,) = experiment.left_out
    assert reason.startswith("dreeam has no setting distant: ")


def test_nothing_left_is_an_error_with_the_reason():
    with pytest.raises(UsageError, match=r"^dreeam has no setting distant: there it is a student"):
        make_experiments(CommandLine(models="dreeam", settings="distant"))


def test_what_a_file_keeps_out_of_names_counts_all_the_same(toml, tmp_path):
    base = tmp_path / "base.toml"
    base.write_text("in_names = false\n[set]\nepochs = 2\n[set.distant]\nepochs = 1")
    path = toml('extends = "base.toml"\nmodels = ["atlop", "ttmre:layers=1"]\n[set]\nbatch_size = 2')
    experiment = make_experiment(config=path, changes=("head_lr=0.1",))
    assert [variant_name(variant, "human+distant", experiment.named) for variant in experiment.models] == [
        "batch_size=2,head_lr=0.1",
        "batch_size=2,head_lr=0.1,layers=1",
    ]
    training = resolve_stages(experiment.models[0], "human+distant", experiment.overrides)[0].training
    assert (training.epochs, training.batch_size, training.head_lr) == (1, 2, 0.1)
    base.write_text("in_names = 0")
    with pytest.raises(UsageError, match="in_names"):
        make_experiment(config=path)
