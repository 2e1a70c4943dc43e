"""What a cell of a CSV file may hold, so that whoever opens the file reads what was meant."""

from __future__ import annotations

import re

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def as_text(value: object) -> object:
    """A value that no spreadsheet takes for a formula: names may begin with `=`, `+`, `-` or `@`.

    Such a text gets an apostrophe before it, the mark of a text in a spreadsheet. Numbers, also written as texts, stay.
    """
    if isinstance(value, str) and value.startswith(_FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
