"""Shares of labels as users write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.label_share import RULES, LabelShare, parse_share, share_of

PERCENTS = st.decimals(Decimal("0.0001"), 100, places=4)
SHARES = st.builds(LabelShare, PERCENTS, st.sampled_from(RULES), st.integers(0, 2**63 - 1))


@given(SHARES)
def test_a_share_is_read_back_from_its_name(share):
    assert parse_share(str(share)) == share
    assert share_of(share.of("train")) == ("train", share)


@pytest.mark.parametrize(
    ("typed", "shown", "name"),
    [
        ("10%", "10%", "10-per-type-0"),
        ("010.00%:per-type:0", "10%", "10-per-type-0"),
        ("2.5%:at-random", "2.5%:at-random", "2.5-at-random-0"),
        ("100%:per-type:3", "100%:per-type:3", "100-per-type-3"),
    ],
)
def test_what_goes_without_saying_is_left_out_of_the_name_and_not_of_the_files(typed, shown, name):
    assert (str(parse_share(typed)), parse_share(typed).name) == (shown, name)


@given(SHARES, st.integers(0, 10**6))
def test_a_share_of_some_labels_is_the_nearest_number(share, labels):
    exact = Fraction(share.percent) * labels / 100
    assert abs(share.count(labels) - exact) <= Fraction(1, 2)
    assert LabelShare(Decimal(100)).count(labels) == labels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0%", "0% of the labels cannot be kept; expected more than 0% and at most 100%"),
        ("100.1%", "expected more than 0% and at most 100%"),
        ("0.1", "'0.1' is no share of the labels; expected percent, as in 10% or 2.5%"),
        ("10", "expected percent"),
        ("-5%", "expected percent"),
        ("1e1%", "expected percent"),
        ("nan%", "expected percent"),
        ("٣%", "expected percent"),
        ("", "expected percent"),
        ("10%:per-typ", "unknown rule 'per-typ'. Did you mean 'per-type'?"),
        ("10%:", "unknown rule ''"),
        ("10%:per-type:-1", "'-1' is no seed (0, 1, 2, ...)"),
        ("10%:per-type:1:2", "'1:2' is no seed"),
        ("10%:per-type:99999999999999999999", "is no seed"),
    ],
)
def test_what_is_no_share_is_refused_with_what_was_expected(text, message):
    with pytest.raises(UsageError) as caught:
        parse_share(text)
    assert message in str(caught.value)
