"""Changes of hyperparameters: `key=value`, where a key may be limited to a model, a setting, a source of data.

    NAME                          every model, setting and stage        epochs
    DATA.NAME                     stages that train on it               distant.epochs
    SETTING.NAME                  every stage of it                     human+distant.epochs
    SETTING.DATA.NAME             its stages that train on it           human+distant.human.head_lr
    SETTING@SHARE. in its place   that share of its labels alone        ext@10%.prior_multiple
    MODEL. before any of these    that model alone                      ttmre.human+distant.human.head_lr
    LOSS. before any of these     models trained with that loss         atgl.alpha

`human`, `distant` and `ext` alone are sources of data; the setting of that name alone is `human.human`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

from bench.errors import UsageError, unknown
from bench.interface import SETTINGS, Source, Training
from bench.registry import ModelEntry
from bench.runs.settings import RunSetting, is_setting, parts_of

SOURCES: tuple[Source, ...] = get_args(Source)
CHANGE = re.compile(r"[A-Za-z_][\w.+@%-]*=")
"""How a change begins, among the parts of what a user calls a model."""
KEY_FORM = "[MODEL.][SETTING.][DATA.]NAME"
_DOT = re.compile(r"\.(?![0-9]+%)")
"""What parts of a key are divided by: not the point in 2.5%."""


@dataclass(frozen=True)
class Key:
    """What a change is of, and what it is limited to; None is no limit. A setting has its shares of labels in it."""

    model: str | None
    setting: RunSetting | None
    data: Source | None
    name: str


@dataclass(frozen=True)
class Scope:
    """What changes can be limited to, of one stage.

    models: the model's name, after that of the one it trains as, before that of the loss where it is not its own.
    """

    models: tuple[str, ...]
    setting: RunSetting
    data: Source

    def has(self, key: Key) -> bool:
        """Whether a key concerns the stage."""
        return (
            (key.model is None or key.model in self.models)
            and key.setting in (None, self.setting, parts_of(self.setting).base)
            and key.data in (None, self.data)
        )

    def precedence(self, key: Key) -> tuple[int, bool, bool, bool]:
        """Of two keys that concern the stage the greater wins: limited to the model, then setting, share, then data."""
        model = 1 + self.models.index(key.model) if key.model else 0
        return model, key.setting is not None, "@" in (key.setting or ""), key.data is not None


@cache
def parse_key(text: str) -> Key:
    """`text` as a `Key`; what stands in the place of a model is taken for one. Raises UsageError."""
    *scope, name = _DOT.split(text)
    model = scope.pop(0) if scope and "@" not in scope[0] and scope[0] not in (*SETTINGS, *SOURCES) else None
    setting: RunSetting | None = None
    data: Source | None = None
    if scope and scope[-1] in SOURCES:
        data = scope.pop()  # type: ignore[assignment]
    if scope and ("@" in scope[-1] or is_setting(scope[-1])):
        setting = str(parts_of(scope.pop()))
    if scope:
        raise unknown("setting or data", scope[-1], {*SETTINGS, *SOURCES}, f"Expected {KEY_FORM}")
    return Key(model, setting, data, name)


def parse_changes(changes: Iterable[str]) -> dict[str, Any]:
    """`key=value` as the command line has them; a value is JSON or text. Raises UsageError."""
    parsed: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key.strip():
            raise UsageError(
                f"--set {change!r}: expected key=value, for example --set epochs=5 or --set ttmre.layers=2"
            )
        parsed[key.strip()] = _value(value.strip(), key.strip())
    return parsed


def _value(text: str, key: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
    except ValueError as error:  # Python reads no integers of thousands of digits
        raise UsageError(f"{key}: a number of {len(text):,} digits") from error
    except RecursionError as error:
        raise UsageError(f"{key}: a value nested too deep") from error


def flattened(changes: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Tables to dotted keys: {"ttmre": {"layers": 2}} and {"ttmre.layers": 2} are the same."""
    flat: dict[str, Any] = {}
    for key, value in changes.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def applicable(level: Mapping[str, Any], scope: Scope) -> list[tuple[Key, Any]]:
    """The changes of a level that concern a stage, the more limited after the less limited."""
    concerned = [(key, value) for key, value in parsed(level) if scope.has(key)]
    return sorted(concerned, key=lambda change: scope.precedence(change[0]))


def parsed(level: Mapping[str, Any]) -> list[tuple[Key, Any]]:
    """The changes of a level, each with what it is limited to."""
    return [(parse_key(text), value) for text, value in flattened(level).items()]


def trainable(entry: ModelEntry) -> set[str]:
    """The names of what can be changed of how a model is trained; without gradients, on what it makes its choices."""
    return {"select_on"} if entry.cls.reads == "documents" else set(Training.model_fields)
