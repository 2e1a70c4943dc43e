"""Every kind of file that the program writes, damaged in every way, under every command: what is said of it.

    OMP_NUM_THREADS=1 python benchmarks/damage.py

Makes a small output folder and BENCH_HOME (`damage_world.py`), damages the files of one kind at a time
(`damage_kinds.py`), and carries out the commands that read them, then those that write. What they print, and the
records, predictions and tables that they leave, must be those of the undamaged folders, or something must be said.
Prints what they say: `told` where that is otherwise than it was, `unseen` where a file that no result is made of says
something else. Exit status 1 where a command ends with a traceback, or a result is different and nothing is said.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from damage_kinds import DAMAGES, DRAWN, GONE, KINDS, UNIMPORTANT
from damage_world import FAILS, Said, make_world, said_by

TELLS = re.compile(
    r"damaged|newer|not what was written|cannot be (read|used)|made again|making them|checksum|unreadable"
    r"|(\d+) of (?!\2\b)\d+|\"n\": (\d+), \"expected\": (?!\3\b)"
)
"""What a command that tells of damage prints, or writes into its files: words, or fewer seeds than planned."""
FOREIGN = re.compile(r"Traceback|\b[A-Z][a-z]\w*(?:Error|Exception|Warning)\b")
VARYING = (
    (r"\d+:\d\d", "T"),
    (r"\d+(\.\d+)? (s|ms|MB|kB|B|seconds)\b", "N"),
    (r"\d{10,}", "N"),
    (r"[ \u2500]+", " "),
    (f"ValueError: {FAILS}", FAILS),
)
"""What two executions of a command may print differently, and the error that a model here raises."""
OF_EACH_SORT = ("half of it", "a bit", "a bit of a digit", "newer", *GONE)
"""Damage that all commands are tried with; QUICK ones are tried with all damage."""
QUICK = (
    "status", "status --json", "logs", "data list", "data stats", "data stats sample", "models list", "models show",
    "run --dry-run", "run --again --dry-run", "remove --dry-run", "table", "evaluate",
)  # fmt: skip
SHOWS = (
    "status", "status --json", "run --dry-run", "run --dry-run --estimate", "run --again --dry-run", "run", "retry",
    "run --again", "remove --dry-run", "remove", "cancel",
)  # fmt: skip
"""Commands that print how things stand and what they do: where that is otherwise, they have told it."""


@dataclass(frozen=True)
class Case:
    """A command on damaged files. kind: same, told, silent or raised.   line: the first that is news."""

    file: str
    damage: str
    command: str
    kind: str
    line: str


@dataclass(frozen=True)
class Outcome:
    """What a command says, and the files that decide anything or that it makes: as it left and as it found them."""

    said: Said
    left: dict[str, bytes]
    found: dict[str, bytes]


class Workshop:
    """The world, a copy of it as it was made, and what commands say of it then."""

    def __init__(self, root: Path) -> None:
        self.world, self._whole = make_world(root / "world"), root / "whole"
        self._pages = root / "pages"
        shutil.copytree(self.world.root, self._whole, symlinks=True)
        self._undamaged: dict[str, dict[str, Outcome]] = {}

    def cases(self, file: str) -> Iterator[Case]:
        """All damage to the files of a kind, and all commands."""
        pattern, about = KINDS[file]
        for damage in (*DAMAGES, *GONE):
            for together in self._commands(about, pattern):
                # What takes long is tried with one damage of each sort.
                if damage not in OF_EACH_SORT:
                    together = {name: command for name, command in together.items() if name in QUICK}
                if not together:
                    continue
                self._restore()
                if not self._damage(pattern, damage):
                    break
                before = self._before(together)
                for name, outcome in self._outcomes(together).items():
                    yield _judged(file, damage, name, outcome, before[name])

    def _restore(self) -> None:
        shutil.rmtree(self.world.root)
        shutil.copytree(self._whole, self.world.root, symlinks=True)

    def _damage(self, pattern: str, damage: str) -> bool:
        """Damage the files of a kind; whether there is anything to damage."""
        paths = sorted(self.world.root.glob(pattern.format(**self.world.names)))
        assert paths or "sha256" in pattern, pattern
        for path in paths:
            content = path.read_bytes()
            damaged = b"" if damage in GONE else DAMAGES[damage](content)
            if damaged is None:
                return False
            stat = path.stat()
            path.unlink()
            if damage == "a folder":
                path.mkdir()
                (path / "something").write_text("of the user's")
            elif damage != "deleted":
                path.write_bytes(damaged)
                path.chmod(stat.st_mode)
        return bool(paths)

    def _commands(self, about: str, pattern: str) -> list[dict[str, list[str]]]:
        """Commands by name: those that look, after one another in one process, and each that does something."""
        world, (run, command), to = self.world, self.world.about(about), self._pages
        out, test, result = ["--out", str(world.out)], str(world.root / "test.json"), str(to / "result.json")
        figures = [] if pattern.startswith(DRAWN) else ["--no-figures"]
        predictions = world.out / "runs" / run / "predictions-test.json"
        looking = {
            "run --dry-run": [*command, "--dry-run"],
            "table": ["table", *out],
            "report": ["report", "--to", str(to / "report"), *out, *figures],
            "explore": ["explore", *(world.names[name] for name in ("frozen", "two_models")),
                        "--to", str(to / "explorer.html"), *out],
            "predict": ["predict", run, test, "--to", result, *out],
        }  # fmt: skip
        of_out = {
            "status": ["status", *out],
            "status --json": ["status", "--json", *out],
            "logs": ["logs", run, *out],
            "run --again --dry-run": ["run", "--again", run, "--dry-run", *out],
            "remove --dry-run": ["remove", run, "--dry-run", *out],
            "evaluate": ["evaluate", "--gold", test, "--pred", str(predictions)],
            "table --json": ["table", "--json", *out],
            "compare": ["compare", "dreeam", "atlop", *out],
            "audit": ["audit", *out],
        }
        of_home = {
            "data list": ["data", "list"],
            "data stats": ["data", "stats", "small"],
            "data stats sample": ["data", "stats", "sample"],
            "models list": ["models", "list"],
            "models show": ["models", "show", "ttmre"],
            "run --dry-run --estimate": [*command, "--dry-run", "--estimate"],
        }
        # In this process, as the runs were made: with other threads the last bits are others.
        inline = ["--launcher", "inline"]
        doing = {"run": command, "run --again": ["run", "--again", run, *inline, *out]}
        if pattern.startswith("home"):
            looking, doing = of_home | looking, doing | {"data add": [*world.adding(), "--replace"]}
        else:
            others = {"retry": ["retry", run, *inline], "remove": ["remove", run, "--yes"], "cancel": ["cancel", run]}
            looking, doing = of_out | looking, doing | {name: [*other, *out] for name, other in others.items()}
        return [looking, *({name: command} for name, command in doing.items())]

    def _before(self, commands: dict[str, list[str]]) -> dict[str, Outcome]:
        """What commands say where nothing is damaged."""
        known = self._undamaged.setdefault(str(commands), {})
        if not set(commands) <= set(known):
            damaged = self.world.root.rename(self.world.root.with_name("damaged"))
            shutil.copytree(self._whole, self.world.root, symlinks=True)
            known |= self._outcomes(commands)
            shutil.rmtree(self.world.root)
            damaged.rename(self.world.root)
        return known

    def _outcomes(self, commands: dict[str, list[str]]) -> dict[str, Outcome]:
        shutil.rmtree(self._pages, ignore_errors=True)
        self._pages.mkdir()
        results = ("runs/*/record.json", "runs/*/pred*.json", "runs/*/scores*", "stages/*/selected.safetensors")
        found = self._contents(self.world.out, *results) if len(commands) == 1 else {}
        said = dict(zip(commands, said_by(commands.values()), strict=True))
        written = {"report": "report/tables/*.csv", "explore": "explorer.html", "predict": "result.json"}
        left = {name: self._contents(self._pages, written[name]) for name in commands if name in written}
        if len(commands) == 1:
            left = dict.fromkeys(commands, self._contents(self.world.out, *results))
        return {name: Outcome(said[name], left.get(name, {}), found) for name in commands}

    @staticmethod
    def _contents(folder: Path, *patterns: str) -> dict[str, bytes]:
        files = (path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}


def _judged(file: str, damage: str, command: str, now: Outcome, before: Outcome) -> Case:
    """What became of a command."""
    printed, expected = _lines(now.said), _lines(before.said)
    news = [line for line in printed if line not in expected]
    foreign = next((line for line in news if FOREIGN.search(line)), "")
    if now.said.raised or foreign:
        return Case(file, damage, command, "raised", foreign or now.said.raised.splitlines()[-1])
    # What a command has not touched is as damaged as before.
    other = [name for name in now.left if now.left[name] not in (before.left.get(name), now.found.get(name))]
    other += [name for name in before.left if name not in now.left and name in {**now.found, **_made(before)}]
    if (now.said.status, other, printed) == (before.said.status, [], expected):
        return Case(file, damage, command, "same", "")
    news += [line for name in other for line in _new_lines(now.left.get(name, b""), before.left.get(name, b""))]
    tells = next((line for line in news if TELLS.search(line)), "")
    status = now.said.status != before.said.status
    if tells or status or (command in SHOWS and not other):
        return Case(file, damage, command, "told", tells or (news[0] if news else f"exit status {now.said.status}"))
    kind = "unseen" if file in UNIMPORTANT else "silent"
    return Case(file, damage, command, kind, f"other content: {other[0]}" if other else "".join(news[:1]))


def _made(outcome: Outcome) -> dict[str, bytes]:
    return {name: content for name, content in outcome.left.items() if name not in outcome.found}


def _new_lines(content: bytes, before: bytes) -> list[str]:
    known = set(before.splitlines())
    return [line.decode("utf-8", "replace") for line in content.splitlines() if line not in known]


def _lines(said: Said) -> list[str]:
    text = said.error + said.out
    for pattern, same in VARYING:
        text = re.sub(pattern, same, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def work(share: int, shares: int, folder: str, kinds: Sequence[str]) -> list[Case]:
    """The cases of every `shares`-th kind, in a process of its own."""
    workshop = Workshop(Path(folder) / str(share))
    cases = []
    for kind in kinds[share::shares]:
        began = time.monotonic()
        of_kind = list(workshop.cases(kind))
        counts = Counter(case.kind for case in of_kind)
        print(f"{kind}: {dict(counts)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        for case in of_kind:
            if case.kind in ("raised", "silent"):
                print(
                    f"   {case.kind}: {case.damage} | {case.command} | {case.line[:200]}", file=sys.stderr, flush=True
                )
        cases += of_kind
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="kinds of file whose name has this in it")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--folder", help="where to work, on a fast disk")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if options.only in kind]
    shares = min(options.processes, len(kinds))
    with (
        tempfile.TemporaryDirectory(prefix="bench-damage-", dir=options.folder) as folder,
        ProcessPoolExecutor(shares, get_context("spawn")) as pool,
    ):
        parts = [pool.submit(work, share, shares, folder, kinds) for share in range(shares)]
        cases = [case for part in parts for case in part.result()]
    print_table(sorted(cases, key=lambda case: kinds.index(case.file)))
    counts = Counter(case.kind for case in cases)
    combinations = len({(case.file, case.damage) for case in cases})
    print(f"{combinations} kinds of damage, {len(cases):,} commands: {dict(counts)}")
    return int(counts["raised"] + counts["silent"] > 0)


def print_table(cases: Sequence[Case]) -> None:
    """A row for each damage: what is said, and by which commands."""
    print("| file | damage | what is said |\n|---|---|---|")
    for (file, damage), of_damage in _grouped(cases).items():
        by_line: dict[str, list[str]] = {}
        for case in of_damage:
            if case.kind != "same":
                by_line.setdefault(f"{case.kind}: {case.line[:140]}", []).append(case.command)
        says = "<br>".join(f"{line.replace('|', '/')} ({', '.join(commands)})" for line, commands in by_line.items())
        print(f"| {file} | {damage} | {says or 'nothing; all is the same'} |")


def _grouped(cases: Sequence[Case]) -> dict[tuple[str, str], list[Case]]:
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.file, case.damage), []).append(case)
    return groups


if __name__ == "__main__":
    sys.exit(main())
