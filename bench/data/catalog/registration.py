"""What the project knows of a data set: where its files are, what was in them, and the rules they had to pass.

A registration is a small JSON file under `home()/datasets`. The documents stay where they are; their size, time of
change and sha256 are kept, and a file that changed since is refused rather than silently used under the old name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bench.data.catalog.hub import HubSource
from bench.data.catalog.split_file import FileRecord, SplitFile, sha256_of_text
from bench.data.formats.detect import FORMATS, Format, with_order, without_hypernyms
from bench.data.formats.pair_order import Order
from bench.errors import UsageError
from bench.filesystem import home, read_json, read_sealed, write_sealed

SEVERAL_FOLD = 2.5
"""How much train, dev and test differ in labels per document before it is said: Re-DocRED's test has 2.8 times as many
as DocRED's train."""
SPLITS = ("train", "dev", "test", "distant", "ext", "dev_ext")


class Registration(BaseModel):
    """A data set. `relations[r]` is column r + 1 of a model's logits.

    relation_descriptions: what relations mean, of those that a file says it of.
    pairs: the order of the candidate pairs, where it was chosen.   hypernyms: MeSH's tree, where it rules out pairs.
    source: where on the Hub its files are from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    name: str
    relations: tuple[str, ...]
    relation_names: dict[str, str]
    splits: dict[str, SplitFile]
    facts: FileRecord | None = None
    ext_seed: int = 0
    format: str = "docred"
    relation_descriptions: dict[str, str] = {}
    pairs: Order | None = None
    hypernyms: FileRecord | None = None
    source: HubSource | None = None

    @field_validator("format")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in FORMATS:
            raise ValueError(f"format {name!r} is not known")
        return name

    @property
    def form(self) -> Format:
        """The form of its files, with what was chosen of candidate pairs."""
        form = FORMATS[self.format]
        if self.hypernyms is not None:
            form = without_hypernyms(form, Path(self.hypernyms.path), self.hypernyms.sha256)
        return with_order(form, self.pairs)

    def checksum(self, of_files: str) -> str:
        """sha256 (hex) of documents read from files with the given one: their own, unless pairs were chosen."""
        if self.hypernyms is not None:
            of_files = sha256_of_text(f"without hypernyms of {self.hypernyms.sha256}, {of_files}")
        return of_files if self.pairs is None else sha256_of_text(f"pairs {self.pairs}, {of_files}")

    @property
    def uneven_labels(self) -> str:
        """That train, dev and test differ several-fold in labels per document, with the figures; '' where they do not.

        So do DocRED, where most triples that hold are not labelled, and Re-DocRED, where they are: a model that is
        trained on one and evaluated on the other finds too few, or too many.
        """
        files = {split: self.splits[split] for split in ("train", "dev", "test") if split in self.splits}
        rates = {split: file.labels / file.documents for split, file in files.items() if file.labels and file.documents}
        if not rates or max(rates.values()) < SEVERAL_FOLD * min(rates.values()):
            return ""
        figures = ", ".join(f"{split} {rate:.1f}" for split, rate in rates.items())
        times = max(rates.values()) / min(rates.values())
        return (
            f"labels per document differ {times:.1f}-fold ({figures}): were these files labelled by the same rules, as "
            "DocRED's and Re-DocRED's were not? What is trained on few labels finds few"
        )

    @property
    def what_to_do(self) -> str:
        """The hint of an error about one of its files."""
        return f"Put the file back, or register the new one: bench data add {self.name} ... --replace"

    def save(self, path: Path) -> None:
        """Write it with its checksum, in one step."""
        # Without what came later and is not used, so that versions from before can read it.
        later = {name for name in ("relation_descriptions", "pairs", "hypernyms", "source") if not getattr(self, name)}
        write_sealed(path, "registration", self.model_dump(mode="json", exclude=later))


def registration_path(name: str) -> Path:
    """Where the data set of that name is registered."""
    return home() / "datasets" / f"{name}.json"


def registered_names() -> list[str]:
    """The names registered in `home()`, sorted."""
    folder = home() / "datasets"
    return sorted(path.stem for path in folder.glob("*.json")) if folder.is_dir() else []


def load_registration(path: Path) -> Registration:
    """Read a registration. Raises UsageError if it is damaged or of another version."""
    try:
        content = read_sealed(path, "registration")
        # The version before wrote it without a checksum.
        return Registration.model_validate(read_json(path) if content is None else content)
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{path}: not a registration this version reads ({reason})\nDelete it and add it again"
        ) from None


def check_name(name: str, reserved: Sequence[str], replace: bool) -> None:
    """Raise UsageError unless a data set may be registered under `name`."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(f"{name!r} cannot name a data set: letters, digits, '.', '_', '-', a letter or digit first")
    if name.casefold() in {other.casefold() for other in reserved}:
        raise UsageError(
            f"{name!r} is a data set of its own; choose another name. Taken: {', '.join(sorted(reserved))}"
        )
    if not replace and registration_path(name).exists():
        raise UsageError(f"{name!r} is already registered; --replace registers these files in its place")
