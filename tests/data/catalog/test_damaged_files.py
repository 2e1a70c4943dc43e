"""Files under BENCH_HOME, and those a registration names, that are not what they were though they look untouched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from small_experiments import documents

from bench.data.catalog.dataset import add_dataset, open_dataset
from bench.data.catalog.registration import registration_path
from bench.data.catalog.statistics import describe, described_before
from bench.data.formats.docred import write_documents
from bench.errors import UsageError


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    found = {split: tmp_path / f"{split}.json" for split in ("train", "dev", "test")}
    for split, path in found.items():
        write_documents(path, documents(split, 3))
    return found


def change_keeping_size_and_time(path: Path, old: bytes, new: bytes) -> None:
    before, content = path.stat(), path.read_bytes()
    assert old in content
    assert len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_registration_in_which_a_letter_changed_is_refused(paths):
    add_dataset("mine", paths)
    change_keeping_size_and_time(registration_path("mine"), b"leads", b"loads")
    with pytest.raises(UsageError, match="not a registration this version reads"):
        open_dataset("mine")


def test_a_registration_of_the_version_before_which_has_no_checksum_is_read(paths):
    before, _ = add_dataset("mine", paths)
    path = registration_path("mine")
    path.write_text(json.dumps(json.loads(path.read_text())["registration"], indent=2))
    assert open_dataset("mine").relations == before.relations


def test_facts_that_changed_though_size_and_time_did_not_are_refused(paths, tmp_path):
    facts = tmp_path / "facts.json"
    facts.write_text('[["Ada", "Bert", "leads"]]')
    add_dataset("mine", paths, facts=facts)
    assert open_dataset("mine").facts()
    change_keeping_size_and_time(facts, b"leads", b"loads")
    with pytest.raises(UsageError, match="has changed since it was registered"):
        open_dataset("mine").facts()


def test_a_sample_that_changed_though_size_and_time_did_not_is_generated_again(bench_home):
    before = open_dataset("sample").documents("dev")
    (path,) = bench_home.glob("sample/*/dev.json")
    content = path.read_bytes()
    change_keeping_size_and_time(path, content[-400:], content[:400])
    assert open_dataset("sample").documents("dev") == before
    assert path.read_bytes() == content


def test_counts_that_changed_are_counted_again(paths, bench_home):
    dataset, _ = add_dataset("mine", paths)
    counted = describe(dataset, "dev")
    (path,) = bench_home.glob("statistics/*.json")
    change_keeping_size_and_time(path, b'"documents": 3', b'"documents": 4')
    assert described_before(dataset, "dev") is None
    assert describe(dataset, "dev") == counted
