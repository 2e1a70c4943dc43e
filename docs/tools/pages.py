"""From the pages of the repository to those that the site is built from: `python docs/tools/pages.py build/pages`.

In the repository a page links to files as they lie, so that it can be read there. The site has to stand alone: what a
page links to outside `docs/` comes with it, a file as a page that shows it, a folder as a list of what is in it.
Equations become MathML, which browsers draw without a script. Every link that leads nowhere is an error, told with page
and target.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "README.md"
"""The site begins with it."""
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
CODE = re.compile(r"^(`{3,})[\s\S]*?^\1$|(?:^ {4}[^\n]*\n)+|`[^`\n]+`", re.MULTILINE)
"""Fenced, indented and in a line: neither links nor equations are looked for there."""
MATH = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", re.DOTALL)
LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "bash", ".csv": "text", ".yml": "yaml", ".template": "python"}
AS_THEY_ARE = {".png", ".svg", ".ipynb", ".pdf"}


class PagesError(Exception):
    """What a page has that no site can be made of."""


def place(source: Path) -> Path:
    """Where a file or folder of the repository stands among the pages, as a path below their folder."""
    path = source.relative_to(ROOT)
    if source == HOME:
        return Path("index.md")
    if source.parent == ROOT / "docs" and not source.is_dir():
        return Path(path.name)
    below = Path("repository") / path
    if source.is_dir():
        return below / "index.md"
    if source.name == "README.md":
        return below.with_name("index.md")
    if source.suffix in AS_THEY_ARE | {".md"}:
        return below
    return below.with_name(f"{source.name}.md")


def outside_code(text: str, change: re.Pattern[str], by: Callable[[re.Match[str]], str]) -> str:
    """`text` with each match of `change` outside of code replaced by what `by` makes of it."""
    pieces, end = [], 0
    for code in CODE.finditer(text):
        pieces += [change.sub(by, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, change.sub(by, text[end:])])


def mathml(match: re.Match[str]) -> str:
    """An equation as MathML: `$$` stands apart, `$` in the line."""
    # Of the extra `docs`, which links and lists do without.
    from latex2mathml.converter import convert

    apart, inline = match.groups()
    if apart is not None:
        return f'<div class="equation">{convert(" ".join(apart.split()), display="block")}</div>'
    # In a span: at the beginning of a line Markdown takes `<math>` for a block.
    return f"<span>{convert(inline)}</span>"


class Site:
    """The pages that have been made, and those that they link to and that are still to be."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.waiting: list[Path] = []
        self.known: set[Path] = set()

    def want(self, source: Path) -> None:
        """Have a file or folder of the repository made into a page, once."""
        if source not in self.known:
            self.known.add(source)
            self.waiting.append(source)

    def make(self) -> None:
        """All pages that are wanted, and what they link to."""
        while self.waiting:
            source = self.waiting.pop(0)
            to = self.target / place(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix in AS_THEY_ARE:
                shutil.copyfile(source, to)
            else:
                to.write_text(self.page(source), encoding="utf-8")

    def page(self, source: Path) -> str:
        """The text of the page for a file or folder."""
        if source.is_dir():
            return listing(source)
        text = source.read_text(encoding="utf-8")
        if source.suffix != ".md":
            fence = "`" * 4
            language = LANGUAGES.get(source.suffix, "text")
            return f"# {source.relative_to(ROOT)}\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"
        text = outside_code(text, LINK, lambda match: self.link(source, match))
        # Elsewhere a dollar is one: other pages are not written with equations in mind.
        return outside_code(text, MATH, mathml) if source.parent == ROOT / "docs" else text

    def link(self, source: Path, match: re.Match[str]) -> str:
        """A link of a page as it has to be on the site; what it leads to is wanted, too."""
        before, target, after = match.groups()
        path, _, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        found = (source.parent / path).resolve()
        if found.is_dir() and (found / "README.md").exists():
            found = found / "README.md"
        if not found.is_relative_to(ROOT) or not found.exists():
            raise PagesError(f"{source.relative_to(ROOT)}: the link to {target!r} leads to nothing in the repository")
        self.want(found)
        relative = os.path.relpath(place(found), place(source).parent)
        return f"{before}{relative}{'#' + anchor if anchor else ''}{after}"


def listing(folder: Path) -> str:
    """A page of what is in a folder, each Python file with the first sentence of its docstring."""
    rows = ["| file | |", "|---|---|"]
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")):
            continue
        said = ""
        if path.suffix == ".py":
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            said = docstring.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{path.name}{'/' if path.is_dir() else ''}` | {said} |")
    return f"# {folder.relative_to(ROOT)}\n\n" + "\n".join(rows) + "\n"


def main(target: Path) -> None:
    """Make all pages in `target`, anew."""
    shutil.rmtree(target, ignore_errors=True)
    site = Site(target)
    for page in (HOME, *sorted((ROOT / "docs").glob("*.md"))):
        site.want(page)
    site.make()
    shutil.copytree(ROOT / "docs" / "tools" / "style", target / "style")
    print(f"{len(site.known)} pages in {target}")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except PagesError as error:
        sys.exit(f"pages: {error}")
