from __future__ import annotations

import json
from dataclasses import replace

import pytest
from small_experiments import SMALL, document, documents, plans, register

import bench.experiment.planner
from bench.data.catalog.dataset import open_dataset
from bench.errors import UsageError
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.planner import make_plan, planned_runs
from bench.interface import SETTINGS
from bench.nn.encoder_source import find_encoder
from bench.registry import find, registered
from bench.runs.plan import RunPlan, StagePlan, describe, distinct_stages

pytestmark = pytest.mark.usefixtures("small")


def keys(planned: list[RunPlan]) -> list[str]:
    return [stage.key for plan in planned for stage in plan.stages]


def test_planning_twice_gives_the_same():
    assert plans(seeds="3", settings="all") == plans(seeds="3", settings="all")


def test_a_plan_survives_being_written_down():
    for plan in plans("ttmre", settings="human+distant"):
        again = RunPlan.model_validate(json.loads(json.dumps(plan.model_dump(mode="json"))))
        assert (again, again.key, again.configuration) == (plan, plan.key, plan.configuration)


def test_what_a_data_set_is_called_and_where_it_lies_does_not_change_the_keys(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    register(tmp_path / "elsewhere", "renamed")
    before, after = plans(settings="human+distant"), plans(settings="human+distant", dataset="renamed")
    assert keys(before) == keys(after)
    assert before[0].key == after[0].key


def test_what_a_model_is_called_does_not_change_the_keys():
    assert keys(plans("atlop")) == keys(plans("baselines.atlop:Atlop"))


def test_saying_the_default_does_not_change_the_keys():
    assert keys(plans("ssrpu")) == keys(plans("ssrpu", "gamma=1.0"))


@pytest.mark.parametrize(
    "change",
    [
        "epochs=3",
        "batch_size=1",
        "accumulate=2",
        "encoder_lr=0.5",
        "head_lr=0.5",
        "warmup=0.5",
        "clip=0.5",
        "adam_epsilon=0.5",
        "weight_decay=0.5",
        "precision=bf16",
        "select=last",
        "select_on=dev_ext",
        "pair_size=32",
        "block_size=8",
        "num_labels=3",
    ],
)
def test_every_value_that_decides_the_weights_changes_the_key(change):
    assert keys(plans()) != keys(plans("atlop", change))


def test_seed_and_length_change_the_key():
    assert len({*keys(plans()), *keys(plans(seeds="7,")), *keys(plans(max_length=100))}) == 3


def test_one_changed_label_changes_the_keys_of_what_is_trained_on_it(tmp_path):
    changed = documents("train", 5)
    changed[2] = document("train 2", 2)
    assert changed != documents("train", 5)
    register(tmp_path, "changed", train=changed)
    before, after = plans(settings="human,distant"), plans(settings="human,distant", dataset="changed")
    assert before[0].stages[0].key != after[0].stages[0].key
    assert before[1].stages[0].key == after[1].stages[0].key


def test_a_changed_test_document_changes_the_run_but_not_its_stages(tmp_path):
    register(tmp_path, "changed", test=documents("test", 2))
    before, after = plans(), plans(dataset="changed")
    assert keys(before) == keys(after)
    assert before[0].key != after[0].key


def test_other_dev_documents_change_the_stages_because_they_select(tmp_path):
    register(tmp_path, "changed", dev=documents("dev", 1))
    assert keys(plans()) != keys(plans(dataset="changed"))


def test_another_order_of_relations_changes_the_key(tmp_path, small_home):
    path = small_home / "datasets" / "small.json"
    registration = json.loads(path.read_text())["registration"]
    registration["name"] = "turned"
    registration["relations"].reverse()
    (small_home / "datasets" / "turned.json").write_text(json.dumps(registration))
    assert keys(plans()) != keys(plans(dataset="turned"))


def test_another_vocabulary_is_another_encoder_and_changes_the_key(tmp_path):
    register(tmp_path, "other-words", train=documents("train", 1))
    before, after = (
        plans(settings="distant")[0].stages[0],
        plans(settings="distant", dataset="other-words")[0].stages[0],
    )
    assert before.train_checksum == after.train_checksum
    assert before.key != after.key


def test_other_model_code_changes_the_key_and_a_remark_does_not(tmp_path):
    text = "from baselines.atlop import Atlop\nclass Mine(Atlop):\n    '''Mine.'''\n    {}\n"
    keys_of_each = []
    for i, line in enumerate(["size = 1", "size = 1  # a remark", "size = 2"]):
        path = tmp_path / f"mine{i}.py"
        path.write_text(text.format(line))
        keys_of_each.append(keys(plans(f"{path}:Mine")))
    assert keys_of_each[0] == keys_of_each[1] != keys_of_each[2]


def test_what_a_stage_is_frozen_in_or_starts_from_changes_its_key():
    stage = plans("ttmre", settings="human+distant")[0].stages[1]
    assert (
        len({stage.key, stage.model_copy(update={"freeze": ()}).key, stage.model_copy(update={"after": None}).key}) == 3
    )


def test_stages_are_shared_by_content():
    planned = plans(settings="distant,human+distant", seeds="2")
    assert planned[0].stages[0] == planned[2].stages[0]
    assert len(distinct_stages(planned)) == 4
    assert describe(planned) == "4 runs, 4 stages (2 shared between runs)"


def test_a_stage_comes_after_the_one_it_starts_from():
    stages = distinct_stages(plans("atlop,ttmre", settings="human+distant,distant", seeds="2"))
    seen: set[str] = set()
    for stage in stages:
        assert stage.after is None or stage.after in seen
        seen.add(stage.key)


def test_what_reads_no_word_pieces_is_planned_without_its_encoder():
    """Which need not be here for it, nor have room for a word."""
    asked = CommandLine(models="prior", dataset="small", encoder="absent", seeds="1", max_length=2)

    def no_encoder(name, train):
        raise AssertionError(name)

    ((_, (planned,)),) = planned_runs(make_experiments(asked), open_dataset, no_encoder)
    (usual,) = make_experiments(replace(asked, encoder="tiny", max_length=None))
    dataset = open_dataset("small")
    assert [planned.key] == [p.key for p in make_plan(usual, dataset, find_encoder("tiny", dataset.documents("train")))]


def test_a_model_named_twice_is_planned_once():
    assert len(plans("atlop,atlop", seeds="2")) == 2


@pytest.mark.parametrize("model", sorted(registered()))
def test_every_setting_of_every_model_can_be_planned_or_has_a_reason_why_not(model):
    (experiment,) = make_experiments(
        CommandLine(models=model, dataset="small", encoder="tiny", seeds="1", settings="all")
    )
    dataset = open_dataset("small")
    planned = make_plan(experiment, dataset, find_encoder("tiny", dataset.documents("train")))
    recipe = find(model).cls.recipe
    assert [plan.setting for plan in planned] == [setting for setting in SETTINGS if setting in recipe.stages]
    assert set(SETTINGS) - set(recipe.stages) == set(recipe.not_applicable)
    for plan in planned:
        assert [stage.data for stage in plan.stages] == [stage.data for stage in recipe.stages[plan.setting]]


def variants(*models: str, changes: tuple[str, ...] = (), **options) -> list[str]:
    """Without what every small experiment changes."""
    usual = {change.partition("=")[0] for change in SMALL} - {change.partition("=")[0] for change in changes}
    return [
        ",".join(part for part in plan.variant.split(",") if part.partition("=")[0] not in usual)
        for plan in plans(",".join(models), *changes, **options)
    ]


def test_a_variant_is_called_by_what_was_changed_in_order():
    assert variants("ttmre:memory=4:layers=2") == ["layers=2,memory=4"]


def test_a_variant_has_no_changes_of_other_models():
    assert variants("atlop", "ssrpu", changes=("ssrpu.margin=1", "atlop.clip=2")) == ["clip=2", "margin=1"]


def test_a_variant_has_no_changes_for_data_it_is_not_trained_on():
    changes = ("distant.clip=2",)
    assert variants("atlop", changes=changes, settings="human,distant") == ["", "distant.clip=2"]


def test_two_values_of_one_setting_are_two_variants_with_folders_of_their_own():
    planned = plans("atlop:clip=1,atlop:clip=2")
    assert len({plan.folder for plan in planned}) == len({plan.configuration for plan in planned}) == 2


def test_a_folders_name_is_safe_and_short_whatever_a_variant_is_called():
    plan = plans()[0].model_copy(update={"variant": "../é/" + "x" * 500, "encoder": "/a/b c"})
    assert "/" not in plan.folder
    assert len(plan.folder.encode()) < 200


def test_a_share_of_the_labels_trains_the_recipe_of_ext_on_train_and_dev_with_a_share_of_theirs():
    dataset = open_dataset("small")
    (ext,) = plans("ssrpu", settings="ext")
    (plan,) = plans("ssrpu", "select_on=dev_ext", settings="ext@50%:at-random")
    (stage,) = plan.stages
    assert (plan.setting, stage.label_share) == ("ext@50%:at-random", "50%:at-random")
    assert (stage.data, stage.hyperparameters) == ("ext", ext.stages[0].hyperparameters)
    assert (stage.train_split, stage.select_split) == ("train@50%:at-random", "dev@50%:at-random")
    read = (stage.train_split, stage.select_split)
    assert (stage.train_checksum, stage.select_checksum) == tuple(map(dataset.checksum, read))
    assert (plan.dev_checksum, plan.test_checksum) == (ext.dev_checksum, ext.test_checksum)


def test_with_distant_data_the_distant_stage_is_that_of_every_other_setting_and_a_teacher_has_the_share():
    (plain,), (share,) = plans("atlop", settings="ext+distant"), plans("atlop", settings="ext@50%+distant")
    assert share.stages[0] == plain.stages[0]
    assert "label_share" not in share.stages[0].model_dump()
    (alone,), (taught,) = plans("dreeam", settings="ext@50%"), plans("dreeam", settings="ext@50%+distant")
    assert taught.stages[0] == alone.stages[0]
    assert [stage.train_split for stage in taught.stages] == ["train@50%", "distant", "train@50%"]


def test_shares_rules_and_seeds_are_runs_of_their_own_with_clean_names():
    settings = ["ext", "ext@50%", "ext@50.5%", "ext@50%:at-random", "ext@50%:per-type:1", "ext@50%+distant"]
    planned = plans(settings=",".join(settings))
    assert len({plan.key for plan in planned}) == len({plan.configuration for plan in planned}) == len(settings)
    for plan in planned:
        for name in (plan.folder, *(stage.folder for stage in plan.stages)):
            assert not set(name) & set("%:@ ")
    assert "-ext-50.5-per-type-0-" in next(plan.folder for plan in planned if plan.setting == "ext@50.5%")


def test_all_labels_are_trained_on_once_whichever_rule_is_named():
    one, other = plans(settings="ext@100%,ext@100%:at-random:7")
    assert one.stages == other.stages
    assert (one.key, one.folder) != (other.key, other.folder)


def test_a_share_is_written_in_one_way_however_it_was_typed():
    assert plans(settings="ext@50.0%:per-type:0") == plans(settings="ext@50%")
    with pytest.raises(UsageError, match="only ext is trained on a share"):
        plans(settings="human@50%")


def test_plans_of_settings_without_a_share_hold_nothing_of_it():
    for plan in plans(settings="all"):
        assert not any("label_share" in stage for stage in plan.model_dump(mode="json")["stages"])


def test_a_plan_with_a_share_survives_being_written_down_and_one_that_is_none_is_refused():
    (plan,) = plans(settings="ext@50%:by-annotator:2+distant")
    written = plan.model_dump(mode="json")
    assert RunPlan.model_validate(json.loads(json.dumps(written))) == plan
    with pytest.raises(ValueError, match="0% of the labels cannot be kept"):
        RunPlan.model_validate(written | {"setting": "ext@0%"})
    written["stages"][1]["label_share"] = "101%"
    with pytest.raises(ValueError, match=r"stages\.1\.label_share"):
        RunPlan.model_validate(written)


def test_seeds_of_a_cell_have_one_configuration():
    assert len({plan.configuration for plan in plans(seeds="4", settings="human+distant")}) == 1


@pytest.mark.parametrize("setting", ["human", "human+distant"])
def test_other_stages_are_another_configuration(setting):
    assert len({plans("atlop", f"clip={clip}", settings=setting)[0].configuration for clip in (1, 2)}) == 2


@pytest.mark.parametrize(("version", "field"), [("HARNESS_VERSION", "harness"), ("METRIC_VERSION", "metric")])
def test_a_new_version_makes_new_keys_and_leaves_those_of_old_plans(version, field, monkeypatch):
    before = plans()[0]
    written = before.model_dump(mode="json")
    key, configuration = before.key, before.configuration
    monkeypatch.setattr(bench.experiment.planner, version, getattr(bench.experiment.planner, version) + 1)
    after, again = plans()[0], RunPlan.model_validate(written)
    assert (again.key, again.configuration) == (key, configuration)
    assert after.key != key
    assert after.configuration != configuration


def test_data_that_is_not_there_is_told_with_what_is(tmp_path):
    register(tmp_path, "human-only", distant=0)
    with pytest.raises(UsageError, match=r"'human-only' has no distant documents.* It has: train, dev, test"):
        plans(dataset="human-only", settings="human,distant")


def test_a_stage_names_its_folder_by_model_data_and_seed():
    stage: StagePlan = plans(settings="distant")[0].stages[0]
    assert stage.folder == f"atlop-distant-s0-{stage.key}"
