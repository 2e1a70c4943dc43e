"""The setting of a run: one that recipes have, or one on a share of the labels: `ext@10%`, `ext@10%+distant`."""

from __future__ import annotations

from functools import cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from bench.errors import UsageError, unknown
from bench.label_share import RULES, SHARE_FORM, LabelShare, parse_share
from bench.runs.recipe import SETTINGS, Setting, Source

THINNED: Source = "ext"
"""What stands for labels that are not all there: a share of the training labels takes its place in a recipe."""

WITH_SHARES = "On a share of the labels (docs/label-shares.md): ext@10%, ext@10%+distant"


class SettingParts(NamedTuple):
    """base: the setting of the recipe, whose stages are trained.   share: of the labels; None for the split ext."""

    base: Setting
    share: LabelShare | None

    def __str__(self) -> str:
        source, plus, more = self.base.partition("+")
        return f"{source}{f'@{self.share}' if self.share else ''}{plus}{more}"

    @property
    def name(self) -> str:
        """As part of a file's name: `ext-10-per-type-0+distant`."""
        source, plus, more = self.base.partition("+")
        return f"{source}{f'-{self.share.name}' if self.share else ''}{plus}{more}"

    @property
    def alone(self) -> str:
        """The setting that trains on the same labels and on nothing else: `ext@10%` of `ext@10%+distant`."""
        return str(SettingParts(THINNED, self.share))


@cache
def parts_of(setting: str) -> SettingParts:
    """A setting taken apart. Raises UsageError for what is none."""
    source, at, rest = setting.partition("@")
    if not at:
        return SettingParts(_known(setting, setting), None)
    share, plus, more = rest.partition("+")
    if source != THINNED:
        raise UsageError(
            f"setting {setting!r}: only {THINNED} is trained on a share of the labels, as in {THINNED}@10% or "
            f"{THINNED}@10%+distant"
        )
    base = _known(source + plus + more, setting)
    try:
        return SettingParts(base, parse_share(share))
    except UsageError as error:
        after = "" if SHARE_FORM in str(error) else f"\nExpected after {THINNED}@ {SHARE_FORM}"
        raise UsageError(f"setting {setting!r}: {error}{after}") from None


def is_setting(text: str) -> bool:
    """Whether a text means a setting."""
    try:
        parts_of(text)
    except UsageError:
        return False
    return True


def by_share(setting: str) -> tuple[object, ...]:
    """What orders the settings of one base: the recipe's own first, then shares by rule and seed, from the smallest."""
    share = parts_of(setting).share
    return (1, RULES.index(share.rule), share.seed, share.percent) if share else (0,)


def _known(base: str, setting: str) -> Setting:
    for known in SETTINGS:
        if base == known:
            return known
    raise unknown("setting", setting, SETTINGS, WITH_SHARES)


def _checked(setting: str) -> str:
    try:
        return str(parts_of(setting))
    except UsageError as error:
        raise ValueError(str(error)) from None


RunSetting = Annotated[str, AfterValidator(_checked)]
"""The setting of a run, written in one way: `ext@10.0%:per-type:0` is `ext@10%`."""
