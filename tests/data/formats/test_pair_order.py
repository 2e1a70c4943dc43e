"""The first in the text as head: read, registered, recorded, scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from annotated import Written, as_pubtator, bc5cdr, biored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.catalog.registration import registration_path
from bench.data.documents import Document, Label, Mention
from bench.data.formats.detect import FORMATS, scan, with_order, without_hypernyms
from bench.data.formats.docred import write_documents
from bench.data.formats.pair_order import FIRST_IN_TEXT, checked_order, first_in_text
from bench.errors import UsageError
from bench.metrics.official import evaluate
from bench.metrics.submission import Prediction, either_way_round, write_submission
from bench.metrics.submission_scores import score_submission

TABLE = "C10\tD4\tA\nC10.228\tD5\tB\n"


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def written(docid: str) -> Written:
    """Two diseases, of which one is before the chemical and the other after it, above the one that is induced."""
    text = f"palkitis or dellosis {docid}"
    mentions = ((0, 8, "Disease", "D5"), (9, 11, "Chemical", "D1"), (12, 20, "Disease", "D4"))
    return Written(docid, text, "", mentions, (("CID", "D1", "D5"),))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for split in ("train", "dev", "test"):
        found[split] = tmp_path / f"{split}.txt"
        found[split].write_text(as_pubtator([written(split)]))
    return found


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    path = tmp_path / "mesh.txt"
    path.write_text(TABLE)
    return path


def test_the_head_is_the_entity_whose_first_mention_begins_earlier_the_tail_where_both_begin_together() -> None:
    def entity(*starts: tuple[int, int]) -> tuple[Mention, ...]:
        return tuple(Mention(sentence, start, start + 1, "x", "T") for sentence, start in starts)

    entities = (entity((1, 0), (0, 4)), entity((0, 3), (2, 0)), entity((0, 4)), entity((0, 9)))
    candidates, labels = ((0, 1), (0, 2), (0, 3)), (Label(0, 1, "r"), Label(0, 3, "r"), Label(3, 1, "r"))
    document = Document("t", (("w",) * 10,) * 3, entities, labels, candidates, frozenset(labels[:1]))
    turned = first_in_text(document)
    assert turned.candidates == ((1, 0), (2, 0), (0, 3))
    # The last one is on no candidate.
    assert turned.labels == (Label(1, 0, "r"), Label(0, 3, "r"), Label(3, 1, "r"))
    assert turned.novel == {Label(1, 0, "r")}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bc5cdr())
def test_the_same_pairs_have_the_same_labels_whatever_their_order(tmp_path: Path, items: list[Written]) -> None:
    path = tmp_path / "x"
    path.write_text(as_pubtator(items), encoding="utf-8", newline="")
    form = FORMATS["bc5cdr"]
    for before, after in zip(
        scan(path, form).documents, scan(path, with_order(form, FIRST_IN_TEXT)).documents, strict=True
    ):
        assert [frozenset(pair) for pair in before.candidates or ()] == [frozenset(p) for p in after.candidates or ()]
        assert [label[:2] in (before.candidates or ()) for label in before.labels] == [
            label[:2] in (after.candidates or ()) for label in after.labels
        ]
        assert before.entities == after.entities


def test_the_17_columns_say_the_same_of_every_pair(shared_file: Callable[[str], Path]) -> None:
    path = shared_file("data/cdr/train_filter.data")
    columns = {line.partition("\t")[0]: line.rstrip("\n").split("\t") for line in path.read_text().splitlines()}
    turned = pairs = 0
    for document in scan(path).documents:
        lines = columns[document.title]
        said = [lines[i + 1] for i in range(2, len(lines), 17) if lines[i] != "not_include"]
        for before, after, direction in zip(
            document.candidates or (), first_in_text(document).candidates or (), said, strict=True
        ):
            assert (before != after) == (direction == "R2L")
            turned += before != after
            pairs += 1
    assert (turned, pairs) == (2_256, 5_242)


def test_a_registered_order_is_that_of_the_documents_and_part_of_every_checksum(files: dict[str, Path]) -> None:
    plain, _ = add_dataset("plain", files)
    first, _ = add_dataset("first", files, pairs=FIRST_IN_TEXT)
    assert [document.candidates for document in plain.documents("test")] == [((1, 0), (1, 2))]
    assert [document.candidates for document in first.documents("test")] == [((0, 1), (1, 2))]
    again = open_dataset("first")
    assert again.documents("test") == first.documents("test")
    assert again.conventions()["order"] == FIRST_IN_TEXT
    assert "first in the text is the head" in again.conventions()["pairs"]
    for split in ("train", "test", "ext"):
        assert first.checksum(split) != plain.checksum(split)
    assert '"pairs"' not in registration_path("plain").read_text()
    assert "order" not in plain.conventions()


def test_a_registered_tree_leaves_pairs_out_is_named_and_refused_once_it_changed(
    files: dict[str, Path], mesh: Path
) -> None:
    whole, _ = add_dataset("whole", files)
    dataset, notes = add_dataset("filtered", files, hypernyms=mesh)
    assert [document.candidates for document in open_dataset("filtered").documents("test")] == [((1, 0),)]
    assert dataset.checksum("test") != whole.checksum("test")
    assert "(MeSH: mesh.txt, sha256 " in dataset.conventions()["pairs"]
    assert any("1 pair left out of the candidates" in note for note in notes)
    mesh.write_text(TABLE + "C11\tD7\tC\n")
    with pytest.raises(UsageError, match=r"mesh\.txt: has changed since it was registered"):
        open_dataset("filtered").documents("dev")


def test_an_order_or_a_tree_that_a_form_has_no_use_for_is_refused_and_says_whose_it_is(
    files: dict[str, Path], mesh: Path, tmp_path: Path
) -> None:
    write_documents(tmp_path / "d.json", [Document("t", (("a",),), ((Mention(0, 0, 1, "a", "T"),),))])
    with pytest.raises(UsageError, match="--pairs first-in-text is for cdr, bc5cdr, gda: docred has relations whose"):
        add_dataset("mine", dict.fromkeys(files, tmp_path / "d.json"), pairs=FIRST_IN_TEXT)
    with pytest.raises(UsageError, match="--pairs first-in-text is for cdr, bc5cdr, gda: biored has it already"):
        with_order(FORMATS["biored"], FIRST_IN_TEXT)
    with pytest.raises(UsageError, match="is for bc5cdr, and these files are cdr; its 17 columns mark them"):
        without_hypernyms(FORMATS["cdr"], mesh)
    with pytest.raises(UsageError, match="no tree numbers of MeSH"):
        add_dataset("mine", files, hypernyms=files["train"])
    with pytest.raises(UsageError, match="first-in-text"):
        checked_order("first-in-txt")


def test_a_pair_of_an_unordered_corpus_counts_either_way_round_and_once(tmp_path: Path) -> None:
    item = Written(
        "1",
        "ab cd ef",
        "",
        ((0, 2, "GeneOrGeneProduct", "1"), (3, 5, "ChemicalEntity", "D1"), (6, 8, "ChemicalEntity", "D2")),
        (("Bind", "D1", "1"), ("Bind", "D2", "1")),
    )
    gold, pred = tmp_path / "gold.txt", tmp_path / "pred.json"
    gold.write_text(as_pubtator([item]))
    write_submission(
        pred, [Prediction("1", 1, 0, "Bind"), Prediction("1", 0, 1, "Bind"), Prediction("x", 1, 0, "Bind")]
    )
    total = score_submission(gold, pred).evaluation.counts.total
    assert (total.correct, total.predicted, total.gold) == (1, 2, 2)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(biored(), st.data())
def test_turning_rows_of_a_submission_round_changes_no_count(
    tmp_path: Path, items: list[Written], data: st.DataObject
) -> None:
    path = tmp_path / "x"
    path.write_text(as_pubtator(items), encoding="utf-8", newline="")
    documents = scan(path, FORMATS["biored"]).documents
    rows = [Prediction(*triple) for document in documents for triple in sorted(document.triples())]
    rows += [Prediction(document.title, *pair, "Bind") for document in documents for pair in document.candidates or ()]
    turned = [row._replace(head=row.tail, tail=row.head) if data.draw(st.booleans()) else row for row in rows]
    straight, round_about = (
        evaluate((row.triple for row in either_way_round(some, documents)), documents, None).counts.total
        for some in (rows, turned)
    )
    assert straight == round_about
    assert straight.correct == straight.gold


def test_a_submission_counts_in_either_order_where_the_order_of_pairs_was_chosen(files: dict[str, Path]) -> None:
    pred = files["test"].with_suffix(".json")
    for head, tail in ((0, 1), (1, 0)):
        write_submission(pred, [Prediction("test", head, tail, "CID")])
        chosen = score_submission(files["test"], pred, order=FIRST_IN_TEXT).evaluation.counts.total
        assert chosen.correct == 1
        # Without it CID holds from the chemical to the disease.
        assert score_submission(files["test"], pred).evaluation.counts.total.correct == (head == 1)


def test_a_predicted_pair_is_turned_to_where_it_is_a_candidate_or_labelled_and_no_other() -> None:
    document = Document("t", (("a",),), ((), (), (), ()), (Label(2, 3, "r"),), ((0, 1),))
    stay = [
        Prediction("t", 2, 0, "r"),
        Prediction("u", 1, 0, "r"),
        Prediction("t", 0, 1, "r"),
        Prediction("t", 9, 1, "r"),
    ]
    assert either_way_round(stay, [document]) == stay
    turned = either_way_round([Prediction("t", 1, 0, "r", (4,), 0.5), Prediction("t", 3, 2, "s")], [document])
    assert turned == [Prediction("t", 0, 1, "r", (4,), 0.5), Prediction("t", 2, 3, "s")]
