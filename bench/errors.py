"""What the command line shows a user instead of a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A run that failed for a reason the message explains (exit status 1)."""

    exit_status = 1


class UsageError(BenchError):
    """Something the user asked for cannot be: an unknown name, a bad file, a bad option (exit status 2)."""

    exit_status = 2


class NewerVersionError(BenchError):
    """A file that a newer version of the program has made: it is kept as it is, and not made again (exit status 3)."""

    exit_status = 3


def unknown(kind: str, name: str, valid: Iterable[str], hint: str = "") -> UsageError:
    """An error naming the nearest and all valid choices: `raise unknown("model", "tmre", names)`."""
    choices = sorted(valid)
    close = difflib.get_close_matches(name, choices, n=1)
    lines = [f"unknown {kind} {name!r}." + (f" Did you mean {close[0]!r}?" if close else "")]
    lines.append(f"Choices: {', '.join(choices) if choices else '(none)'}")
    if hint:
        lines.append(hint)
    return UsageError("\n".join(lines))


def in_words(error: BaseException) -> str:
    """What a model's code raised, with its kind. `sys.exit` is an error like any other: a model ends no command."""
    if isinstance(error, SystemExit):
        return f"the model's code ended the program: sys.exit({'' if error.code is None else error.code})"
    return f"{type(error).__name__}: {error}"


def plural(count: int, noun: str, several: str = "") -> str:
    """A number of things as a person reads it: `1 document`, `1,521 documents`. several: where that is not noun + s."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"
