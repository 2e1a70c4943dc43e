"""A data set that lies in one place: a repository of the Hugging Face Hub (`hf://OWNER/NAME`), or a folder.

Which files are which split is told by their names, as `datasets` tells it: `train-00000-of-00002.parquet`,
`validation/0000.parquet`, `dev_revised.json`, `train_annotated.json.gz`, and the folders of `save_to_disk`. Where names
leave a choice (several folders with a train split), nothing is chosen: the folders are named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from bench.errors import UsageError
from bench.filesystem import home
from bench.hub_client import explained, hub_api

SCHEME = "hf://"
SPLIT_NAMES = {
    "train": "train", "train_annotated": "train", "train_revised": "train",
    "dev": "dev", "dev_revised": "dev", "validation": "dev", "valid": "dev", "val": "dev",
    "test": "test", "test_revised": "test",
    "distant": "distant", "train_distant": "distant",
    "ext": "ext", "train_ext": "ext", "dev_ext": "dev_ext",
}  # fmt: skip
"""What files of the splits are called."""
KINDS = (".parquet", ".arrow", ".json.gz", ".json")
RELATIONS = ("rel2id.json", "rel_info.json", "rel2id.json.gz", "rel_info.json.gz")
PART = re.compile(r"(?P<split>.+)-\d{5}-of-\d{5}")
"""How a part of a split is called that is divided into several files."""


class HubSource(BaseModel):
    """Where on the Hub the files of a data set are from. revision: the commit.   folder: in the repository, or ""."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    repository: str
    revision: str
    folder: str = ""

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}{f'/{self.folder}' if self.folder else ''}@{self.revision[:12]}"


class Place(NamedTuple):
    """`hf://OWNER/NAME`, `hf://OWNER/NAME/FOLDER` or either with `@REVISION`, taken apart."""

    repository: str
    folder: str
    revision: str | None

    @classmethod
    def of(cls, text: str) -> Place:
        """Raises UsageError for what is none."""
        path, at, revision = text.removeprefix(SCHEME).removeprefix("datasets/").partition("@")
        parts = [part for part in path.split("/") if part]
        if len(parts) < 2 or (at and not revision):
            raise UsageError(
                f"{text}: expected {SCHEME}OWNER/NAME, or {SCHEME}OWNER/NAME/FOLDER, each also with @REVISION"
            )
        return cls("/".join(parts[:2]), "/".join(parts[2:]), revision or None)


@dataclass(frozen=True)
class SplitFiles:
    """What of a place belongs to a data set. splits: by split a file, a folder or a pattern, with the files it means.

    relations: files of relations.
    """

    splits: dict[str, tuple[PurePosixPath, tuple[str, ...]]] = field(default_factory=dict)
    relations: tuple[str, ...] = ()

    @property
    def files(self) -> list[str]:
        """All of them, by their names in the place."""
        return [*(file for _, files in self.splits.values() for file in files), *self.relations]


def find_splits(names: Iterable[str], place: str) -> SplitFiles:
    """The splits among the files of a place, by their names in it. Raises UsageError where they leave a choice."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    names = sorted(names)
    for name in names:
        if (found := _split_of(name)) is not None:
            split, folder, kind = found
            groups[folder, kind][split].append(name)
    whole = {key: splits for key, splits in groups.items() if splits.keys() >= {"train", "test"}}
    if len(whole) != 1:
        raise UsageError(_no_choice(place, names, whole or groups, bool(whole)))
    ((folder, _), splits) = next(iter(whole.items()))
    chosen = {}
    for split, files in splits.items():
        chosen[split] = (_one_path(files, split, place), tuple(files))
    beside = {"", folder}
    relations = [name for name in names if PurePosixPath(name).name in RELATIONS and _folder(name) in beside]
    return SplitFiles(chosen, tuple(relations))


def _no_choice(place: str, names: list[str], groups: dict[tuple[str, str], dict[str, list[str]]], several: bool) -> str:
    if several:
        listed = [f"  {folder or '.'}: {', '.join(splits)} ({kind[1:]})" for (folder, kind), splits in groups.items()]
        what = f"{place}: several places with train and test; say which folder, or name the files (--train ...)"
        return "\n".join([what, *listed])
    expected = "train, dev (or validation) and test, as in train.json, train-00000-of-00001.parquet, test/0000.parquet"
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return f"{place}: no files of splits; expected {expected}\nfound: {shown or 'nothing'}"


def _split_of(name: str) -> tuple[str, str, str] | None:
    """The split, folder and kind that the name of a file tells; None for what is no file of a split."""
    path = PurePosixPath(name)
    kind = next((kind for kind in KINDS if path.name.endswith(kind)), None)
    if kind is None or path.name.startswith((".", "cache-")):
        return None
    stem = path.name.removesuffix(kind)
    part = PART.fullmatch(stem)
    stem = part["split"] if part else stem
    split, of_folder = _split_name(stem), _split_name(path.parent.name)
    # `data-00000-of-00001.arrow` and `0000.parquet` lie in the folder of their split.
    if of_folder and (split == of_folder or stem == "data" or stem.isdigit()):
        return of_folder, _folder(str(path.parent)), kind
    return (split, _folder(name), kind) if split else None


def _split_name(text: str) -> str:
    return SPLIT_NAMES.get(text.lower(), "")


def _folder(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _one_path(files: list[str], split: str, place: str) -> PurePosixPath:
    """The file of a split, or the folder or pattern that stands for its parts."""
    first = PurePosixPath(files[0])
    if _split_name(first.parent.name) == split:
        return first.parent
    if len(files) == 1:
        return first
    part = PART.fullmatch(first.name.partition(".")[0])
    others = {match["split"] for file in files if (match := PART.fullmatch(PurePosixPath(file).name.partition(".")[0]))}
    if part is None or len(others) > 1:
        raise UsageError(f"{place}: {split} may be any of {', '.join(files)}; name the files (--{split} ...)")
    return first.with_name(f"{part['split']}-*.{first.name.partition('.')[2]}")


def in_folder(folder: Path) -> tuple[dict[str, Path], list[Path]]:
    """The splits and files of relations of a folder on this machine. Raises UsageError."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no folder; expected one with the files of all splits, or {SCHEME}OWNER/NAME")
    names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    found = find_splits(names, str(folder))
    return _at(folder, found)


def fetched(text: str) -> tuple[dict[str, Path], list[Path], HubSource]:
    """The same of `hf://OWNER/NAME`, downloaded to BENCH_HOME unless it is there; and which commit it is.

    Raises UsageError, and BenchError where the Hub has nothing to give.
    """
    place, api = Place.of(text), hub_api()
    with explained("reading", place.repository):
        info = api.dataset_info(place.repository, revision=place.revision)
        assert info.sha is not None
        within = f"{place.folder}/" if place.folder else ""
        names = [s.rfilename.removeprefix(within) for s in info.siblings or () if s.rfilename.startswith(within)]
        found = find_splits(names, text)
        folder = home() / "hub" / place.repository.replace("/", "--") / info.sha
        for name in found.files:
            api.hf_hub_download(
                place.repository, within + name, repo_type="dataset", revision=info.sha, local_dir=folder
            )
    source = HubSource(repository=place.repository, revision=info.sha, folder=place.folder)
    return *_at(folder / place.folder, found), source


def _at(folder: Path, found: SplitFiles) -> tuple[dict[str, Path], list[Path]]:
    splits = {split: folder / path for split, (path, _) in found.splits.items()}
    return splits, [folder / name for name in found.relations]
