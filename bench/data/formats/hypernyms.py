"""MeSH's tree: which concept stands above which, from NLM's file of descriptors or a table of tree numbers.

A descriptor has one or several tree numbers (`C10.228.140.490`); it stands above those whose numbers go on from one of
its own. Supplementary concepts (ids that begin with C) have none. Two forms are read, found from the content:

    NLM's ASCII MeSH (d2017.bin): records of `MN = C10.228` lines and one `UI = D004827`
    a table with tabs: tree number, descriptor, term; the line of headings or not
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.data.formats.scan import read_source
from bench.errors import UsageError

_TREE_NUMBER = re.compile(r"[A-Z][0-9]{2}(\.[0-9]{3})*")
_RECORD = "*NEWRECORD"


@dataclass(frozen=True)
class MeshTree:
    """numbers: of each descriptor its tree numbers."""

    numbers: Mapping[str, Sequence[str]]

    def is_above(self, general: str, special: str) -> bool:
        """Whether one descriptor stands above another somewhere in the tree; false for ids it does not have."""
        below = self.numbers.get(special, ())
        return any(number.startswith(f"{top}.") for top in self.numbers.get(general, ()) for number in below)


def read_mesh_tree(path: Path) -> MeshTree:
    """The tree in a file, gzipped or not. Raises UsageError where it cannot be read or is in neither form."""
    content = read_source(path)
    if isinstance(content, str):
        raise UsageError(f"{path}: {content}")
    text = content[0].decode("utf-8", errors="replace")  # terms, which nothing reads, may be in another encoding
    numbers = defaultdict(list)
    for descriptor, number in _of_records(text) if text.lstrip().startswith(_RECORD) else _of_table(text):
        numbers[descriptor].append(number)
    if not numbers:
        raise UsageError(
            f"{path}: no tree numbers of MeSH, expected NLM's descriptors in ASCII (d2017.bin, records of `MN = ` and "
            "`UI = ` lines) or lines of tree number, descriptor and term with tabs between"
        )
    return MeshTree(dict(numbers))


def _of_records(text: str) -> Iterator[tuple[str, str]]:
    for record in text.split(_RECORD):
        values = [line.partition(" = ") for line in record.splitlines()]
        descriptor = next((value.strip() for key, _, value in values if key == "UI"), None)
        if descriptor is not None:
            yield from ((descriptor, value.strip()) for key, _, value in values if key == "MN")


def _of_table(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        columns = line.split("\t")
        if len(columns) >= 2 and _TREE_NUMBER.fullmatch(columns[0]):
            yield columns[1].strip(), columns[0]
