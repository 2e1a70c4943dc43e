from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.catalog import dataset as catalog
from bench.data.catalog.dataset import Dataset, add_dataset, dataset_names, home, open_dataset
from bench.data.catalog.ext_labels import extremely_unlabeled
from bench.data.catalog.label_rules import thinned
from bench.data.catalog.leaks import identities, under_other_titles
from bench.data.catalog.registration import registration_path
from bench.data.catalog.releases import OFFICIAL
from bench.data.documents import Document, Label, Mention, facts_of
from bench.data.formats.docred import read_documents, write_documents
from bench.errors import UsageError
from bench.label_share import parse_share


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my hömé"
    monkeypatch.setenv("BENCH_HOME", str(path))
    return path


def document(title: str, relation: str = "P1") -> Document:
    entities = tuple((Mention(0, i, i + 1, word, "PER"),) for i, word in enumerate(("Ann", "Bob", "Cy")))
    labels = (Label(0, 1, relation), Label(1, 2, relation), Label(2, 0, "P2", (0,)))
    return Document(title, (("Ann", "Bob", "Cy"),), entities, labels)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "data with spaces ü"
    found = {}
    for split in ("train", "dev", "test"):
        found[split] = folder / f"{split} file.json"
        write_documents(found[split], [document(f"{split} {i}") for i in range(3)])
    return found


def refusal(name: str, files: dict[str, Path], **options: object) -> str:
    with pytest.raises(UsageError) as error:
        add_dataset(name, files, **options)  # type: ignore[arg-type]
    return str(error.value)


