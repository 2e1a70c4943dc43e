"""The published data sets: their files, what must be in them, and where each is to be had.

To add one, add an Entry to OFFICIAL. Counts and averages are those their authors print; a sha256 is given only where
it was computed from the file itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.docred import Scan

_RE_DOCRED = "https://raw.githubusercontent.com/tonytan48/Re-DocRED/main/data"
_DOCRED_DRIVE = "DocRED's release, https://drive.google.com/drive/folders/1c5-0YwnoJx8NS6CV2f-NoTHR__BdkNqw"
_SSR_PU = "https://github.com/www-Ye/SSR-PU, folder dataset/docred"
_REL_INFO_SHA256 = "5ecf4e5e55c179fc83a3a3d19baa01efffecb26ba5edc0b4ac5a54ddf61fe3de"


@dataclass(frozen=True)
class OfficialFile:
    """A file of a data set. `split`: one of its splits, or `relations` for the names of its relations."""

    split: str
    filename: str
    source: str
    """Where a person finds it."""
    url: str | None = None
    """Where a program finds it; None where only a person can (Google Drive)."""
    documents: int | None = None
    triples: float | None = None
    """Average labelled triples per document, to the digits printed by the authors."""
    digits: int = 1
    sha256: str | None = None
    required: bool = True


@dataclass(frozen=True)
class Entry:
    """A published data set."""

    name: str
    description: str
    relations: int
    files: tuple[OfficialFile, ...]

    def expected(self, split: str) -> OfficialFile:
        """The file of a split it has."""
        return next(file for file in self.files if file.split == split)


def wrong_in(file: OfficialFile, relations: int, result: Scan) -> list[str]:
    """How a file that was read differs from what its authors print, one line each."""
    wrong = []
    if file.sha256 is not None and result.sha256 != file.sha256:
        wrong.append(f"sha256 {result.sha256}, expected {file.sha256}")
    if file.documents is not None and result.count != file.documents:
        wrong.append(f"{result.count:,} documents, expected {file.documents:,}")
    if file.triples is not None and result.count:
        average = result.labels / result.count
        # The authors' rounding is unknown (half up, half even, cut): one unit of the last digit either way.
        if abs(average - file.triples) > 10**-file.digits:
            wrong.append(f"{average:.2f} labelled triples per document, expected {file.triples}")
    found = {label.relation for document in result.documents for label in document.labels}
    if len(found) > relations:
        wrong.append(f"{len(found)} relations, expected at most {relations}")
    return wrong


def _docred_common() -> tuple[OfficialFile, ...]:
    return (
        OfficialFile("distant", "train_distant.json", _DOCRED_DRIVE, None, 101_873, 14.79, digits=2, required=False),
        OfficialFile("relations", "rel_info.json", _DOCRED_DRIVE, sha256=_REL_INFO_SHA256, required=False),
    )


OFFICIAL: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            "redocred",
            "Re-DocRED: DocRED with its missing labels supplied (Tan et al., EMNLP 2022)",
            96,
            (
                *(
                    OfficialFile(
                        split,
                        f"{split}_revised.json",
                        "https://github.com/tonytan48/Re-DocRED, folder data",
                        f"{_RE_DOCRED}/{split}_revised.json",
                        documents,
                        triples,
                    )
                    for split, documents, triples in (("train", 3_053, 28.1), ("dev", 500, 34.6), ("test", 500, 34.9))
                ),
                *_docred_common(),
                OfficialFile("ext", "train_ext.json", _SSR_PU, None, 3_053, required=False),
                OfficialFile(
                    "dev_ext",
                    "dev_ext.json",
                    _SSR_PU,
                    documents=998,
                    sha256="d868f207c125e59d0934c93456d57297c49c8ad89c5cb5b735cf2ae8488ffcae",
                    required=False,
                ),
            ),
        ),
        Entry(
            "docred",
            "DocRED: Wikipedia introductions, 96 Wikidata relations; blind test file (Yao et al., ACL 2019)",
            96,
            (
                OfficialFile("train", "train_annotated.json", _DOCRED_DRIVE, None, 3_053),
                OfficialFile("dev", "dev.json", _DOCRED_DRIVE, None, 998),
                OfficialFile("test", "test.json", _DOCRED_DRIVE, None, 1_000),
                *_docred_common(),
            ),
        ),
    )
}
