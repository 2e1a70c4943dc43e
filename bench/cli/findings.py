"""What checks found, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.errors import BenchError

if TYPE_CHECKING:
    from bench.execution.model_checks import Check


def report_findings(checked: str, findings: Iterable[Check]) -> None:
    """Print every finding as it is made. checked: of what. Raises BenchError where something does not hold."""
    from rich.text import Text

    from bench.cli.console import make_console

    console = make_console()
    failed = 0
    for finding in findings:
        failed += not finding.holds
        mark = Text("ok   ", "green") if finding.holds else Text("FAIL ", "red")
        console.print(mark + Text(finding.claim + (f": {finding.detail}" if finding.detail else "")))
    if failed:
        raise BenchError(f"{checked}: {failed} of the checks failed")
