"""The published data sets: their files, what must be in them, and where each is to be had.

To add one, add an Entry to OFFICIAL. Counts and averages are those their authors print; a sha256 is given only where
it was computed from the file itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.formats.detect import FORMATS, Format
from bench.data.formats.scan import Scan
from bench.errors import plural

_RE_DOCRED = "https://raw.githubusercontent.com/tonytan48/Re-DocRED/main/data"
_DOCRED_DRIVE = "DocRED's release, https://drive.google.com/drive/folders/1c5-0YwnoJx8NS6CV2f-NoTHR__BdkNqw"
_SSR_PU = "https://github.com/www-Ye/SSR-PU, folder dataset/docred"
_CHEMDISGENE = "https://raw.githubusercontent.com/chanzuckerberg/ChemDisGene/HEAD/data"
_CDR = (
    "the BC5CDR corpus (https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/) as processed by "
    "https://github.com/fenchri/edge-oriented-graph, folder data_processing"
)
_BC5CDR = (
    "CDR_Data.zip, folder CDR.Corpus.v010516, of https://ftp.ncbi.nlm.nih.gov/pub/lu/BC5CDR/ (also at "
    "https://biocreative.bioinformatics.udel.edu/resources/corpora/biocreative-v-cdr-corpus/)"
)
_BIORED = "BIORED.zip of https://ftp.ncbi.nlm.nih.gov/pub/lu/BioRED/"
_PUBMED = "the abstracts are PubMed's, and their publishers' where they claim them"
_EDGE_ORIENTED = "https://github.com/fenchri/edge-oriented-graph"
_GDA = (
    "the GDA corpus (https://bitbucket.org/alexwuhkucs/gda-extraction, fd4a7409365e) as processed by "
    f"{_EDGE_ORIENTED}, data_processing/process_gda.sh"
)
_DWIE = (
    "https://github.com/klimzaporojets/DWIE: its src/dwie_download.py fetches the texts from Deutsche Welle and writes "
    "this folder (data/annos is without texts)"
)
_HACRED = (
    "https://drive.google.com/drive/folders/1T6QUfDV_ILAr6UJ_fROYQd4-NaFxIzqN (https://github.com/qiaojiim/HacRED)"
)
_DOCGNRE = "https://bigai-nlco.s3.ap-southeast-1.amazonaws.com/DocGNRE/enhancement_data.zip (https://github.com/bigai-nlco/DocGNRE)"
_LINKED = "https://raw.githubusercontent.com/alteca/Linked-DocRED/HEAD"
_DOCRED_TERMS = "DocRED's texts are Wikipedia's (CC BY-SA)"
IDS = "_ids"
"""After the name of a split: a list of the documents that it has of its file."""
TABLE = "triples"
"""Instead of a split: a table of triples, read along with the abstracts it belongs to."""
_REL_INFO_SHA256 = "5ecf4e5e55c179fc83a3a3d19baa01efffecb26ba5edc0b4ac5a54ddf61fe3de"


@dataclass(frozen=True)
class OfficialFile:
    """A file of a data set, or a folder.

    split: one of its splits, one followed by IDS, `relations` for the names of its relations, or TABLE.
    """

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
    form: Format = FORMATS["docred"]
    terms: str = ""
    """Under which terms its authors give it."""

    def expected(self, split: str) -> OfficialFile:
        """The file of a split it has; where dev documents are in that of train, that."""
        of = {file.split: file for file in self.files}
        return of["train"] if split == "dev" and split not in of else of[split]


def wrong_in(file: OfficialFile, relations: int, result: Scan) -> list[str]:
    """How a file that was read differs from what its authors print, one line each."""
    wrong = []
    if file.sha256 is not None and result.sources[0].sha256 != file.sha256:
        wrong.append(f"sha256 {result.sources[0].sha256}, expected {file.sha256}")
    if file.documents is not None and result.count != file.documents:
        wrong.append(f"{plural(result.count, 'document')}, expected {file.documents:,}")
    # Abstracts come without their triples, which are in tables of their own.
    if file.triples is not None and result.count and not result.no_labels:
        average = result.labels / result.count
        # The authors' rounding is unknown (half up, half even, cut): one unit of the last digit either way.
        if abs(average - file.triples) > 10**-file.digits:
            wrong.append(f"{average:.2f} labelled triples per document, expected {file.triples}")
    used = {label.relation for document in result.documents for label in document.labels}
    if len(used) > relations:
        wrong.append(f"{plural(len(used), 'relation')}, expected at most {relations}")
    return wrong


def _docred_common() -> tuple[OfficialFile, ...]:
    return (
        OfficialFile("distant", "train_distant.json", _DOCRED_DRIVE, None, 101_873, 14.79, digits=2, required=False),
        OfficialFile("relations", "rel_info.json", _DOCRED_DRIVE, sha256=_REL_INFO_SHA256, required=False),
    )


def _chemdisgene() -> tuple[OfficialFile, ...]:
    """Tables before the abstracts they belong to, so that these can be checked with their triples."""
    source = "https://github.com/chanzuckerberg/ChemDisGene, folder data"
    curated = ("approved_relns_ctd_v1.tsv.gz", "approved_relns_new_v1.tsv.gz")
    tables = [f"ctd_derived/{split}_relationships.tsv.gz" for split in ("train", "dev")]
    tables += [f"curated/{name}" for name in curated]
    abstracts = (
        ("train", "ctd_derived/train_abstracts.txt.gz", 76_942, 2.17),
        ("dev", "ctd_derived/dev_abstracts.txt.gz", 1_521, 2.16),
        ("test", "curated/abstracts.txt.gz", 523, 7.33),
    )
    return (
        *(OfficialFile(TABLE, path.rpartition("/")[2], source, f"{_CHEMDISGENE}/{path}") for path in tables),
        *(
            OfficialFile(split, path.rpartition("/")[2], source, f"{_CHEMDISGENE}/{path}", documents, triples, digits=2)
            for split, path, documents, triples in abstracts
        ),
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
        Entry(
            "chemdisgene",
            "ChemDisGene: PubMed abstracts, 14 relations of chemicals, diseases, genes (Zhang et al., LREC 2022)",
            14,
            _chemdisgene(),
            FORMATS["chemdisgene"],
            f"CC0; {_PUBMED}",
        ),
        Entry(
            "cdr",
            "BC5CDR: PubMed abstracts, which chemical induces which disease (Li et al., 2016)",
            1,
            tuple(
                OfficialFile(split, f"{split}_filter.data", _CDR, None, 500, triples, digits=2)
                for split, triples in (("train", 2.08), ("dev", 2.02), ("test", 2.13))
            ),
            FORMATS["cdr"],
            f"as `bc5cdr`; {_PUBMED}",
        ),
        Entry(
            "bc5cdr",
            "BC5CDR as it was released, in PubTator: all pairs, hypernyms among them (Li et al., 2016)",
            1,
            tuple(
                OfficialFile(split, f"CDR_{name}Set.PubTator.txt", _BC5CDR, None, 500, triples, digits=2)
                for split, name, triples in (
                    ("train", "Training", 2.08),
                    ("dev", "Development", 2.02),
                    ("test", "Test", 2.13),
                )
            ),
            FORMATS["bc5cdr"],
            f"public domain (NCBI's notice with the evaluation kit of the task); {_PUBMED}",
        ),
        Entry(
            "biored",
            "BioRED: PubMed abstracts, 8 relations of genes, diseases, chemicals, variants (Luo et al., 2022)",
            8,
            tuple(
                OfficialFile(split, f"{split.capitalize()}.PubTator", _BIORED, None, documents, triples, digits=2)
                for split, documents, triples in (("train", 400, 10.45), ("dev", 100, 11.62), ("test", 100, 11.63))
            ),
            FORMATS["biored"],
            f"freely available from NCBI, no licence named; {_PUBMED}",
        ),
        Entry(
            "gda",
            "GDA: PubMed abstracts, which gene is associated with which disease (Wu et al., RECOMB 2019)",
            1,
            (
                OfficialFile("train", "train+dev.data", _GDA, None, 29_192),
                OfficialFile("test", "test.data", _GDA, None, 1_000),
                OfficialFile(
                    f"train{IDS}",
                    "train_gda_docs",
                    f"{_EDGE_ORIENTED}, folder data_processing",
                    "https://raw.githubusercontent.com/fenchri/edge-oriented-graph/HEAD/data_processing/train_gda_docs",
                    sha256="52e5236cad7dfa77bfde981ec50e78aafcdb122315fa3add7760d76ce5664e65",
                ),
            ),
            FORMATS["gda"],
            f"no licence known; the programs that process it: non-commercial, no redistribution (NaCTeM); {_PUBMED}",
        ),
        Entry(
            "dwie",
            "DWIE: news articles, 65 relations of entities, roles and values (Zaporojets et al., IPM 2021)",
            65,
            (
                *(OfficialFile(split, "annos_with_content", _DWIE, None, 802) for split in ("train", "test")),
                OfficialFile(
                    f"dev{IDS}",
                    "dev_ids",
                    "you: ids of the training articles that are dev, one a line, or documents with these titles (the "
                    "corpus names none; others': dataset_dwie/dev.json of https://github.com/XingYing-stack/MILR)",
                ),
            ),
            FORMATS["dwie"],
            "annotations and programs GPL-3.0; the texts, without which the corpus comes, are Deutsche Welle's",
        ),
        Entry(
            "hacred",
            "HacRED: Chinese encyclopedia texts, 26 relations, hard cases (Cheng et al., Findings of ACL 2021)",
            26,
            (
                *(
                    OfficialFile(split, f"{split}.json", _HACRED, None, documents)
                    for split, documents in (("train", 6_231), ("dev", 1_500), ("test", 1_500))
                ),
                OfficialFile("relations", "rel2id.json", _HACRED, required=False),
            ),
            FORMATS["hacred"],
            "none named by its authors",
        ),
        Entry(
            "docgnre",
            "DocGNRE: Re-DocRED, a language model's labels to train on, test labels added (Li et al., EMNLP 2023)",
            96,
            (
                OfficialFile("train", "re_docred_train_data_enhancement.json", _DOCGNRE),
                OfficialFile(
                    "dev",
                    "dev_revised.json",
                    "https://github.com/tonytan48/Re-DocRED, folder data",
                    f"{_RE_DOCRED}/dev_revised.json",
                    500,
                    34.6,
                ),
                OfficialFile("test", "re_docred_test_data_enhancement.json", _DOCGNRE),
                *_docred_common(),
            ),
            FORMATS["docgnre"],
            f"programs MIT, none named for the data; {_DOCRED_TERMS}",
        ),
        *(
            Entry(
                name,
                f"{title} with entities linked to Wikipedia, some of them joined (Genest et al., SIGIR 2023)",
                96,
                tuple(
                    OfficialFile(
                        split,
                        filename,
                        f"https://github.com/alteca/Linked-DocRED, folder {folder}",
                        f"{_LINKED}/{folder}/{filename}",
                    )
                    for split, filename in zip(("train", "dev", "test"), filenames, strict=True)
                ),
                FORMATS["linked-docred"],
                f"GPL-3.0; {_DOCRED_TERMS}",
            )
            for name, title, folder, filenames in (
                ("linked-docred", "DocRED", "Linked-DocRED", ("train_annotated.json", "dev.json", "test.json")),
                (
                    "linked-redocred",
                    "Re-DocRED",
                    "Linked-Re-DocRED",
                    ("train_revised.json", "dev_revised.json", "test_revised.json"),
                ),
            )
        ),
    )
}
