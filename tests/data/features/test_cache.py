from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import BertTokenizer

from bench.data.documents import Document, Label, Mention
from bench.data.features import cache
from bench.data.features.build import Features, WordPieces, build_features
from bench.data.features.cache import PartMaker, features_of
from bench.data.formats import chunks
from bench.data.formats.chunks import DocumentChunks, FileChunks
from bench.data.formats.docred import write_documents
from bench.data.formats.sound import sound_document
from bench.filesystem import write_sealed
from bench.locks import Lock

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "*", *"abc", *(f"##{c}" for c in "abc")]
RELATIONS = ["p", "q"]


def word_pieces():
    return WordPieces(BertTokenizer(vocab={piece: i for i, piece in enumerate(PIECES)}))


def documents(count=5):
    made = []
    for i in range(count):
        sentences = (("a", "ab", "c"), ("b",) * (i + 1))
        entities = ((Mention(0, 0, 1, "a", "T"), Mention(1, i, i + 1, "b", "T")), (Mention(0, 1, 3, "ab c", "T"),), ())
        labels = (Label(0, 1, "q", (0, 1)), Label(1, 0, "p"))[: i % 3]
        candidates = (None, (), ((0, 1), (2, 0)))[i % 3]
        made.append(Document(f"títle {i}", sentences, entities if i else (), labels if i else (), candidates))
    return made


def build(folder: Path, made=None, checksum="content", fingerprint="vocabulary", most=1024, **other):
    made = documents() if made is None else made
    relations, max_length = other.get("relations", RELATIONS), other.get("max_length", 64)
    whole = DocumentChunks(lambda: made, most)
    keep_words = other.get("keep_words", False)
    maker = PartMaker(folder, word_pieces(), fingerprint, tuple(relations), max_length, keep_words)
    return features_of(whole, checksum, maker)


def parts(folder: Path) -> list[Path]:
    return sorted((folder / "parts").glob("*.arrow"))


def plain(features: Features):
    values = dataclasses.asdict(features) if dataclasses.is_dataclass(features) else features
    return {k: (v.dtype.str, v.shape, v.tolist()) if isinstance(v, np.ndarray) else v for k, v in values.items()}


