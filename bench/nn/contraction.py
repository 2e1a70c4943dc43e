"""Contractions planned once per shape by opt_einsum."""

from __future__ import annotations

from functools import lru_cache

import opt_einsum
from torch import Tensor


@lru_cache(maxsize=4096)
def _planned(equation: str, shapes: tuple[tuple[int, ...], ...]) -> opt_einsum.contract.ContractExpression:
    return opt_einsum.contract_expression(equation, *shapes, optimize="optimal")


def contract(equation: str, *operands: Tensor) -> Tensor:
    """`einsum` in the order of fewest operations: `contract("ial,jal,ld->ijd", a, a, h)`."""
    result: Tensor = _planned(equation, tuple(tuple(x.shape) for x in operands))(*operands, backend="torch")
    return result
