"""What every command does with the values of its options before it looks at any."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand

from bench.errors import UsageError

MOST_DIGITS = 1000
"""Of whatever is all digits: Python makes no number of some thousands of them, and nobody means one."""
LARGEST = 2**63 - 1


class Command(TyperCommand):
    """A command that refuses values which its options would take for something else, and says what they take.

    An empty text would be the folder one is in, or no choice at all, and NaN is within every limit.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As `TyperCommand` has it; several values may follow an option that says so. Raises UsageError."""
        args = list(self._repeated(args))
        typed, _, _ = self.make_parser(ctx).parse_args(list(args))
        for param in self.params:
            for text in _several(typed.get(param.name)):
                if isinstance(text, str):
                    _refuse(param, _wrong_text(text))
        rest = super().parse_args(ctx, args)
        for param in self.params:
            for value in _several(ctx.params.get(param.name)):
                if isinstance(value, int | float):
                    _refuse(param, _wrong_number(value))
        return rest

    def _repeated(self, args: list[str]) -> Iterator[str]:
        """The arguments, with an option whose metavar ends in ... (`--pred one two`) written out before each value."""
        many = {option for p in self.params if (p.metavar or "").endswith("...") for option in p.opts}
        option = before = ""
        for arg in args:
            if arg.startswith("-"):
                option = arg if arg in many else ""
            elif option and before != option:
                yield option
            yield arg
            before = arg


def _several(value: Any) -> Iterator[Any]:
    """The values of an option that may be given several times, or of any other the one it has."""
    yield from value if isinstance(value, list | tuple) else (value,)


def _refuse(param: Any, why: str) -> None:
    if why:
        name = param.opts[0] if param.param_type_name == "option" else param.name.upper()
        about = getattr(param, "help", None)
        raise UsageError(f"{name} {why}" + (f"\n{name}: {about}" if about else ""))


def _wrong_text(text: str) -> str:
    if not text.strip():
        return f"{text!r}: that is empty"
    digits = text.strip().lstrip("+-")
    if len(digits) > MOST_DIGITS and digits.isdecimal():
        return f"{text[:10]}...: a number of {len(digits):,} digits"
    return ""


def _wrong_number(value: float) -> str:
    if not math.isfinite(value):
        return f"{value}: expected a finite number"
    return f"{value}: too large a number" if abs(value) > LARGEST else ""
