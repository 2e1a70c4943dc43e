from __future__ import annotations

import dataclasses
import gc
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import BertTokenizer

from bench.data import cache
from bench.data.cache import FeatureFile, features_of
from bench.data.documents import Document, Label, Mention
from bench.data.features import Features, WordPieces, build_features

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


def build(folder: Path, made=None, checksum="content", fingerprint="vocabulary", relations=RELATIONS, max_length=64):
    made = documents() if made is None else made
    return features_of(made, checksum, word_pieces(), fingerprint, relations, max_length, folder)


def plain(features: Features):
    values = dataclasses.asdict(features) if dataclasses.is_dataclass(features) else features
    return {k: (v.dtype.str, v.shape, v.tolist()) if isinstance(v, np.ndarray) else v for k, v in values.items()}


def forbid_building(monkeypatch):
    def fail(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(cache, "build_features", fail)


@pytest.mark.parametrize("rows_per_batch", [2, 256])
def test_what_is_read_is_what_was_built(tmp_path, monkeypatch, rows_per_batch):
    monkeypatch.setattr(cache, "ROWS_PER_BATCH", rows_per_batch)
    built = list(build_features(documents(), word_pieces(), RELATIONS, 64))
    read = build(tmp_path)
    assert [plain(f) for f in read] == [plain(f) for f in built]
    assert read.lengths.tolist() == [len(f) for f in built]
    assert read.mentions_cut == sum(f.mentions_cut for f in built)


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
    (path,) = tmp_path.glob("*.arrow")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert [plain(f) for f in build(tmp_path)] == first
    assert len(FeatureFile(path)) == 5


def test_an_interrupted_build_leaves_nothing_that_is_taken_for_a_file(tmp_path, monkeypatch):
    def stop_half_way(*args):
        yield from list(build_features(*args))[:2]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache, "build_features", stop_half_way)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    assert list(tmp_path.glob("*.arrow")) == []
    assert list(tmp_path.glob("*.tmp")) == []
    assert len(build(tmp_path)) == 5


@pytest.mark.parametrize(
    "change",
    [{"checksum": "other"}, {"fingerprint": "other"}, {"relations": ["q", "p"]}, {"max_length": 63}],
    ids=lambda change: next(iter(change)),
)
def test_other_documents_tokenizers_relations_or_lengths_are_other_files(tmp_path, change):
    build(tmp_path)
    build(tmp_path, **change)
    assert len(list(tmp_path.glob("*.arrow"))) == 2


def test_another_version_of_the_features_is_another_file(tmp_path, monkeypatch):
    build(tmp_path)
    monkeypatch.setattr(cache, "FEATURE_VERSION", cache.FEATURE_VERSION + 1)
    build(tmp_path)
    assert len(list(tmp_path.glob("*.arrow"))) == 2


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
