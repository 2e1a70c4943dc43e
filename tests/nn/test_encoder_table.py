"""The table of architectures in docs/encoders.md, and the script that prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from encoders import ARCHITECTURES, line_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "encoders.md"


def test_the_page_has_every_architecture_of_the_script_and_no_other():
    lines = PAGE.read_text(encoding="utf-8").partition("## Architectures")[2].splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert names[0] == "architecture"
    assert names[1:] == list(ARCHITECTURES)
    assert len(names) > 70


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("roberta", "works"),
        ("ultrabert", "works"),
        ("qwen3", "works, causal"),
        ("mixtral", "works, causal"),
        ("funnel", "works, one window at a time"),
        ("big_bird", "refused, but for its states"),
        ("reformer", "refused"),
    ],
)
def test_an_architecture_is_what_the_page_says_with_numbers_that_are_rounding(name, verdict):
    line = line_of(name)
    assert line.verdict == verdict
    assert f"| {name} | {verdict} | {line.how} |" in PAGE.read_text(encoding="utf-8")
    if line.differences:
        assert max(line.differences) < 1e-5
