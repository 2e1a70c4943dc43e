"""Data sets by name: the generated sample, what the user registered, what was fetched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from bench.data.catalog.ext_labels import RULE_VERSION, extremely_unlabeled
from bench.data.catalog.hub import HubSource
from bench.data.catalog.label_rules import RULES_VERSION, thinned
from bench.data.catalog.register import DatasetFiles, register
from bench.data.catalog.registration import (
    SPLITS,
    Registration,
    check_name,
    load_registration,
    registered_names,
    registration_path,
)
from bench.data.catalog.releases import OFFICIAL
from bench.data.catalog.split_file import SplitFile, checksum_of, sha256_of_text
from bench.data.documents import Document, Fact, facts_of, names_in, no_cycle_search
from bench.data.formats.chunks import DocumentChunks, FileChunks
from bench.data.formats.detect import Format, scan
from bench.data.formats.docred import dump_documents, read_facts, titles
from bench.data.formats.pair_order import Order
from bench.data.formats.scan import Scan
from bench.errors import UsageError, unknown
from bench.filesystem import home, write_atomically
from bench.label_share import share_of
from bench.locks import waiting_for
from bench.scratch import nearby, telling

__all__ = ["SAMPLE", "Dataset", "EvaluationFacts", "add_dataset", "dataset_names", "home", "open_dataset", "state_of"]

SAMPLE = "sample"
DatasetState = Literal["generated", "registered", "fetched", "not fetched"]
_DERIVED_FROM = {"ext": "train", "dev_ext": "dev"}


class EvaluationFacts(NamedTuple):
    """What is left out when dev and test are scored; None where the benchmark, or the data set, has none of it.

    human: what Ign F1 leaves out.   distant: the facts of the distant documents between names of dev and test.
    """

    human: frozenset[Fact] | None
    distant: frozenset[Fact] | None


class Dataset:
    """A data set whose files have been checked. Cheap to make: documents are read when asked for, once per process.

    `relations[r]` is column r + 1 of a model's logits. `splits`: those it has, of train, dev, test, distant, ext,
    dev_ext; an ext or dev_ext that no file gives is derived from train or dev by the rule, with `ext_seed`. Of any
    labelled split there are also its shares (`train@10%`, `bench.label_share`), which are not among `splits`.
    """

    def __init__(self, registration: Registration) -> None:
        self._registration = registration
        self.name = registration.name
        self.relations = registration.relations
        self.relation_names: dict[str, str] = dict(registration.relation_names)
        self.relation_descriptions: dict[str, str] = dict(registration.relation_descriptions)
        self.ext_seed = registration.ext_seed
        self.splits: tuple[str, ...] = tuple(s for s in SPLITS if s in registration.splits or self.is_derived(s))
        self._documents: dict[str, tuple[Document, ...]] = {}
        self._facts: frozenset[Fact] | None = None
        self._distant_facts: dict[frozenset[str] | None, frozenset[Fact]] = {}

    def relation_texts(self) -> tuple[tuple[str, str], ...]:
        """Of each relation its name and its description, "" where it has none, in the order of `relations`."""
        names, descriptions = self.relation_names, self.relation_descriptions
        return tuple((names.get(relation, ""), descriptions.get(relation, "")) for relation in self.relations)

    @property
    def form(self) -> Format:
        """The form of its files, and what its benchmark has: sentences, Ign F1."""
        return self._registration.form

    @property
    def uneven_labels(self) -> str:
        """That train, dev and test differ several-fold in labels per document; '' where they do not."""
        return self._registration.uneven_labels

    def is_derived(self, split: str) -> bool:
        """Whether the labels of this split are drawn by a rule from those of another, not read from a file."""
        return self._drawn_from(split) is not None

    def _drawn_from(self, split: str) -> str | None:
        """The split whose labels a derived one has some of; None for one that has a file."""
        source, share = share_of(split)
        if share is None:
            if split in self._registration.splits or split not in _DERIVED_FROM:
                return None
            source = _DERIVED_FROM[split]
        file = self._registration.splits.get(source)
        return source if file is not None and file.labelled else None

    def is_labelled(self, split: str) -> bool:
        """False for a blind test file: it can be predicted on, not evaluated on. UsageError if the split is absent."""
        return True if self.is_derived(split) else self._file(split).labelled

    def count(self, split: str) -> int:
        """Documents of the split, known without reading them."""
        source = self._drawn_from(split)
        return self._file(split).documents if source is None else self.count(source)

    def left_out(self, split: str) -> int:
        """Documents of the split's file that it does not have: another split has them, or (dev_ext) dev has not."""
        return 0 if self.is_derived(split) else self._file(split).left_out

    def documents(self, split: str) -> tuple[Document, ...]:
        """The documents of a split. UsageError if it is absent, or its file is gone or has changed."""
        if split not in self._documents:
            self._documents[split] = self._load(split)
        return self._documents[split]

    def chunks(self, split: str) -> FileChunks | DocumentChunks:
        """The documents of a split in chunks; where its file allows, read from it as they are asked for.

        Raises like `documents`. Of the 101,873 distant documents of DocRED a training process needs the features alone.
        """
        sound = self.form.of_split(split).sound
        if self.is_derived(split) or split == "dev_ext" or sound is None or self._file(split).selection:
            return DocumentChunks(partial(self.documents, split))
        file = self._verified(split)
        return FileChunks(_nearby(file), file.sha256, sound, self._registration.what_to_do)

    def checksum(self, split: str) -> str:
        """sha256 (hex) of what decides the split's content; the same file gives the same wherever it lies.

        A split read whole: its file's; one that has a part of it: also of which. A derived ext, or a share of labels:
        of the rule, the seed, the share and the source's checksum. dev_ext, which is cut to the titles of dev: of both
        files. Does not read documents. Raises like `documents`.
        """
        if (drawn_from := self._drawn_from(split)) is not None:
            source, (_, share) = self.checksum(drawn_from), share_of(split)
            if share is not None:
                return sha256_of_text(f"label rules {RULES_VERSION}, {share.deciding}, {source}")
            return sha256_of_text(f"ext rule {RULE_VERSION}, seed {self.ext_seed}, {source}")
        file = self._verified(split)
        content = self._registration.checksum(file.checksum)
        form = self.form.of_split(split)
        if form.evaluated_as:  # the same file has other labels in another form
            content = sha256_of_text(f"read as {form.name}, {content}")
        return sha256_of_text(f"titles of {self.checksum('dev')} in {content}") if split == "dev_ext" else content

    def check_content(self) -> int:
        """Read all of its files, and return how many bytes they have. Raises UsageError for one that has changed."""
        registration = self._registration
        files = [*registration.splits.values(), registration.facts, registration.hypernyms]
        for file in (there := [file for file in files if file is not None]):
            file.verify_content(registration.what_to_do)
        return sum({file.path: file.size for file in there}.values())

    def facts(self) -> frozenset[Fact] | None:
        """The facts Ign F1 leaves out: of the fact file if one was given, else of the human training documents.

        One set for all settings: what a run trained on does not change what its Ign F1 measures (protocol, Ign F1).
        None where the benchmark has no Ign F1.
        """
        if not self.form.ign_f1:
            return None
        if self._facts is None:
            record = self._registration.facts
            if record is None:
                self._facts = facts_of(self.documents("train"))
            else:
                record.verify_content(self._registration.what_to_do)
                self._facts = read_facts(nearby(Path(record.path), record.sha256))
        return self._facts

    def facts_source(self) -> dict[str, str]:
        """For the record of a run: `{"file": name, "sha256": ...}` or `{"computed from": "train", "sha256": ...}`.

        `{"none": why, "sha256": ""}` where the benchmark has no Ign F1.
        """
        if not self.form.ign_f1:
            return {"none": f"Ign F1 is no part of {self.form.name}", "sha256": ""}
        record = self._registration.facts
        if record is None:
            return {"computed from": "train", "sha256": self.checksum("train")}
        return {"file": Path(record.path).name, "sha256": record.sha256}

    def conventions(self) -> dict[str, str]:
        """For the record of a run: `{"pairs": which are classified, "scored": what of a prediction counts}`.

        And `{"order": ...}` where their order was chosen.
        """
        order = {} if self._registration.pairs is None else {"order": self._registration.pairs}
        return {"pairs": self.form.pairs_rule, "scored": self.form.scored, **order}

    def distant_facts(self, names: Collection[str] | None = None) -> frozenset[Fact] | None:
        """The facts of the distantly labelled documents; None if the data set has none, or no Ign F1.

        names: only the facts between these names of mentions; those of documents to be evaluated are all that counts.
        """
        if not self.form.ign_f1 or "distant" not in self.splits:
            return None
        among = None if names is None else frozenset(names)
        if among not in self._distant_facts:
            with no_cycle_search():
                facts = (facts_of(chunk.documents(), among) for chunk in self.chunks("distant"))
                self._distant_facts[among] = frozenset(chain.from_iterable(facts))
        return self._distant_facts[among]

    def evaluation_facts(self) -> EvaluationFacts:
        """The facts that scores of dev and test leave out, of the human and of the distant documents."""
        names = names_in(self.documents("dev")) | names_in(self.documents("test"))
        return EvaluationFacts(self.facts(), self.distant_facts(names))

    def _file(self, split: str) -> SplitFile:
        file = self._registration.splits.get(split)
        if file is not None:
            return file
        if split not in SPLITS:
            raise unknown("split", split, self.splits)
        option = split.replace("_", "-")
        todo = f"Add it: bench data add {self.name} --replace --train ... --dev ... --test ... --{option} FILE"
        if self.name in OFFICIAL:
            todo = f"Get it: `bench data fetch {self.name}` says which file to put where"
        raise UsageError(f"data set {self.name!r} has no {split} documents (it has {', '.join(self.splits)})\n{todo}")

    def _verified(self, split: str) -> SplitFile:
        """The file of a split, as it was when it was registered, and so what goes with it. Raises UsageError."""
        file = self._file(split)
        file.verify(self._registration.what_to_do)
        if self._registration.hypernyms is not None:
            self._registration.hypernyms.verify(self._registration.what_to_do)
        return file

    def _load(self, split: str) -> tuple[Document, ...]:
        if (source := self._drawn_from(split)) is not None:
            complete, (_, share) = self.documents(source), share_of(split)
            if share is None:
                return tuple(extremely_unlabeled(complete, self.ext_seed))
            try:
                return tuple(thinned(complete, share))
            except UsageError as error:
                raise UsageError(f"data set {self.name!r}, {source}: {error}") from None
        file = self._verified(split)
        # DocRED's form keeps every relation, also those of documents that are left out of dev_ext.
        relations = None if self.form.relations is None else self.relations
        form = self.form.of_split(split)
        result = _read(
            str(_nearby(file)), file.content, form, relations, split == "distant", self._registration.what_to_do
        )
        documents = result.documents
        if file.selection is not None:
            documents = file.selection.of(documents, result.parts)
        if split == "dev_ext":
            dev = titles(self.documents("dev"))
            return tuple(document for document in documents if document.title in dev)
        return documents


