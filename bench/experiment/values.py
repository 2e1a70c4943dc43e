"""Values that the user gave for hyperparameters, and what is wrong with them.

Pydantic takes some that nobody can have meant: `true` for the number 1, `inf` for a learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.errors import UsageError, in_words

Schema = TypeVar("Schema", bound=BaseModel)

SHOWN = 60
"""Characters of a value that a message shows."""
LARGEST = 2**63 - 1
"""Of integers: what is computed with them takes no larger ones."""


def checked(schema: type[Schema], values: Mapping[str, Any], where: str) -> Schema:
    """`schema` made of `values`. where: whose they are, for messages.

    Raises UsageError naming every value that cannot be, and what would be allowed.
    """
    try:
        made = schema(**values)
    except ValidationError as error:
        raise UsageError(f"{where}: {problems(error, schema)}") from error
    except (Exception, SystemExit) as error:  # out of a model's own validators
        raise UsageError(f"{where}: its hyperparameters cannot be checked: {in_words(error)}") from error
    wrong = [
        f"{name} = {shown(values[name])}: {why}" for name in values if (why := _never_meant(made, name, values[name]))
    ]
    if wrong:
        raise UsageError(f"{where}: {'; '.join(wrong)}")
    return made


def problems(error: ValidationError, schema: type[BaseModel] | None = None) -> str:
    """Every problem of some values, on one line. schema: what they were to be, which says what a missing one is."""
    return "; ".join(_problem(dict(e), schema) for e in error.errors())


def _problem(problem: dict[str, Any], schema: type[BaseModel] | None) -> str:
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        field = schema.model_fields.get(name) if schema else None
        said = f": {field.description}" if field and field.description else ""
        return f"{name} has no default and has to be given{said}"
    return f"{name} = {shown(problem['input'])}: {problem['msg'].lower()}"


def shown(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def _never_meant(made: BaseModel, name: str, given: Any) -> str:
    """Why the value that was made of a given one cannot have been meant; "" if it can."""
    if isinstance(given, bool) and not _takes_bool(type(made).model_fields[name].annotation):
        return "true and false are no values of it"
    taken = getattr(made, name)
    for value in taken if isinstance(taken, list | tuple) else (taken,):
        if isinstance(value, float) and not math.isfinite(value):
            return "expected a finite number"
        if isinstance(value, int) and abs(value) > LARGEST:
            return f"too large a number, at most {LARGEST}"
    return ""


def _takes_bool(annotation: Any) -> bool:
    """Whether a field of this type has true and false among its values."""
    if annotation in (bool, Any, object):
        return True
    if get_origin(annotation) is Literal:
        return any(isinstance(choice, bool) for choice in get_args(annotation))
    return any(_takes_bool(part) for part in get_args(annotation))
