"""How runs are named where people read of them."""

from __future__ import annotations

from pathlib import Path

OUTSIDE = "outside"
"""The variant of a model whose predictions were made elsewhere, so that its name says so everywhere."""


NO_ENCODER = "none"
"""The encoder of a model that counts, looks up or asks: it has none."""


def model_name(model: str, variant: str) -> str:
    """The model with what was changed of it: `ttmre (layers=2)`, or `ttmre` alone where `variant` is empty."""
    return f"{model} ({variant})" if variant else model


def made_anew(out: Path, run: str, outside: bool = False) -> str:
    """What to do about a run of `out` of which something is damaged. outside: its predictions were made elsewhere."""
    if outside:
        return f"`bench import` of its predictions makes it anew, `bench remove {run} --out {out}` removes it"
    return f"`bench run --again {run} --out {out}` makes it anew"
