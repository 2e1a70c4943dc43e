"""Scores as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.points import points


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (48.205, "48.21"),  # in binary a little less
        (70.125, "70.13"),  # exactly half, which formatting rounds to the even digit
        (70.135, "70.14"),
        ((70.12 + 70.13 + 70.13 + 70.12) / 4, "70.13"),
        (-0.285, "-0.29"),
        (0.0, "0.00"),
        (-1e-14, "0.00"),
        (100.0, "100.00"),
        (33.333333333, "33.33"),
        (66.666666667, "66.67"),
    ],
)
def test_a_half_is_rounded_up_from_the_decimal_digits(value, shown):
    assert points(value) == shown


def test_a_difference_has_its_sign():
    assert (points(1.005, "+"), points(-1.005, "+"), points(0.0, "+")) == ("+1.01", "-1.01", "+0.00")


@given(st.decimals(-100, 100, places=3))
def test_three_decimals_are_rounded_as_by_hand(number):
    steps = abs(int(number.scaleb(3)))
    by_hand = Decimal((steps + 5) // 10).scaleb(-2)
    assert Decimal(points(float(number))) == (by_hand if number >= 0 else -by_hand)
