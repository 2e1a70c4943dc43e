"""Settings of runs: those of recipes, and on shares of the labels."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.label_share import RULES, LabelShare
from bench.runs.recipe import SETTINGS
from bench.runs.settings import SettingParts, by_share, parts_of

SHARES = st.builds(LabelShare, st.decimals(Decimal("0.01"), 100, places=2), st.sampled_from(RULES), st.integers(0, 9))


@given(st.sampled_from(["ext", "ext+distant"]), SHARES)
def test_a_setting_is_read_back_from_its_name(base, share):
    parts = SettingParts(base, share)
    assert parts_of(str(parts)) == parts
    assert parts_of(parts.alone) == SettingParts("ext", share)


@given(SHARES, SHARES, st.sampled_from(["ext", "ext+distant"]))
def test_names_of_files_are_clean_and_differ_where_settings_do(one, other, base):
    names = [SettingParts(base, share).name for share in (one, other)]
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.+-") for name in names)
    assert (names[0] == names[1]) == (one == other)


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_recipes_are_what_they_were(setting):
    assert parts_of(setting) == (setting, None)
    assert (str(parts_of(setting)), parts_of(setting).name) == (setting, setting)


def test_shares_come_after_the_setting_they_are_of_from_the_smallest_rule_by_rule():
    ordered = ["ext", "ext@2.5%", "ext@5%", "ext@10%", "ext@100%", "ext@5%:per-type:1", "ext@1%:at-random"]
    shuffled = random.Random(0).sample(ordered, len(ordered))
    assert sorted(shuffled, key=by_share) == ordered


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("human@10%", "setting 'human@10%': only ext is trained on a share of the labels, as in ext@10%"),
        ("ext@", "setting 'ext@': '' is no share of the labels; expected percent"),
        ("ext@10", "Expected after ext@ a share in percent, and if you like a rule and a seed: 10%, 2.5%:at-random"),
        ("ext@0%", "0% of the labels cannot be kept"),
        ("ext@10%+human", "unknown setting 'ext@10%+human'"),
        ("ext@10%+", "unknown setting 'ext@10%+'"),
        ("ext@10%:random", "setting 'ext@10%:random': unknown rule 'random'. Did you mean 'at-random'?"),
        ("extt", "unknown setting 'extt'. Did you mean 'ext'?"),
    ],
)
def test_what_is_no_setting_is_refused_with_what_was_expected(text, message):
    with pytest.raises(UsageError) as caught:
        parts_of(text)
    assert message in str(caught.value)
