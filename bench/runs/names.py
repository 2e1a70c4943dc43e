"""How runs are named where people read of them."""

from __future__ import annotations


def model_name(model: str, variant: str) -> str:
    """The model with what was changed of it: `ttmre (layers=2)`, or `ttmre` alone where `variant` is empty."""
    return f"{model} ({variant})" if variant else model
