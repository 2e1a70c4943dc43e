"""Files of other versions of the program: what an older one wrote is read, what a newer one wrote is kept as it is."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.errors import NewerVersionError
from bench.filesystem import DamagedFileError

SHOWN = 3
"""Unknown fields that a message names."""

Model = TypeVar("Model", bound=BaseModel)


def schema_of(content: Mapping[str, Any], known: int) -> int:
    """The `schema_version` of a file, from 1 to `known`; 1 where it does not say.

    Raises NewerVersionError for a higher one, DamagedFileError for what is no version.
    """
    version = content.get("schema_version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DamagedFileError(f"schema_version = {reprlib.repr(version)}: expected a number from 1 on")
    if version > known:
        raise NewerVersionError(f"schema_version {version}, this version reads {known} and lower")
    return version


def read_as(model: type[Model], content: Any, sealed: bool) -> Model:
    """`content` (JSON) as a model that takes no unknown fields.

    sealed: a checksum has shown that it is what was written, so that an unknown field is no accident. Without that it
    may be a known field with a changed name, and tells a newer version only where nothing else is wrong.
    Raises NewerVersionError for fields that only a newer version can know, DamagedFileError for anything else wrong.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        unknown = [_place(problem) for problem in problems if problem["type"] == "extra_forbidden"]
        if unknown and (sealed or len(unknown) == len(problems)):
            more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            raise NewerVersionError(f"with {', '.join(unknown[:SHOWN])}{more}, unknown to this version") from None
        raise DamagedFileError(_in_words(problems[0])) from None


def _in_words(problem: ErrorDetails) -> str:
    """One problem: `splits.test.scores.f1 = nan: input should be a finite number`."""
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    if problem["type"] == "missing":
        return f"{_place(problem)} is missing"
    return f"{_place(problem)} = {reprlib.repr(problem['input'])}: {message}".removeprefix(" = ")


def _place(problem: ErrorDetails) -> str:
    return ".".join(map(str, problem["loc"]))
