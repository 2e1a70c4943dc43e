"""Programs of `benchmarks/` as a user calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest

Printed = Callable[..., str]


@pytest.fixture
def printed(monkeypatch, capsys) -> Printed:
    """`printed(program, *arguments)`: what a program prints, given so much on its command line."""

    def call(program: ModuleType, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [f"{program.__name__}.py", *arguments])
        program.main()
        return str(capsys.readouterr().out)

    return call
