from __future__ import annotations

import gzip
import json
import zipfile

import pytest

from bench.errors import UsageError
from bench.metrics.submission import Prediction, read_submission, write_submission

GOOD = {"title": "a", "h_idx": 0, "t_idx": 1, "r": "P1"}


def write(tmp_path, content):
    path = tmp_path / "pred file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def message(path):
    with pytest.raises(UsageError) as error:
        read_submission(path)
    return str(error.value)


def test_what_is_written_is_read_back(tmp_path):
    predictions = [
        Prediction('Malmö "x"\n', 0, 1, "P1"),
        Prediction("b", 1, 0, "P2", evidence=(), score=0.25),
        Prediction("\ud800", 1, 0, "P2", evidence=(0, 3)),
    ]
    path = tmp_path / "out.json"
    write_submission(path, predictions)
    assert read_submission(path) == predictions
    assert list(tmp_path.iterdir()) == [path]


def test_no_predictions_are_a_submission(tmp_path):
    write_submission(tmp_path / "out.json", [])
    assert read_submission(tmp_path / "out.json") == []


def test_a_failed_write_leaves_the_file_before_it_and_nothing_else(tmp_path):
    path = tmp_path / "out.json"
    write_submission(path, [Prediction("a", 0, 1, "P1")])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_submission(path, [Prediction("a", 0, 1, "P1", score=float("nan"))])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_fields_of_other_programs_are_ignored(tmp_path):
    path = write(tmp_path, [{**GOOD, "h_name": "x", "evidence": None, "score": None}])
    assert read_submission(path) == [Prediction("a", 0, 1, "P1")]


def test_every_problem_of_a_submission_is_reported_at_once(tmp_path):
    rows = [
        GOOD,
        {**GOOD, "h_idx": "3", "r": ""},
        {"title": "a", "t_idx": True, "h_idx": 1.0, "r": "P1"},
        ["a", 0, 1, "P1"],
        {**GOOD, "t_idx": -1},
        {**GOOD, "evidence": [0, "1"], "score": "high"},
        {"h_idx": 0, "t_idx": 1, "r": 27},
    ]
    text = message(write(tmp_path, rows))
    assert "pred file.json: 10 problems in 6 of 7 rows" in text
    for problem in (
        'row 1: h_idx = "3": expected',
        'row 1: r = "": expected a relation id',
        "row 2: h_idx = 1.0",
        "row 2: t_idx = true",
        'row 3: ["a", 0, 1, "P1"]: expected an object',
        "row 4: t_idx = -1: expected",
        'row 5: evidence = [0, "1"]: expected a list of sentence indices',
        'row 5: score = "high": expected a finite number',
        "row 6: title is missing: expected",
        "row 6: r = 27",
    ):
        assert problem in text


TWICE_IN_A_ROW = (
    '[{"title": "a", "h_idx": 0, "t_idx": 1, "r": "P1"},\n {"title": "a", "h_idx": 0, "r": "P1", "r": "P2"}]'
)


def zipped(tmp_path, text):
    path = tmp_path / "pred.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("result.json", text)
    return path


@pytest.mark.parametrize("form", [write, zipped])
def test_a_key_that_stands_twice_in_a_row_is_refused(form, tmp_path):
    path = form(tmp_path, TWICE_IN_A_ROW.replace('"h_idx": 0, "r"', '"h_idx": 0, "t_idx": 1, "r"'))
    assert message(path).splitlines() == [
        f"{path}: 1 problem in 1 of 2 rows (from row 0)",
        "  row 1: r: given twice in one object, of which only the last would be read",
    ]
    assert "2 problems in 1 of 2 rows" in message(form(tmp_path, TWICE_IN_A_ROW))


def test_a_score_that_is_not_finite_is_refused(tmp_path):
    assert "score = NaN" in message(write(tmp_path, [{**GOOD, "score": float("nan")}]))


def test_a_file_wrong_throughout_shows_the_first_problems_and_the_total(tmp_path):
    text = message(write(tmp_path, [1] * 1000))
    assert "1,000 problems in 1,000 of 1,000 rows" in text
    assert "and 950 more" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty file"),
        ('[\n{"title": }]', "line 2, column 11"),
        ('{"title": "a"}', 'expected a list of {"title": ..., "h_idx": ..., "t_idx": ..., "r": ...}, found an object'),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_not_a_json_list_is_refused_with_the_reason(content, said, tmp_path):
    assert said in message(write(tmp_path, content))


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path):
    assert "absent.json: cannot be read: No such file" in message(tmp_path / "absent.json")


def test_a_zip_is_what_the_server_takes(tmp_path):
    predictions = [Prediction("a title", 0, 1, "P17", evidence=(0,))]
    for name in ("result.zip", "again.zip"):
        write_submission(tmp_path / name, predictions)
    with zipfile.ZipFile(tmp_path / "result.zip") as archive:
        assert archive.namelist() == ["result.json"]
        archive.extract("result.json", tmp_path)
    assert read_submission(tmp_path / "result.json") == predictions
    assert (tmp_path / "result.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()


def archive_of(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_an_archive_and_a_gzipped_file_are_read_whatever_they_are_called(tmp_path):
    rows = [Prediction("a", 0, 1, "P1", (0,), 0.5)]
    write_submission(tmp_path / "out.zip", rows)
    (tmp_path / "out.zip").rename(tmp_path / "submission")
    assert read_submission(tmp_path / "submission") == rows
    (tmp_path / "out").write_bytes(gzip.compress(json.dumps([GOOD]).encode()))
    assert read_submission(tmp_path / "out") == [Prediction("a", 0, 1, "P1")]


def test_an_archive_of_a_folder_made_on_a_mac_is_read(tmp_path):
    files = {"mine/result.json": json.dumps([GOOD]), "__MACOSX/mine/._result.json": "x", "mine/notes.txt": "x"}
    assert read_submission(archive_of(tmp_path / "a.zip", **files)) == [Prediction("a", 0, 1, "P1")]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"dev.json": "[]"}, "no result.json in the archive, which holds 'dev.json'; expected one"),
        ({}, "no result.json in the archive, which holds nothing; expected one"),
        ({"a/result.json": "[]", "b/result.json": "[]"}, "several result.json in the archive"),
        ({"result.json": "[{]"}, "line 1, column 3: not JSON"),
    ],
)
def test_an_archive_that_is_no_submission_says_what_it_holds(files, expected, tmp_path):
    assert expected in message(archive_of(tmp_path / "a.zip", **files))


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 and no more", gzip.compress(b"[" * 999)[:-12], b"\x1f\x8b\x08\x00x"],
    ids=["zip", "gzip cut off", "gzip of nonsense"],  # a gzipped file has the time in it, which would be in the name
)
def test_a_damaged_archive_is_named_not_a_traceback(content, tmp_path):
    (tmp_path / "a.zip").write_bytes(content)
    assert "a.zip: cannot be unpacked" in message(tmp_path / "a.zip")
