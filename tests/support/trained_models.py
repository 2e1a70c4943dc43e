"""The registered models that are trained: those that have gradients."""

from __future__ import annotations

from bench.interface import PairModel
from bench.registry import find, registered

TRAINED = sorted(name for name in registered() if issubclass(find(name).cls, PairModel))