def forbid_building(monkeypatch):
    def fail(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(cache, "build_features", fail)


@pytest.mark.parametrize("most", [1, 2, 1024])
def test_what_is_read_is_what_was_built(tmp_path, most):
    built = list(build_features(documents(), word_pieces(), RELATIONS, 64))
    read = build(tmp_path, most=most)
    assert [plain(f) for f in read] == [plain(f) for f in built]
    assert read.lengths.tolist() == [len(f) for f in built]
    assert read.mentions_cut == sum(f.mentions_cut for f in built)


def test_words_are_read_as_they_were_built_and_are_another_file(tmp_path):
    built = list(build_features(documents(), word_pieces(), RELATIONS, 64, keep_words=True))
    assert all(f.words for f in built)
    without = build(tmp_path)
    assert [plain(f) for f in build(tmp_path, keep_words=True)] == [plain(f) for f in built]
    assert without[0].words is None


def test_words_without_pieces_are_read_where_they_were_built(tmp_path):
    silent = Document("silent", (("\u200b", "a", "\u200b", "\u200b", "b", "\u200b"),), (), ())
    (built,) = build_features([silent], word_pieces(), RELATIONS, 64)
    (read,) = build(tmp_path, made=[silent])
    assert len(built.word_starts) == 5
    assert read.word_starts.tolist() == built.word_starts.tolist()


def test_the_types_of_entities_are_those_of_all_parts(tmp_path):
    made = [Document(str(i), (("a",),), ((Mention(0, 0, 1, "a", kind),),), ()) for i, kind in enumerate(["Q", "", "P"])]
    read = build(tmp_path, made=made, most=1)
    assert read.entity_types() == ("P", "Q")
    assert [f.entity_types for f in read] == [("Q",), ("",), ("P",)]


def test_a_second_call_reads_the_file_of_the_first(tmp_path, monkeypatch):
    first = [plain(f) for f in build(tmp_path)]
    forbid_building(monkeypatch)
    assert [plain(f) for f in build(tmp_path)] == first


def test_a_file_behaves_as_a_sequence(tmp_path):
    read = build(tmp_path)
    assert len(read) == 5
    assert read[-1].title == read[4].title
    assert [f.title for f in read[1:4:2]] == ["títle 1", "títle 3"]
    for outside in (5, -6):
        with pytest.raises(IndexError):
            read[outside]


def test_no_documents_make_an_empty_file(tmp_path):
    read = build(tmp_path, made=[])
    assert (len(read), list(read), read.lengths.tolist(), read.mentions_cut) == (0, [], [], 0)


def test_reading_maps_the_file_and_allocates_almost_nothing(tmp_path):
    long = Document("long", (("a",) * 1000,), (), ())
    build(tmp_path, made=[long] * 500, max_length=1024)
    gc.collect()
    before = pa.total_allocated_bytes()
    read = build(tmp_path, made=[long] * 500, max_length=1024)
    assert read[499].input_ids.sum() > 0
    assert pa.total_allocated_bytes() - before < 0.1 * sum(read.lengths) * 4


def test_features_outlive_the_file_object_they_came_from(tmp_path):
    one = build(tmp_path)[3]
    gc.collect()
    assert one.input_ids[0] == PIECES.index("[CLS]")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_built_again(tmp_path, share):
    first = [plain(f) for f in build(tmp_path)]
    (path,) = parts(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert [plain(f) for f in build(tmp_path)] == first
    assert path.read_bytes() == content


def zero_keeping_size_and_time(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(before.st_size // 2)
        file.write(bytes(min(400, before.st_size // 4)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_parts_with_zeros_in_them_are_built_again_and_told_in_one_line(tmp_path, capsys):
    first = [plain(f) for f in build(tmp_path, most=1)]
    contents = {path: path.read_bytes() for path in parts(tmp_path)}
    for path in parts(tmp_path)[1:3]:
        zero_keeping_size_and_time(path)
    assert [plain(f) for f in build(tmp_path, most=1)] == first
    assert {path: path.read_bytes() for path in parts(tmp_path)} == contents
    (said,) = capsys.readouterr().err.splitlines()
    assert ".arrow and 1 more there: not what was written (checksum); made again" in said


def test_parts_of_the_version_before_which_have_no_checksum_are_built_again(tmp_path):
    first = [plain(f) for f in build(tmp_path, most=1)]
    sizes = [{"name": path.name, "size": path.stat().st_size} for path in parts(tmp_path)]
    (index,) = tmp_path.glob("*.json")
    write_sealed(index, "parts", sizes)
    for path in parts(tmp_path):
        path.with_suffix(".json").unlink()
    zero_keeping_size_and_time(parts(tmp_path)[0])
    assert [plain(f) for f in build(tmp_path, most=1)] == first


def test_features_that_are_there_are_read_without_a_lock(tmp_path):
    build(tmp_path)
    (lock,) = tmp_path.glob("*.lock")
    with Lock(lock):
        assert len(build(tmp_path)) == 5


def test_a_part_that_was_deleted_is_built_again_and_no_other(tmp_path):
    first = [plain(f) for f in build(tmp_path, most=1)]
    before = {path: path.stat().st_mtime_ns for path in parts(tmp_path)}
    parts(tmp_path)[2].unlink()
    assert [plain(f) for f in build(tmp_path, most=1)] == first
    assert sum(path.stat().st_mtime_ns != before[path] for path in parts(tmp_path)) == 1


def test_a_build_that_was_stopped_goes_on_where_it_stopped(tmp_path, monkeypatch):
    asked = []

    def stop_at_the_third(made, *rest):
        asked.append(made[0].title)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return build_features(made, *rest)

    monkeypatch.setattr(cache, "build_features", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, most=1)
    assert len(build(tmp_path, most=1)) == 5
    assert asked == ["títle 0", "títle 1", "títle 2", "títle 2", "títle 3", "títle 4"]


@pytest.mark.parametrize("change", ["put in", "taken out", "changed"])
def test_of_a_file_that_changed_only_what_changed_is_made_again(tmp_path, monkeypatch, change):
    many = [replace(documents()[1], title=f"title {i}") for i in range(60)]
    monkeypatch.setattr(chunks, "DOCUMENTS_PER_CHUNK", 5)
    build(tmp_path, made=many)
    before = len(parts(tmp_path))
    assert 5 < before < 25
    new = replace(many[30], title="new")
    other = {"put in": [*many[:30], new, *many[30:]], "taken out": [*many[:30], *many[31:]]}
    build(tmp_path, made=other.get(change, [*many[:30], new, *many[31:]]), checksum="other")
    assert len(parts(tmp_path)) - before <= 2


def file_of(folder: Path, count: int) -> FileChunks:
    path = folder / "many.json"
    write_documents(path, [replace(documents()[1], title=f"title {i}") for i in range(count)])
    return FileChunks(path, hashlib.sha256(path.read_bytes()).hexdigest(), sound_document, "", most=2)


def test_several_processes_make_the_same_bytes_as_one(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PARTS_BEFORE_HELP", 1)
    made, make = [], PartMaker.make
    monkeypatch.setattr(PartMaker, "make", lambda self, chunk: made.append(chunk) or make(self, chunk))
    found = {}
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        features_of(
            file_of(tmp_path, 24),
            "content",
            PartMaker(folder, word_pieces(), "vocabulary", tuple(RELATIONS), 64),
            processes,
        )
        found[processes] = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.[aj]*")}
    assert found[1] == found[3]
    assert len(found[1]) == 2 * 12 + 1  # parts, each with its checksum, and their list
    assert len(made) == 12 + 4  # here; the other eight elsewhere


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_helper_that_dies_leaves_its_share_to_the_process_that_called_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PARTS_BEFORE_HELP", 1)
    monkeypatch.setattr(cache, "_help", die)
    assert (
        len(
            features_of(
                file_of(tmp_path, 8),
                "content",
                PartMaker(tmp_path, word_pieces(), "", tuple(RELATIONS), 64),
                processes=2,
            )
        )
        == 8
    )


def test_label_rates_are_shares_of_all_candidate_pairs_each_label_counted_once(tmp_path):
    made = documents()
    made[4] = replace(made[4], labels=(*made[4].labels, *made[4].labels))
    rows = build(tmp_path, made=made, most=2)
    pairs = sum(len(row.candidates()) for row in rows)
    labels = [{tuple(label) for label in row.labels.tolist()} for row in rows]
    expected = [sum(label[2] == r for own in labels for label in own) / pairs for r in range(2)]
    assert sum(expected) > 0
    assert rows.label_rates(2) == tuple(expected)


def test_an_interrupted_build_leaves_nothing_that_is_taken_for_a_file(tmp_path, monkeypatch):
    def stop_half_way(*args):
        yield from list(build_features(*args))[:2]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "build_features", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    assert parts(tmp_path) == list(tmp_path.glob("*.json")) == list(tmp_path.rglob("*.tmp")) == []
    assert len(build(tmp_path)) == 5


@pytest.mark.parametrize(
    "change",
    [{"checksum": "other"}, {"fingerprint": "other"}, {"relations": ["q", "p"]}, {"max_length": 63}],
    ids=lambda change: next(iter(change)),
)
def test_other_documents_tokenizers_relations_or_lengths_are_other_files(tmp_path, change):
    build(tmp_path)
    build(tmp_path, **change)
    assert len(list(tmp_path.glob("*.json"))) == 2
    # The checksum only stands for the documents, which are the same here.
    assert len(parts(tmp_path)) == (1 if "checksum" in change else 2)


def test_another_version_of_the_features_is_another_file(tmp_path, monkeypatch):
    build(tmp_path)
    monkeypatch.setattr(cache, "FEATURE_VERSION", cache.FEATURE_VERSION + 1)
    build(tmp_path)
    assert len(parts(tmp_path)) == len(list(tmp_path.glob("*.json"))) == 2


def build_and_report(folder: Path, barrier, out: Path):
    barrier.wait()
    builds = []
    original = cache.build_features
    cache.build_features = lambda *args: builds.append(1) or original(*args)
    titles = [f.title for f in build(folder)]
    out.write_text(json.dumps([len(builds), titles]))


def test_two_processes_that_want_a_file_build_it_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    reports = [tmp_path / f"{i}.json" for i in range(2)]
    processes = [
        context.Process(target=build_and_report, args=(tmp_path / "cache", barrier, report)) for report in reports
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    builds, titles = zip(*(json.loads(report.read_text()) for report in reports), strict=True)
    assert sorted(builds) == [0, 1]
    assert titles[0] == titles[1] == [d.title for d in documents()]


def test_how_many_documents_the_parts_have_is_told_while_they_are_made(tmp_path):
    told: list[int] = []
    maker = PartMaker(tmp_path, word_pieces(), "vocabulary", tuple(RELATIONS), 64)
    whole = DocumentChunks(lambda: documents(7), 3)
    features_of(whole, "content", maker, on_progress=told.append)
    assert told == [3, 6, 7]
    features_of(whole, "content", maker, on_progress=told.append)
    assert told == [3, 6, 7]  # nothing was made the second time
