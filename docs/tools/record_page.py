"""The page of the record, from the models that write it: `python docs/tools/record_page.py > docs/record.md`."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

from pydantic import BaseModel

from bench.runs import record

MODELS = (
    record.RunRecord,
    record.StageRecord,
    record.SplitRecord,
    record.Scores,
    record.DocumentCounts,
    record.EvidenceScores,
)
NAMES = {
    repr(record.Percent): "percent",
    repr(record.Count): "count",
    repr(record.Number): "number",
}
INTRODUCTION = """# The record

`runs/RUN/record.json`, one for each finished run. Everything that tables, reports and comparisons say is made from
these. A record holds nothing that differs between two executions of the same run: times and machines are in
`provenance.json` beside it. [bench/runs/record.py](../bench/runs/record.py) writes and reads it; this page is made from
that file. Scores are in percent, unrounded. In the file the record stands under `record`, beside its `sha256`. Some
fields that came later are not written where they are not used, so that earlier versions can read the rest.
"""
ENDING = """
## Between versions
`schema_version` rises when a field changes its meaning; records of all earlier ones are read. A record that only a
later version can read is called `newer` and left as it is. Whether a record is that of its run and does not contradict
itself (more right than predicted, another seed than planned) is checked, too:
[bench/runs/verdict.py](../bench/runs/verdict.py).

[API](api.md) has the same as data frames: `api.load_runs("results")`.
"""


def said(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """What a model's docstring says of it, and of each of its fields (`name: meaning`, also `one, other: meaning`)."""
    text = re.sub(r"\s*\n\s*", "\n", (model.__doc__ or "").strip())
    fields = "|".join(model.model_fields)
    pattern = rf"(?:^|(?<=[.\n])\s*)((?:{fields})(?:, (?:{fields}))*): "
    first, *rest = re.split(pattern, text)
    meanings: dict[str, str] = {}
    for names, meaning in zip(rest[::2], rest[1::2], strict=True):
        meanings |= dict.fromkeys(names.split(", "), one_line(meaning).rstrip("."))
    return one_line(first), meanings


def one_line(text: str) -> str:
    """A docstring's lines as one, as a table can have it."""
    return " ".join(text.split()).replace("|", "\\|")


def named(annotation: Any) -> str:
    """A type as a reader of JSON would call it."""
    if repr(annotation) in NAMES:
        return NAMES[repr(annotation)]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if one is type(None) else named(one) for one in arguments)
    if origin is typing.Literal:
        return " or ".join(f"`{one!r}`".replace("'", '"') for one in arguments)
    if origin is typing.Annotated:
        return named(arguments[0])
    if origin is list:
        return f"list of {named(arguments[0])}"
    if origin is dict:
        return f"object, {named(arguments[0])} to {named(arguments[1])}"
    if origin is tuple:
        return "[" + ", ".join(named(one) for one in arguments) + "]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return {str: "text", int: "integer", float: "number"}.get(annotation, str(annotation))


def section(model: type[BaseModel]) -> str:
    """A model as a heading, what it is, and a table of its fields."""
    about, meanings = said(model)
    lines = [f"\n## {model.__name__}", about, "", "| field | type | |", "|---|---|---|"]
    annotations = typing.get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        optional = "" if field.is_required() else ", may be absent"
        lines.append(f"| `{name}` | {named(annotations[name])}{optional} | {meanings.get(name, '')} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(section(model) for model in MODELS) + ENDING


if __name__ == "__main__":
    print(page(), end="")
