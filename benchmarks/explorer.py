"""How long the explorer's page takes to open and to answer, in headless chromium.

bench explore RUN RUN --to explorer.html
python benchmarks/explorer.py explorer.html --repeats 5
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

# Until the page has been laid out and painted, not only until the script has returned.
TIMED = """async action => {
  const began = performance.now();
  action();
  await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - began;
}"""
ACTIONS = {
    "next document": "document.getElementById('next').click()",
    "filter by relation": "filter('relation', document.querySelector('[name=relation]').options[1].value)",
    "filter by kind": "filter('kind', 'wrong')",
    "search a title": "filter('q', 'a')",
    "sort by margin": "document.querySelector('#rows thead button[data-column=\"run:0\"]').click()",
}
FILTER = """const filter = (name, value) => {
  const field = document.querySelector(`#filters [name=${name}]`);
  field.value = value;
  field.dispatchEvent(new Event('input', { bubbles: true }));
};"""


def measure(browser: Any, path: Path) -> dict[str, float]:
    """Milliseconds of each action, of opening, and the memory of the script in MB."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("#rows tbody tr")
    opened = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    painted = page.evaluate(
        "performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint').startTime"
    )
    found = {"open (load event)": opened, "open (first paint)": painted}
    for name, action in ACTIONS.items():
        found[name] = page.evaluate(f"() => {{ {FILTER} return ({TIMED})(() => {{ {action} }}); }}")
    found["script memory (MB)"] = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
    page.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        runs = [measure(browser, options.page) for _ in range(options.repeats)]
    print(f"size: {options.page.stat().st_size / 1e6:.2f} MB")
    for name in runs[0]:
        print(f"{name}: {statistics.median(run[name] for run in runs):.0f} (median of {options.repeats})")


if __name__ == "__main__":
    main()