def open_dataset(name: str) -> Dataset:
    """The data set of that name. UsageError naming the choices if there is none, or how to fetch it."""
    if name == SAMPLE:
        return Dataset(_sample())
    path = registration_path(name)
    if name in registered_names():
        return Dataset(load_registration(path))
    if name in OFFICIAL:
        raise UsageError(f"data set {name!r} is not here yet; get it: bench data fetch {name}")
    raise unknown(
        "data set", name, dataset_names(), "Your own files: bench data add NAME --train ... --dev ... --test ..."
    )


def dataset_names() -> list[str]:
    """Every name `open_dataset` knows, fetched or not: the sample first, then the published ones, then the user's."""
    known = [SAMPLE, *OFFICIAL]
    return known + [name for name in registered_names() if name not in known]


def add_dataset(
    name: str,
    files: Mapping[str, Path],
    *,
    form: Format | None = None,
    facts: Path | None = None,
    relations: Sequence[Path] = (),
    ext_seed: int = 0,
    pairs: Order | None = None,
    hypernyms: Path | None = None,
    ids: Mapping[str, Path] | None = None,
    source: HubSource | None = None,
    force: bool = False,
    replace: bool = False,
    doing: Callable[[str], None] = lambda what: None,
) -> tuple[Dataset, list[str]]:
    """Register a user's files by reference; return the data set and notes. Raises like `register`.

    source: where on the Hub they are from.
    """
    check_name(name, [SAMPLE, *OFFICIAL], replace)
    described = DatasetFiles(files, form, facts, relations, ext_seed, pairs, hypernyms, ids or {})
    registration, notes = register(name, described, force, doing=doing)
    registration = registration.model_copy(update={"source": source})
    registration.save(registration_path(name))
    return Dataset(registration), notes