def test_a_registered_data_set_gives_its_documents_relations_and_splits(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    dataset = open_dataset("mine")
    assert dataset.relations == ("P1", "P2")
    assert dataset.splits == ("train", "dev", "test", "ext", "dev_ext")
    assert dataset.documents("train") == tuple(read_documents(files["train"]))
    assert dataset.documents("train") is open_dataset("mine").documents("train")
    assert dataset_names() == ["sample", *OFFICIAL, "mine"]


def test_a_missing_ext_is_derived_by_rule_with_the_seed(files: dict[str, Path]) -> None:
    first, _ = add_dataset("mine", files)
    second, _ = add_dataset("other", files, ext_seed=5)
    for dataset in (first, second):
        assert dataset.is_derived("ext")
        derived = extremely_unlabeled(dataset.documents("train"), dataset.ext_seed)
        assert dataset.documents("ext") == tuple(derived)
    assert first.checksum("ext") != second.checksum("ext")
    assert first.checksum("train") == second.checksum("train")


def test_a_share_of_the_labels_is_a_split_of_every_data_set_and_no_file_of_it(files: dict[str, Path]) -> None:
    dataset, _ = add_dataset("mine", files)
    share = parse_share("50%:at-random:3")
    assert dataset.documents("train@50%:at-random:3") == tuple(thinned(dataset.documents("train"), share))
    assert dataset.is_derived("train@50%:at-random:3")
    assert dataset.is_labelled("dev@50%")
    assert (dataset.count("train@50%"), dataset.left_out("train@50%")) == (3, 0)
    chunks = dataset.chunks("train@50%:at-random:3")
    assert [d for chunk in chunks for d in chunk.documents()] == list(dataset.documents("train@50%:at-random:3"))
    assert dataset.splits == ("train", "dev", "test", "ext", "dev_ext")


def test_the_checksum_of_a_share_is_of_what_decides_it_and_reads_no_documents(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, _ = add_dataset("mine", files)
    monkeypatch.setattr(Dataset, "_load", lambda self, split: pytest.fail("it reads documents"))
    splits = ["train@50%", "train@51%", "train@50%:at-random", "train@50%:per-type:1", "dev@50%", "train", "ext"]
    assert len({dataset.checksum(split) for split in splits}) == len(splits)
    assert dataset.checksum("train@50.0%:per-type:0") == dataset.checksum("train@50%")
    # Of all labels no rule has a choice.
    assert dataset.checksum("train@100%") == dataset.checksum("train@100%:by-annotator:7") != dataset.checksum("train")


def test_a_share_that_leaves_nothing_or_is_of_nothing_names_the_data_set_and_the_split(files: dict[str, Path]) -> None:
    write_documents(files["test"], [document("test 0")], labelled=False)
    dataset, _ = add_dataset("mine", files)
    with pytest.raises(UsageError, match="data set 'mine', train: 1% of 9 labelled triples is none"):
        dataset.documents("train@1%")
    for split in ("test@50%", "nothing@50%"):
        with pytest.raises(UsageError, match=f"unknown split '{split}'"):
            dataset.documents(split)


def test_a_given_ext_is_read_not_derived(files: dict[str, Path], tmp_path: Path) -> None:
    write_documents(tmp_path / "ext.json", [document("train 0")])
    dataset, _ = add_dataset("mine", {**files, "ext": tmp_path / "ext.json"})
    assert not dataset.is_derived("ext")
    assert len(dataset.documents("ext")) == 1


def test_problems_of_all_files_are_reported_together_and_nothing_is_registered(files: dict[str, Path]) -> None:
    files["dev"].write_text("")
    files["test"].write_text('[{"title": 3}]')
    message = refusal("mine", {**files, "distant": Path("/nowhere/d.json")}, relations=[files["dev"]])
    for part in ("dev file.json: 1 problem\n  empty file", "title = 3", "/nowhere/d.json: 1 problem"):
        assert part in message
    assert "mine" not in dataset_names()


def test_only_a_test_file_may_be_without_labels(files: dict[str, Path]) -> None:
    write_documents(files["test"], [document("test 0")], labelled=False)
    dataset, _ = add_dataset("mine", files)
    assert not dataset.is_labelled("test")
    write_documents(files["dev"], [document("dev 0")], labelled=False)
    assert "no labels (only a test file may be without)" in refusal("mine2", files)


TEXT = ["Ada", "met", "Bob", "in", "Café", "Zürich", "before", "he", "left", "."]


def long_document(title: str, words: Sequence[str] = (*TEXT, *TEXT)) -> Document:
    entities = ((Mention(0, 0, 1, "a", "PER"),), (Mention(0, 1, 2, "b", "LOC"),))
    return Document(title, (tuple(words[:10]), tuple(words[10:])), entities, (Label(0, 1, "P1"), Label(1, 0, "P2")))


SAME_TEXT = {
    "a trailing space in the title": long_document("Loud Tour "),
    "the title in another case": long_document("LOUD tour"),
    "another title": long_document("Something else"),
    "the text in another case": long_document("Something else", [word.upper() for word in (*TEXT, *TEXT)]),
    "more white space in the text": long_document("Something else", [f" {word}\u00a0" for word in (*TEXT, *TEXT)]),
    "other words of the same text": long_document("Something else", [*"Adamet", *TEXT[2:], *TEXT]),
    "letters and accents of their own": long_document(
        "Something else", [unicodedata.normalize("NFD", word) for word in (*TEXT, *TEXT)]
    ),
}


@pytest.mark.parametrize("split", ["train", "dev", "distant", "ext"])
@pytest.mark.parametrize("what", SAME_TEXT)
def test_a_file_with_the_text_of_a_test_document_under_another_title_is_refused_naming_both(
    files: dict[str, Path], tmp_path: Path, split: str, what: str
) -> None:
    title = SAME_TEXT[what].title
    write_documents(files["test"], [document("test 0"), long_document("Loud Tour")])
    write_documents(tmp_path / "leak.json", [document("fine"), SAME_TEXT[what]])
    leaking = {**files, split: tmp_path / "leak.json"}
    message = refusal("mine", leaking)
    assert f"leak.json ({split}): 1 of 2 documents has the text of a test document under another title" in message
    assert f"\n  {title!r} is 'Loud Tour'\n" in message
    _, notes = add_dataset("mine", leaking, force=True)
    assert any(f"{title!r} is 'Loud Tour'" in note for note in notes)


def test_a_short_text_leaks_under_a_title_that_differs_in_case_or_white_space_alone(files: dict[str, Path]) -> None:
    write_documents(files["train"], [document("Test  0"), document("test 9")])
    message = refusal("mine", files)
    assert "1 of 2 documents has the text of a test document under another title" in message
    assert "'Test  0' is 'test 0'" in message


def test_documents_of_train_that_dev_has_under_another_title_are_a_note(files: dict[str, Path]) -> None:
    write_documents(files["train"], [document("train 0"), long_document("Loud Tour")])
    write_documents(files["dev"], [document("dev 0"), long_document("Loud tour")])
    _, notes = add_dataset("mine", files)
    (note,) = (note for note in notes if "under another title" in note)
    assert note.startswith("1 document of train with the text of a dev document")
    assert note.endswith("  'Loud Tour' is 'Loud tour'")


def test_a_title_of_test_in_another_case_over_another_text_is_a_note(files: dict[str, Path]) -> None:
    write_documents(files["train"], [long_document("TEST 0 ")])
    _, notes = add_dataset("mine", files)
    assert any("1 title of train in test but for case or white space, with another text" in note for note in notes)


def test_documents_that_share_nothing_but_a_few_words_are_told_apart(files: dict[str, Path]) -> None:
    write_documents(files["train"], [long_document("a", [*TEXT, *TEXT[:-1], "!"])])
    write_documents(files["test"], [long_document("b")])
    _, notes = add_dataset("mine", files)
    assert not [note for note in notes if "title" in note]


@pytest.mark.parametrize("many", ["train", "dev", "test"])
def test_splits_that_differ_several_fold_in_labels_per_document_are_a_note(files: dict[str, Path], many: str) -> None:
    few = replace(document("x"), labels=document("x").labels[:1])
    for split, path in files.items():
        write_documents(path, [replace(document("") if split == many else few, title=f"{split} {i}") for i in range(4)])
    dataset, notes = add_dataset("mine", files)
    figures = ", ".join(f"{split} {3 if split == many else 1}.0" for split in files)
    assert notes == [dataset.uneven_labels]
    assert notes[0].startswith(
        f"labels per document differ 3.0-fold ({figures}): were these files labelled by the same"
    )


def test_labels_that_differ_less_or_are_few_by_design_are_no_note(files: dict[str, Path], tmp_path: Path) -> None:
    few = replace(document("x"), labels=document("x").labels[:1])
    two = replace(document("x"), labels=document("x").labels[:2])
    write_documents(files["train"], [replace(two, title="train 0")])
    write_documents(tmp_path / "ext.json", [replace(few, title="train 0")])
    dataset, _ = add_dataset("mine", {**files, "ext": tmp_path / "ext.json"})
    assert dataset.uneven_labels == ""
    write_documents(files["train"], [replace(few, title="train 0")])
    write_documents(files["dev"], [replace(few, title="dev 0")])
    write_documents(files["test"], [document("test 0")], labelled=False)
    assert add_dataset("blind", files)[0].uneven_labels == ""


def test_documents_of_docred_and_of_redocred_are_labelled_by_other_rules(shared_file: Callable[[str], Path]) -> None:
    real = {split: shared_file(f"data/redocred-small/{split}.json") for split in ("train", "dev", "test")}
    assert add_dataset("redocred-style", real)[0].uneven_labels == ""
    mixed, _ = add_dataset("mixed", {**real, "train": shared_file("data/official/docred_train_200.json")})
    assert "2.7-fold (train 12.7, dev 32.4, test 34.9)" in mixed.uneven_labels


def test_the_real_files_share_no_text(shared_file: Callable[[str], Path]) -> None:
    splits = ("train", "dev", "test", "train_distant")
    known = [identities(read_documents(shared_file(f"data/redocred-small/{split}.json"))) for split in splits]
    assert all(not under_other_titles(one, other) for one in known for other in known)


@pytest.mark.parametrize("split", ["train", "dev", "distant", "ext"])
def test_a_file_that_shares_documents_with_test_is_refused_naming_them_unless_forced(
    files: dict[str, Path], tmp_path: Path, split: str
) -> None:
    write_documents(tmp_path / "leak.json", [document("fine"), document("test 1")])
    leaking = {**files, split: tmp_path / "leak.json"}
    message = refusal("mine", leaking)
    assert f"leak.json ({split}): 1 of 2 documents is also in the test file" in message
    assert "'test 1'" in message
    _, notes = add_dataset("mine", leaking, force=True)
    assert any("'test 1'" in note for note in notes)


def test_dev_ext_is_cut_to_the_dev_documents_and_the_rest_counted(files: dict[str, Path], tmp_path: Path) -> None:
    write_documents(tmp_path / "e.json", [document("dev 1"), document("test 1"), document("elsewhere")])
    dataset, notes = add_dataset("mine", {**files, "dev_ext": tmp_path / "e.json"})
    assert [d.title for d in dataset.documents("dev_ext")] == ["dev 1"]
    assert (dataset.count("dev_ext"), dataset.left_out("dev_ext")) == (1, 2)
    assert any("2 of 3 documents are not in dev and are left out (1 of them in test)" in n for n in notes)
    write_documents(tmp_path / "e.json", [document("elsewhere")])
    assert "none of its documents is in dev" in refusal("other", {**files, "dev_ext": tmp_path / "e.json"})


def test_the_published_dev_ext_is_refused_for_training_and_never_selects_on_test(
    shared_file: Callable[[str], Path],
) -> None:
    real = {split: shared_file(f"data/redocred-small/{split}.json") for split in ("train", "dev", "test")}
    published = shared_file("data/official/dev_ext.json")
    for split in ("train", "ext"):
        message = refusal("mine", {**real, split: published})
        assert "500 of 998 documents are also in the test file" in message
        assert "and 480 more" in message
    dataset, notes = add_dataset("mine", {**real, "dev_ext": published})
    assert {d.title for d in dataset.documents("dev_ext")} == {d.title for d in dataset.documents("dev")}
    assert any("898 of 998 documents are not in dev and are left out (500 of them" in note for note in notes)


def test_real_files_register_with_names_and_order_of_relations(shared_file: Callable[[str], Path]) -> None:
    real = {split: shared_file(f"data/redocred-small/{split}.json") for split in ("train", "dev", "test")}
    relations = [shared_file("data/official/rel2id.json"), shared_file("data/official/rel_info.json")]
    facts = shared_file("data/official/train_annotated.fact")
    real["distant"] = shared_file("data/redocred-small/train_distant.json")
    dataset, _ = add_dataset("mine", real, relations=relations, facts=facts)
    numbers = json.loads(relations[0].read_text())
    assert all(numbers[relation] == column + 1 for column, relation in enumerate(dataset.relations))
    assert dataset.relation_names["P17"] == "country"
    assert len(dataset.facts()) == 52_293
    assert dataset.facts_source()["file"] == "train_annotated.fact"
    assert dataset.distant_facts() == facts_of(dataset.documents("distant"))


def test_facts_are_those_of_the_human_training_documents_if_no_file_gives_them(files: dict[str, Path]) -> None:
    dataset, _ = add_dataset("mine", files)
    assert dataset.facts() == {("Ann", "Bob", "P1"), ("Bob", "Cy", "P1"), ("Cy", "Ann", "P2")}
    assert dataset.facts_source() == {"computed from": "train", "sha256": dataset.checksum("train")}
    assert dataset.distant_facts() is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"P2": 1, "P1": 2, "Na": 0}, ("P2", "P1")),
        ({"P2": 0, "P1": 1}, ("P2", "P1")),
        ({"P2": "two", "P1": "one"}, ("P1", "P2")),
        ({"P2": "10", "P1": "9", "Na": "0"}, ("P1", "P2")),
        ({"P2": 1, "P1": "2", "Na": 0}, ("P2", "P1")),
    ],
)
def test_a_relations_file_gives_the_columns(
    files: dict[str, Path], tmp_path: Path, content: object, expected: tuple[str, ...]
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    dataset, _ = add_dataset("mine", files, relations=[path])
    assert dataset.relations == expected


def test_numbers_of_relations_that_are_strings_are_read_as_numbers_and_told(
    files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "rel2id.json"
    path.write_text('{"Na": "0", "P2": "1", "P1": "2"}')
    dataset, notes = add_dataset("mine", files, relations=[path])
    assert dataset.relations == ("P2", "P1")
    assert dataset.relation_names == {"P1": "P1", "P2": "P2"}
    assert notes[0] == f"{path}: its numbers are written as strings, and read as the numbers that they are"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"P1": "1", "P2": " 01"}, "two relations have the same number"),
        ({"P1": "one"}, "'P2': not a relation of this data set (1 known)"),
        ({"P1": "0.0", "P2": "1.0"}, "expected whole numbers (rel2id) or names (rel_info), found '0.0'"),
        ({"P1": "1", "P2": "+2"}, "expected whole numbers (rel2id) or names (rel_info), found '+2'"),
        ({"P1": "1e0", "P2": "12345678901"}, "expected whole numbers (rel2id) or names (rel_info), found '1e0'"),
        ({"P1": 1, "P2": 1}, "two relations have the same number"),
        ({"P1": 1, "P2": "two"}, "(rel2id) or"),
        ([], "expected an object of relations"),
    ],
)
def test_a_relations_file_that_does_not_fit_is_refused(
    files: dict[str, Path], tmp_path: Path, content: object, message: str
) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(content))
    assert message in refusal("mine", files, relations=[path])


