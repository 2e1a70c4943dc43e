from __future__ import annotations

import itertools

import pytest

from bench.errors import UsageError
from bench.experiment.config import CommandLine, make_experiments
from bench.experiment.overrides import Key, parse_key
from bench.experiment.variants import resolve_stages, split_models, variant_name, variants_of
from bench.interface import SETTINGS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ttmre,ssrpu", ["ttmre", "ssrpu"]),
        (" ttmre , ,ssrpu,", ["ttmre", "ssrpu"]),
        ("ttmre:memory=10,50,ssrpu", ["ttmre:memory=10,50", "ssrpu"]),
        ("ttmre:memory=10,50:layers=1..4,2,ssrpu", ["ttmre:memory=10,50:layers=1..4,2", "ssrpu"]),
        ("ttmre:layers=1..2,5..6,atlop", ["ttmre:layers=1..2,5..6", "atlop"]),
        ("ttmre:loss=pu,ttmre", ["ttmre:loss=pu", "ttmre"]),
        ("ttmre:margin=0.1,0.2", ["ttmre:margin=0.1,0.2"]),
        ("a/7.py:Model,2", ["a/7.py:Model", "2"]),
        ("ttmre,7", ["ttmre", "7"]),
        ("", []),
    ],
)
def test_a_comma_ends_a_name_unless_a_number_goes_on_with_a_range(text, names):
    assert split_models(text) == names


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ttmre", [{}]),
        ("ttmre:layers=2", [{"layers": 2}]),
        ("ttmre:layers=1..3", [{"layers": 1}, {"layers": 2}, {"layers": 3}]),
        ("ttmre:layers=2..2", [{"layers": 2}]),
        ("ttmre:memory=100,10", [{"memory": 100}, {"memory": 10}]),
        ("ttmre:layers=1..2,4", [{"layers": 1}, {"layers": 2}, {"layers": 4}]),
        ("ttmre:margin=0.25", [{"margin": 0.25}]),
        ("ttmre:beta=-1..1", [{"beta": -1}, {"beta": 0}, {"beta": 1}]),
        ("ttmre:loss=pu:residual=none", [{"loss": "pu", "residual": "none"}]),
        ("ttmre:human+distant.human.head_lr=1e-5", [{"human+distant.human.head_lr": 1e-5}]),
        ("ttmre:layers=1,2:memory=3,4", [{"layers": a, "memory": b} for a in (1, 2) for b in (3, 4)]),
    ],
)
def test_a_range_is_a_variant_for_each_value_and_two_are_their_product(name, changes):
    assert [variant.changes for variant in variants_of(name)] == changes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ttmre:layers=4..1", "layers=4..1: 4..1 has nothing in it; from the smaller to the larger: 1..4"),
        ("ttmre:layers=1..", "'1..' is no integer and no range"),
        ("ttmre:layers=1..x", "'1..x' is no integer and no range"),
        ("ttmre:layers=1...4", "is no integer and no range"),
        ("ttmre:margin=0.1,0.2", "a variant each, ttmre:margin=0.25,ttmre:margin=1"),
        ("ttmre:memory=10,", "'' is no integer"),
        ("ttmre:memory=10,1..20", "memory=10,1..20: a value is there twice"),
        ("ttmre:memory=1..1000000000000", "more than 1,000 variants"),
        ("ttmre:memory=1..100:layers=1..100", "more than 1,000 variants"),
    ],
)
def test_a_range_that_is_none_is_told(name, message):
    with pytest.raises(UsageError) as caught:
        variants_of(name)
    assert message in str(caught.value)


def test_a_variant_is_written_as_the_command_line_takes_it():
    name = "ttmre:loss=pu:layers=2:distant.epochs=1"
    (variant,) = variants_of(name)
    assert str(variant) == name
    assert variants_of(str(variant)) == [variant]


LIMITED = ["", "human.", "human+distant.", "human+distant.human."]
KEYS = [f"{model}{scope}epochs" for model in ("", "atlop.") for scope in LIMITED]
"""All keys that concern the second stage of atlop in human+distant, the less limited first."""


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(range(len(KEYS)), 2)))
def test_of_two_keys_the_one_limited_to_the_model_wins_then_to_the_setting_then_to_the_data(first, second):
    level = {KEYS[first]: 1 + first, KEYS[second]: 1 + second}
    (variant,) = variants_of("atlop")
    assert resolve_stages(variant, "human+distant", [level])[1].training.epochs == 1 + max(first, second)


OF_SHARES = ("ext.clip", "ext.ext.clip", "ext@10%.clip", "ext@10%.ext.clip", "atlop.ext.clip", "atlop.ext@10%.clip")
"""From the one that gives way to all others."""


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(range(len(OF_SHARES)), 2)))
def test_what_is_limited_to_ext_holds_for_its_shares_and_what_is_limited_to_a_share_wins(first, second):
    level = {OF_SHARES[first]: 1 + first, OF_SHARES[second]: 1 + second}
    (variant,) = variants_of("atlop")
    assert resolve_stages(variant, "ext@10%", [level])[0].training.clip == 1 + max(first, second)


