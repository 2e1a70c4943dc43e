"""Which files `damage.py` damages, and how."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.filesystem import CHECKSUM, write_checked, write_json, write_sealed

Damage = Callable[[bytes], bytes | None]
"""What becomes of a file's bytes; None where it has nothing of that kind to damage."""


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _digit(content: bytes) -> bytes | None:
    """One bit of the digit that is nearest to the middle: JSON stays JSON, and says something else."""
    return _nearest(content, rb"[0-9]")


def _letter(content: bytes) -> bytes | None:
    """The same of a letter."""
    return _nearest(content, rb"[b-ln-y]")


def _nearest(content: bytes, wanted: bytes) -> bytes | None:
    places = [found.start() for found in re.finditer(wanted, content)] if content.isascii() else []
    return _flipped(content, min(places, key=lambda at: abs(at - len(content) // 2))) if places else None


def _newer(content: bytes) -> bytes | None:
    """As a version of the program to come might write it: of a higher version, under a right checksum."""
    try:
        stored = json.loads(content)
    except ValueError:
        return None
    if not isinstance(stored, dict):
        return None
    (sealed,) = set(stored) - {"sha256"} if len(stored) == 2 and "sha256" in stored else ("",)
    inner = stored[sealed] if sealed else stored
    if not isinstance(inner, dict):
        return None
    version = "version" if "version" in inner else "schema_version"
    inner[version] = inner.get(version, 1) + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "newer.json"
        if sealed:
            write_sealed(path, sealed, inner)
        elif inner.pop(CHECKSUM, None):
            write_checked(path, inner)
        else:
            write_json(path, inner)
        return path.read_bytes()


DAMAGES: dict[str, Damage] = {
    "half of it": lambda content: content[: len(content) // 2] or None,
    "emptied": lambda content: b"" if content else None,
    "a bit": lambda content: _flipped(content, len(content) // 2) if content else None,
    "a bit of a digit": _digit,
    "a bit of a letter": _letter,
    "not UTF-8": lambda content: (
        content[: len(content) // 2] + b"\xff\xfe" + content[len(content) // 2 :] if content else None
    ),
    "other JSON": lambda content: b"[]\n" if content[:1] == b"{" else b"{}\n" if content[:1] == b"[" else None,
    "newer": _newer,
}
"""Besides: deleted, and a folder in its place."""
GONE = ("deleted", "a folder")

KINDS: dict[str, tuple[str, str]] = {
    "run.json": ("out/runs/{ttmre}/run.json", "frozen"),
    "run.json, not finished": ("out/runs/{unfinished}/run.json", "unfinished"),
    "record.json": ("out/runs/{ttmre}/record.json", "frozen"),
    "status.json": ("out/runs/{dreeam}/status.json", "two_models"),
    "status.json, not finished": ("out/runs/{unfinished}/status.json", "unfinished"),
    "error.json": ("out/runs/{failing}/error.json", "failing"),
    "error.txt": ("out/runs/{failing}/error.txt", "failing"),
    "provenance.json of a run": ("out/runs/{unfinished}/provenance.json", "unfinished"),
    "predictions-test.json": ("out/runs/{ttmre}/predictions-test.json", "frozen"),
    "predictions-test.json.sha256": ("out/runs/{ttmre}/predictions-test.json.sha256", "frozen"),
    "scores-test.safetensors": ("out/runs/{ttmre}/scores-test.safetensors", "frozen"),
    "scores-test.json": ("out/runs/{ttmre}/scores-test.json", "frozen"),
    "lock of a run": ("out/runs/{unfinished}/lock", "unfinished"),
    "lock.holder": ("out/runs/{unfinished}/lock.holder", "unfinished"),
    "result.json": ("out/stages/dreeam-distant-*/result.json", "two_models"),
    "stage.json": ("out/stages/dreeam-distant-*/stage.json", "two_models"),
    "precision.json": ("out/stages/dreeam-distant-*/precision.json", "two_models"),
    "log.jsonl": ("out/stages/dreeam-distant-*/log.jsonl", "two_models"),
    "log.jsonl, not finished": ("out/stages/atlop-human-s7-*/log.jsonl", "unfinished"),
    "provenance.json of a stage": ("out/stages/atlop-human-s7-*/provenance.json", "unfinished"),
    "selected.safetensors": ("out/stages/ttmre-human-s0-*/selected.safetensors", "frozen"),
    "selected.safetensors of a teacher": ("out/stages/{teacher}/selected.safetensors", "two_models"),
    "selected.json": ("out/stages/ttmre-human-s0-*/selected.json", "frozen"),
    "encoder.json (seal)": ("out/stages/ttmre-human-s0-*/encoder.json", "frozen"),
    "encoder/config.json": ("out/stages/ttmre-human-s0-*/encoder/config.json", "frozen"),
    "encoder/tokenizer.json": ("out/stages/ttmre-human-s0-*/encoder/tokenizer.json", "frozen"),
    "encoder/tokenizer_config.json": ("out/stages/ttmre-human-s0-*/encoder/tokenizer_config.json", "frozen"),
    "last checkpoint": ("out/stages/atlop-human-s7-*/checkpoints/step-00000008.safetensors", "unfinished"),
    "last checkpoint's json": ("out/stages/atlop-human-s7-*/checkpoints/step-00000008.json", "unfinished"),
    "selected.safetensors, not finished": ("out/stages/atlop-human-s7-*/selected.safetensors", "unfinished"),
    "selected.json, not finished": ("out/stages/atlop-human-s7-*/selected.json", "unfinished"),
    "signals/*.npy": ("out/signals/*/0000000.npy", "two_models"),
    "signals/*.json": ("out/signals/*/0000000.json", "two_models"),
    "tables/runs.md": ("out/tables/runs.md", "two_models"),
    "report/report.html": ("out/report/report.html", "two_models"),
    "report/runs.csv": ("out/report/runs.csv", "two_models"),
    "report/figures/*.pdf": ("out/report/figures/labels-small.pdf", "two_models"),
    "report/explorer.html": ("out/report/explorer.html", "two_models"),
    "slurm/submissions/*.json": ("out/slurm/submissions/*.json", "submitted"),
    "slurm/attempts/*.json": ("out/slurm/attempts/*.json", "submitted"),
    "slurm/kills/*.json": ("out/slurm/kills/*.json", "submitted"),
    "slurm/cancelled/*.json": ("out/slurm/cancelled/*.json", "submitted"),
    "slurm/jobs/*_log.out": ("out/slurm/jobs/*_log.out", "submitted"),
    "datasets/*.json": ("home/datasets/small.json", "two_models"),
    "features/*.json": ("home/features/*.json", "two_models"),
    "features/parts/*.arrow": ("home/features/parts/*.arrow", "two_models"),
    "features/parts/*.json": ("home/features/parts/*.json", "two_models"),
    "encodings/*.npy": ("home/encodings/*/0000000.npy", "frozen"),
    "encodings/*.json": ("home/encodings/*/0000000.json", "frozen"),
    "probes/encoder-*.json": ("home/probes/encoder-*.json", "frozen"),
    "probes/weights-*.json": ("home/probes/weights-*.json", "frozen"),
    "probes/*.json (pace)": ("home/probes/[0-9a-f]*.json", "two_models"),
    "cards/*.json": ("home/cards/*.json", "two_models"),
    "statistics/*.json": ("home/statistics/*.json", "two_models"),
    "memory-figures/*.npz": ("home/memory-figures/*.npz", "frozen"),
    "sample/dataset.json": ("home/sample/v1/dataset.json", "two_models"),
    "sample/test.json": ("home/sample/v1/test.json", "two_models"),
}
"""Of each kind of file which (all that fit), and the `bench run` that is about it."""
DRAWN = ("home/memory-figures", "out/runs/{ttmre}/scores", "out/report", "home/statistics")
"""What figures are drawn from, or what they are."""
UNIMPORTANT = {
    "status.json", "status.json, not finished", "provenance.json of a run", "provenance.json of a stage", "stage.json",
    "error.json", "error.txt", "log.jsonl", "log.jsonl, not finished", "slurm/jobs/*_log.out", "tables/runs.md",
}  # fmt: skip
"""What no result is made of: for people to read."""