def test_a_changed_file_is_refused_and_a_touched_one_is_not(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    os.utime(files["dev"], ns=(1, 1))
    before = open_dataset("mine").checksum("dev")
    write_documents(files["dev"], [document("dev 9", "P3")])
    for use in (Dataset.documents, Dataset.checksum):
        with pytest.raises(UsageError, match=r"has changed since it was registered\nPut the file back, or register"):
            use(open_dataset("mine"), "dev")
    files["dev"].unlink()
    with pytest.raises(UsageError, match="No such file"):
        open_dataset("mine").checksum("dev")
    write_documents(files["dev"], [document(f"dev {i}") for i in range(3)])
    assert open_dataset("mine").checksum("dev") == before


def test_the_same_size_and_other_content_is_a_change(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    files["train"].write_bytes(files["train"].read_bytes().replace(b"Ann", b"Ada"))
    with pytest.raises(UsageError, match="has changed"):
        open_dataset("mine").documents("train")


@pytest.mark.parametrize("name", ["sample", "Sample", "redocred", "docred", "", "..", ".hidden", "a/b", "a b", "é"])
def test_a_name_that_is_taken_or_no_name_is_refused(files: dict[str, Path], name: str) -> None:
    refusal(name, files)
    assert not (home() / "datasets").exists()


def test_a_data_set_is_replaced_only_when_asked(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    assert "already registered; --replace" in refusal("mine", files)
    add_dataset("mine", files, replace=True)


def test_an_unknown_name_and_an_unfetched_one_say_what_there_is(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    with pytest.raises(UsageError, match=r"unknown data set 'mien'. Did you mean 'mine'\?"):
        open_dataset("mien")
    with pytest.raises(UsageError, match="bench data fetch redocred"):
        open_dataset("redocred")
    with pytest.raises(UsageError, match="unknown data set"):
        open_dataset("../datasets/mine")


def test_an_absent_split_says_how_to_add_it(files: dict[str, Path]) -> None:
    dataset, _ = add_dataset("mine", files)
    with pytest.raises(UsageError, match=r"has no distant documents(.|\n)*--distant FILE"):
        dataset.documents("distant")
    with pytest.raises(UsageError, match=r"unknown split 'tset'\. Did you mean 'test'"):
        dataset.checksum("tset")


def test_a_damaged_registration_is_refused_by_name(files: dict[str, Path]) -> None:
    add_dataset("mine", files)
    path = registration_path("mine")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UsageError, match="not a registration this version reads"):
        open_dataset("mine")


def test_home_is_bench_home_or_the_cache_folder(monkeypatch: pytest.MonkeyPatch, bench_home: Path) -> None:
    assert home() == bench_home
    monkeypatch.delenv("BENCH_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert home() == Path("/elsewhere/docre-bench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert home() == Path.home() / ".cache" / "docre-bench"


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sample replaced by a handful of documents; the list grows with every generation."""
    from bench.data import sample

    made = []

    def generate(seed: int = 0) -> dict[str, list[Document]]:
        made.append(seed)
        splits = ("train", "dev", "test", "distant")
        found = {split: [document(f"{split} {i}") for i in range(2)] for split in splits}
        return {**found, "ext": found["train"], "dev_ext": found["dev"]}

    monkeypatch.setattr(sample, "generate", generate)
    monkeypatch.setattr(sample, "RELATIONS", {"P2": "two", "P1": "one", "P3": "never used"})
    return made


def test_the_sample_is_generated_once_and_again_when_its_files_are_damaged(small_sample: list[int]) -> None:
    first = open_dataset("sample")
    assert first.splits == ("train", "dev", "test", "distant", "ext", "dev_ext")
    assert first.relations == ("P1", "P2", "P3")
    assert first.relation_names["P3"] == "never used"
    before = first.checksum("train")
    open_dataset("sample")
    assert small_sample == [0]
    next(home().glob("sample/*/train.json")).write_text("[")
    assert open_dataset("sample").checksum("train") == before
    assert small_sample == [0, 0]


def test_a_sample_in_a_home_that_was_moved_is_made_again_there(
    small_sample: list[int], bench_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_dataset("sample")
    import shutil

    shutil.copytree(bench_home, tmp_path / "copy")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "copy"))
    assert open_dataset("sample").documents("dev")
    assert len(small_sample) == 2


def test_documents_are_read_once_per_process(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    add_dataset("mine", files)
    open_dataset("mine").documents("test")
    monkeypatch.setattr(catalog, "scan", None)
    assert len(open_dataset("mine").documents("test")) == 3
