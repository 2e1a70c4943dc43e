"""Every path that a page of the repository names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {".venv", ".hypothesis", "report", "tables", "runs"}
PAGES = [page for page in sorted(ROOT.rglob("*.md")) if not SKIPPED & set(page.relative_to(ROOT).parts)]
TOP = ("bench", "baselines", "ttmre", "tests", "benchmarks", "examples", "slurm", "docs", "results")
MADE = ("results/runs", "results/report", "results/tables", "results/stages")
"""What runs make: pages name it, and a fresh checkout has none of it."""


def paths_of(page: Path) -> Iterator[tuple[str, Path]]:
    """What a page names as a path: targets of links, and in code whatever begins with a folder of the project."""
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" not in target:
            yield target, page.parent / target
    for code in re.findall(r"`([^`\n]+)`", text):
        for path in re.findall(rf"(?<![\w./-])(?:{'|'.join(TOP)})/[\w./-]+", code):
            if not path.startswith(MADE):
                yield path, ROOT / path.rstrip(".")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_path_that_a_page_names_is_there(page):
    assert [name for name, path in paths_of(page) if not path.exists()] == []


def test_the_walks_of_the_contributors_page_name_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walks = re.search(r"A document walks(.*?)\(All under `bench/`\.\)", text, re.DOTALL)
    assert walks is not None
    assert [path for path in re.findall(r"`([\w/.]+)`", walks[1]) if not (ROOT / "bench" / path).exists()] == []


def test_pages_are_found_at_all():
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"} <= {page.name for page in PAGES}
