"""What the command line shows a user instead of a traceback."""

from __future__ import annotations

import difflib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType


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
    """What a model's code raised, with its kind and the line of the model that it comes from, where it is of one.

    `sys.exit` is an error like any other: a model ends no command.
    """
    place = model_line(error)
    where = f" ({place})" if place else ""
    if isinstance(error, SystemExit):
        return f"the model's code ended the program: sys.exit({'' if error.code is None else error.code}){where}"
    return f"{type(error).__name__}: {error}{where}"


_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy", "pandas", "pyarrow", "safetensors", "opt_einsum")
_BETWEEN = frozenset({"bench", "pydantic", "typer", "click", *_LIBRARIES, *sys.stdlib_module_names})
"""The harness and what it uses itself: code of a model is none of it."""


def model_line(error: BaseException) -> str:
    """Where in a model's code an error comes from: `/home/me/my_model.py, line 12, in forward`; empty if from nowhere.

    The last line of it that was at work: not where in torch, or in a part of the harness that the model uses, it ended.
    A model's code is the first that is called which is neither the harness nor what that uses, and what is of its
    package, or in the folder of its file.
    """
    frames = list(traceback.walk_tb(error.__traceback__))
    names = [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame, _ in frames]
    first = next((i for i, name in enumerate(names) if name not in _BETWEEN and not _is_frozen(frames[i][0])), None)
    if first is None:
        return ""
    package, folder = names[first], Path(frames[first][0].f_code.co_filename).parent
    own = [
        (frame, line)
        for (frame, line), name in zip(frames, names, strict=True)
        if name not in _BETWEEN and (name == package or Path(frame.f_code.co_filename).parent == folder)
    ]
    frame, line = own[-1]
    function = frame.f_code.co_name
    inside = "" if function == "<module>" else f", in {function}"
    return f"{frame.f_code.co_filename}, line {line}{inside}"


def _is_frozen(frame: FrameType) -> bool:
    """Whether a frame has no file, as those of the import system."""
    return frame.f_code.co_filename.startswith("<")


def plural(count: int, noun: str, several: str = "") -> str:
    """A number of things as a person reads it: `1 document`, `1,521 documents`. several: where that is not noun + s."""
    return f"{count:,} {noun if count == 1 else several or f'{noun}s'}"
