"""What W&B has kept of a run offline: its `.wandb` files are in LevelDB's log format, after a header.

It is not what W&B was given: of a process that is killed it may have a part, or nothing
(findings/wandb-offline-loses-rows.sh). So what is kept is looked at, and the rest told again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.tracking.interface import place

BLOCK = 32768
HEADER = 7
"""Bytes before the first record, and before each: checksum (4), length (2), kind (1)."""
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(file: Path) -> Iterator[Any]:
    """The records of a file, as W&B's own classes read them, up to where it was cut off."""
    from wandb.proto import wandb_internal_pb2

    raw, at, parts = file.read_bytes(), HEADER, b""
    while at + HEADER <= len(raw):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        at += HEADER
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or at + size > len(raw):
            return
        parts += raw[at : at + size]
        at += size
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def rows(file: Path) -> Iterator[dict[str, float]]:
    """The rows of the history in a file, by name."""
    for record in records(file):
        if record.WhichOneof("record_type") == "history":
            yield {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}


def kept(folder: Path, key: str) -> dict[str, int] | None:
    """How far along each axis the rows go that are kept of a run; None where there is no file of it.

    folder: that W&B was given.   key: of the run.
    """
    files = sorted((folder / "wandb").glob(f"offline-run-*-{key}/run-{key}.wandb"))
    if not files:
        return None
    furthest: dict[str, int] = {}
    for file in files:
        for row in rows(file):
            places = [name for name in row if name.endswith(("/step", "/epoch"))]
            if not places:
                furthest[place("", "run")] = 0
            for own in places:
                furthest[own] = max(furthest.get(own, -1), int(row[own]))
    return furthest
