"""Every path that a page of the repository names is there, and the site is made of pages that are right."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {".venv", "build", "dist", ".hypothesis", "report", "tables", "runs"}
PAGES = [page for page in sorted(ROOT.rglob("*.md")) if not SKIPPED & set(page.relative_to(ROOT).parts)]
TOP = ("bench", "baselines", "ttmre", "tests", "benchmarks", "examples", "slurm", "docs", "results")
MADE = ("results/runs", "results/report", "results/tables", "results/stages", "results/tracking")
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


def test_the_page_of_the_record_says_what_the_record_is():
    """To make it anew: python docs/tools/record_page.py > docs/record.md."""
    assert (ROOT / "docs" / "record.md").read_text(encoding="utf-8") == tool("record_page").page()


def test_every_field_of_the_record_is_explained():
    record_page = tool("record_page")
    for model in record_page.MODELS:
        _, meanings = record_page.said(model)
        assert set(meanings) == set(model.model_fields), model.__name__


def test_a_page_of_the_site_links_to_what_the_site_has(tmp_path, monkeypatch):
    pages = tool("pages")
    # Equations are made by a library that `make docs` installs; links are the same without.
    monkeypatch.setattr(pages, "mathml", lambda match: match[0])
    site = pages.Site(tmp_path)
    site.want(ROOT / "README.md")
    site.make()
    for page in tmp_path.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)\)", pages.CODE.sub("", page.read_text(encoding="utf-8"))):
            assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"
    assert (tmp_path / "repository" / "bench" / "nn" / "pooling.py.md").exists()


def test_a_link_that_leads_nowhere_is_told_with_its_page(tmp_path, monkeypatch):
    pages = tool("pages")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "one.md"
    page.write_text("`[code](is.none)` and [this](../gone.md)\n", encoding="utf-8")
    with pytest.raises(pages.PagesError, match=r"docs/one\.md: the link to '\.\./gone\.md'"):
        pages.Site(tmp_path / "site").page(page)


def test_the_site_has_every_page_of_the_documentation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page.name not in navigation] == []


def tool(name: str) -> ModuleType:
    """A script of docs/tools, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