def _nearby(file: SplitFile) -> Path:
    """Where to read a split's file; one that others lie beside, or that is a folder, where it is."""
    path = Path(file.path)
    if file.companions or path.is_dir():
        return path
    with telling(file.path):
        return nearby(path, file.sha256)


@cache
def _read(
    path: str, content: str, form: Format, relations: tuple[str, ...] | None, repeated_titles: bool, again: str
) -> Scan:
    # Keyed by content: a Dataset opened twice in a process reads its files once.
    result = scan(path, form, relations, repeated_titles)
    if result.sources and checksum_of([source.sha256 for source in result.sources]) != content:
        raise UsageError(f"{path}: has changed since it was registered\n{again}")
    result.refuse_problems()
    return result


def _sample() -> Registration:
    """The registration of the generated sample, whose files are made the first time it is asked for."""
    from bench.data import sample

    folder = home() / "sample" / f"v{sample.SAMPLE_VERSION}"
    record = folder / "dataset.json"
    if (registration := _intact(record)) is not None:
        return registration
    with waiting_for(folder / ".lock"):
        if (registration := _intact(record)) is not None:  # another process was first
            return registration
        paths: dict[str, Path] = {}
        for split, documents in sample.generate(seed=0).items():
            paths[split] = folder / f"{split}.json"
            write_atomically(paths[split], dump_documents(documents))
        registration, _ = register(SAMPLE, DatasetFiles(paths))
        order = tuple(sorted(sample.RELATIONS))
        registration = registration.model_copy(
            update={"relations": order, "relation_names": {relation: sample.RELATIONS[relation] for relation in order}}
        )
        registration.save(record)
        return registration


def _intact(record: Path) -> Registration | None:
    """The sample's registration if it and its files are as they were written; else they are made again."""
    try:
        registration = load_registration(record)
        for file in registration.splits.values():
            file.verify_content("")
    except UsageError:
        return None
    # A BENCH_HOME that was moved holds the old paths, which may still exist.
    return registration if all(Path(f.path).parent == record.parent for f in registration.splits.values()) else None


def state_of(name: str) -> DatasetState:
    """Where a name of `dataset_names` stands."""
    if name == SAMPLE:
        return "generated"
    if name in OFFICIAL:
        return "fetched" if name in registered_names() else "not fetched"
    return "registered"
