"""How runs are named where people read of them."""

from __future__ import annotations

from pathlib import Path


def model_name(model: str, variant: str) -> str:
    """The model with what was changed of it: `ttmre (layers=2)`, or `ttmre` alone where `variant` is empty."""
    return f"{model} ({variant})" if variant else model


def made_anew(out: Path, run: str) -> str:
    """What to do about a run of `out` of which something is damaged."""
    return f"`bench run --again {run} --out {out}` makes it anew"
