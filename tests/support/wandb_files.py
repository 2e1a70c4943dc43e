"""What W&B has written offline: the records of a `.wandb` file, which is in LevelDB's log format after a header."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK = 32768
HEADER = 7
"""Bytes before the first record, and before each: checksum (4), length (2), kind (1)."""
WHOLE, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """The records of a file, as W&B's own classes read them."""
    from wandb.proto import wandb_internal_pb2

    raw, at, parts = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(raw):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        size, kind = int.from_bytes(raw[at + 4 : at + 6], "little"), raw[at + 6]
        parts += raw[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (WHOLE, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def rows(found: list[Any]) -> list[dict[str, float]]:
    """The rows of a run's history, by name."""
    histories = [record.history.item for record in found if record.WhichOneof("record_type") == "history"]
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items} for items in histories
    ]
