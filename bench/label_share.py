"""A share of the labels of some documents, and the rule that says which: `10%`, `2.5%:at-random`, `10%:per-type:3`.

What data sets and plans both speak of. What the rules do is in `bench.data.catalog.label_rules`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Literal, get_args

from bench.errors import UsageError, unknown

Rule = Literal["per-type", "at-random", "by-annotator"]
RULES: tuple[Rule, ...] = get_args(Rule)
SHARE_FORM = "a share in percent, and if you like a rule and a seed: 10%, 2.5%:at-random, 10%:per-type:3"
MOST_SEED = 2**63 - 1

_PERCENT = re.compile(r"[0-9]{1,3}(\.[0-9]{1,4})?%")
_SEED = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class LabelShare:
    """`percent` of the labels, above 0 and at most 100, by a rule whose draws `seed` decides."""

    percent: Decimal
    rule: Rule = "per-type"
    seed: int = 0

    def __str__(self) -> str:
        """As `parse_share` reads it, with rule and seed where they are not the ones that go without saying."""
        parts = [shown_percent(self.percent)]
        if self.seed:
            parts += [self.rule, str(self.seed)]
        elif self.rule != RULES[0]:
            parts.append(self.rule)
        return ":".join(parts)

    @property
    def name(self) -> str:
        """As part of a file's name, whatever the system: `10-per-type-0`."""
        return f"{shown_percent(self.percent).removesuffix('%')}-{self.rule}-{self.seed}"

    @property
    def deciding(self) -> LabelShare:
        """The share without what decides nothing: no rule has a choice where all labels are kept."""
        return LabelShare(self.percent) if self.percent == 100 else self

    def count(self, labels: int) -> int:
        """How many of so many labels the share is, to the nearest; half of one is one."""
        numerator, denominator = self.percent.as_integer_ratio()
        return (2 * labels * numerator + 100 * denominator) // (200 * denominator)

    def of(self, split: str) -> str:
        """The split of a data set that is this share of `split`: `train@10%`."""
        return f"{split}@{self}"


@cache
def parse_share(text: str) -> LabelShare:
    """The share that a text means. Raises UsageError."""
    percent, *more = text.split(":")
    rule = more[0] if more else RULES[0]
    seed = more[1] if len(more) > 1 else "0"
    share = parse_percent(percent)
    if rule not in RULES:
        raise unknown("rule", rule, RULES, f"Expected {SHARE_FORM}")
    if len(more) > 2 or not _SEED.fullmatch(seed) or int(seed) > MOST_SEED:
        raise UsageError(f"{text!r}: {':'.join(more[1:])!r} is no seed (0, 1, 2, ...). Expected {SHARE_FORM}")
    return LabelShare(share, rule, int(seed))


def parse_percent(text: str) -> Decimal:
    """`10%` or `2.5%` as a number above 0 and at most 100. Raises UsageError."""
    if not _PERCENT.fullmatch(text):
        raise UsageError(f"{text!r} is no share of the labels; expected percent, as in 10% or 2.5%")
    percent = Decimal(text.removesuffix("%"))
    if not 0 < percent <= 100:
        raise UsageError(f"{text} of the labels cannot be kept; expected more than 0% and at most 100%")
    return percent


def shown_percent(percent: Decimal) -> str:
    """`10%`, `2.5%`: without zeros that say nothing."""
    return f"{percent.normalize():f}%"


def share_of(split: str) -> tuple[str, LabelShare | None]:
    """The split whose labels a split has some of, and which: (`train`, 10 %) of `train@10%`. Raises UsageError.

    A split that has all labels of its own has no share.
    """
    source, at, share = split.partition("@")
    return source, parse_share(share) if at else None
