"""The same bits from the same step: kernels that repeat, wherever PyTorch has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from bench.nn.encoder import NOT_REPEATABLE


class Repeatable:
    """While entered, PyTorch takes only kernels that give the same bits every time, and raises where there is none.

    Asking it to warn instead is not enough: of attention on a GPU, the backward passes that PyTorch has do repeat, but
    are chosen only where anything else is forbidden. An encoder or a model for which that is too much (on a GPU, a few
    operations have no kernel that repeats) is let off, and that is said once, with the `name` of the
    work.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.let_off: set[Callable[..., None]] = set()

    def __enter__(self) -> Repeatable:
        self.before = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        )
        torch.use_deterministic_algorithms(True)
        # Otherwise every result is filled with NaN before it is written: nine fills in ten of a step, for nothing.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        return self

    def __exit__(self, *raised: object) -> None:
        enabled, warn_only, fill = self.before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]

    def do(self, work: Callable[..., None], *arguments: Any, renew: Callable[[], None] = lambda: None) -> None:
        """Do `work`; where it has no such kernel, again from its beginning, and this time and ever after with any."""
        torch.use_deterministic_algorithms(True, warn_only=work in self.let_off)
        try:
            work(*arguments)
            return
        except RuntimeError as error:
            operation, marker, _ = str(error).partition(NOT_REPEATABLE)
            if not marker:
                raise
            self.let_off.add(work)
            print(f"{self.name}: {operation} has no kernel that repeats to the bit; going on without", flush=True)
        # Past the handler: its traceback would keep what is to be renewed alive.
        renew()
        self.do(work, *arguments, renew=renew)
