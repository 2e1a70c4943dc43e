"""How runs are named where people read of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

OUTSIDE = "outside"
"""The variant of a model whose predictions were made elsewhere, so that its name says so everywhere."""
IMPORTED = "imported"
"""The variant of a model whose weights were trained elsewhere, and how all runs stand that were imported."""
Origin = Literal["trained", "predictions", "weights"]
"""Where what a run scores is from: trained here, or predictions or weights that were imported."""
IMPORTS: Mapping[Origin, str] = {
    "predictions": "`bench import` of its predictions",
    "weights": "`bench import-checkpoint` of its file",
}
"""What makes an imported run anew."""

NO_ENCODER = "none"
"""The encoder of a model that counts, looks up or asks: it has none."""


def model_name(model: str, variant: str) -> str:
    """The model with what was changed of it: `ttmre (layers=2)`, or `ttmre` alone where `variant` is empty."""
    return f"{model} ({variant})" if variant else model


def made_anew(out: Path, run: str, origin: Origin = "trained") -> str:
    """What to do about a run of `out` of which something is damaged or missing."""
    if origin != "trained":
        return f"{IMPORTS[origin]} makes it anew, `bench remove {run} --out {out}` removes it"
    return f"`bench run --again {run} --out {out}` makes it anew"
