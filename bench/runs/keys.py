"""What decides the key of a stage, and the names of folders that come from it."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from bench.filesystem import digest
from bench.label_share import parse_share

COMPILED_VERSION = 2
"""How a compiled encoder trains: raise it when that gives other numbers. It is in the keys of such stages alone."""

STAGE_NAMES = frozenset({"model", "reference", "dataset", "encoder"})
"""Fields of a planned stage that name things: they do not decide its weights."""
IMPORT_NAMES = frozenset({"file", "source", "note"})
"""The same of weights that were imported: in somebody's words."""


def stage_folder_name(stage: dict[str, Any]) -> str:
    """The name of a stage's folder, from its plan as JSON."""
    share = f"-{parse_share(stage['label_share']).name}" if stage.get("label_share") else ""
    return file_name(f"{stage['model']}-{stage['data']}{share}-s{stage['seed']}-{stage_key(stage)}")


def stage_key(stage: dict[str, Any]) -> str:
    """16 hex digits of everything that decides the weights of a stage."""
    return digest(stage_content(stage, STAGE_NAMES))


def stage_content(stage: dict[str, Any], without: Set[str]) -> dict[str, Any]:
    """The fields of a stage's plan but some. What came after the first release is left out where it is not used.

    So a plan that does without keeps its key. without: `imported.NAME` is a field of what is said of imported weights.
    """
    content = {name: value for name, value in stage.items() if name not in without}
    content["training"] = dict(content["training"])
    if loss := content.get("loss"):  # what it is called, and where it is, decides nothing
        content["loss"] = {name: value for name, value in loss.items() if name not in ("name", "reference")}
    later = ("patience", "freeze_encoder", "tokens_per_batch", "compile", "window", "order_seed", "dropout_seed")
    for fields, names in ((content, ("teacher", "signal", "causal", "relation_texts")), (content["training"], later)):
        for name in names:
            if name in fields and (fields[name] is None or fields[name] is False):  # a seed may be 0
                del fields[name]
    if content.get("imported", "not asked for") is None:
        del content["imported"]
    if content.get("imported"):
        named = IMPORT_NAMES | {name.removeprefix("imported.") for name in without}
        content["imported"] = {name: value for name, value in content["imported"].items() if name not in named}
    if content["training"].get("compile"):
        content["training"]["compile"] = COMPILED_VERSION
    return content


def file_name(text: str) -> str:
    """`text` as a name that every file system takes for a file."""
    return re.sub(r"[^A-Za-z0-9_.+=-]+", "_", text).strip("_")