@pytest.mark.parametrize("setting", ["ext", "ext@1%", "ext@10%:at-random", "ext@10%+distant"])
def test_what_is_limited_to_a_share_holds_for_that_share_alone(setting):
    (variant,) = variants_of("atlop")
    assert resolve_stages(variant, setting, [{"ext@10%.ext.clip": 7}])[-1].training.clip == 1


def test_a_change_of_one_share_says_so_in_the_name_and_the_point_of_a_percentage_divides_nothing():
    (variant,) = variants_of("ssrpu:ext@2.5%.prior_multiple=40:margin=1")
    assert resolve_stages(variant, "ext@2.5%", [])[0].hyperparameters["prior_multiple"] == 40
    assert variant_name(variant, "ext@2.5%", []) == "ext@2.5%.prior_multiple=40,margin=1"
    assert variant_name(variant, "ext@5%", []) == variant_name(variant, "ext", []) == "margin=1"
    assert parse_key("ssrpu.ext@2.50%:per-type:0.ext.margin") == Key("ssrpu", "ext@2.5%", "ext", "margin")


@pytest.mark.parametrize("key", KEYS)
def test_a_later_level_wins_whatever_an_earlier_one_is_limited_to(key):
    (variant,) = variants_of("atlop")
    levels = [{"atlop.human+distant.human.epochs": 7}, {key: 8}]
    assert resolve_stages(variant, "human+distant", levels)[1].training.epochs == 8


def test_fine_tuning_can_be_changed_apart_from_training_on_the_same_data_alone():
    (variant,) = variants_of("ttmre")
    change = [{"ttmre": {"human+distant": {"human": {"clip": 7}}}}]
    clips = {setting: [s.training.clip for s in resolve_stages(variant, setting, change)] for setting in SETTINGS}
    assert clips == {
        "human": [1],
        "distant": [1],
        "human+distant": [1, 7],
        "ext": [1],
        "ext+distant": [1, 1],
    }


def test_a_setting_of_one_stage_can_be_changed_apart_from_the_same_data_elsewhere():
    (variant,) = variants_of("atlop")
    change = [{"human.human.clip": 7}]
    assert resolve_stages(variant, "human", change)[0].training.clip == 7
    assert resolve_stages(variant, "human+distant", change)[1].training.clip == 1


def test_a_teacher_is_trained_as_in_the_setting_it_is_of():
    (variant,) = variants_of("dreeam")
    change = [{"human+distant.clip": 7, "human.human.clip": 8}]
    teacher, student, after = resolve_stages(variant, "human+distant", change)
    assert (teacher.training.clip, student.training.clip, after.training.clip) == (8, 7, 7)
    assert teacher == resolve_stages(variant, "human", change)[0]


def test_a_model_that_differs_in_inference_alone_is_trained_as_the_other_and_has_the_last_word():
    (fused,) = variants_of("dreeam-isf")
    change = {"dreeam": {"clip": 7, "human": {"warmup": 0.5}}, "dreeam-isf": {"warmup": 0.25}}
    training = resolve_stages(fused, "human", [change])[0].training
    assert (training.clip, training.warmup) == (7, 0.25)


@pytest.mark.parametrize(
    ("setting", "changes", "name"),
    [
        ("human", {"clip": 2}, "clip=2"),
        ("human", {"distant.clip": 2}, ""),
        ("human", {"ssrpu.clip": 2}, ""),
        ("human", {"human+distant.clip": 2}, ""),
        ("human+distant", {"human+distant.clip": 2}, "clip=2"),
        ("human+distant", {"human+distant.human.clip": 2, "distant.clip": 3}, "distant.clip=3,human.clip=2"),
        ("human+distant", {"human.clip": 2, "atlop.human+distant.human.clip": 3}, "human.clip=3"),
        ("human+distant", {"margin": 2}, ""),
    ],
)
def test_a_variant_is_called_by_the_changes_that_concern_it(setting, changes, name):
    (variant,) = variants_of("atlop")
    assert variant_name(variant, setting, [changes]) == name


def test_what_a_preset_says_is_no_change():
    (experiment,) = make_experiments(CommandLine(models="atlop", dataset="sample", changes=["clip=2"]))
    assert variant_name(experiment.models[0], "human", experiment.changes) == "clip=2"


@pytest.mark.parametrize("key", ["a.b.c.d", "a.b.x", "human.human+distant.x", "a.human.human.human.x"])
def test_a_key_of_another_form_is_refused(key):
    with pytest.raises(UsageError, match="Expected"):
        parse_key(key)
