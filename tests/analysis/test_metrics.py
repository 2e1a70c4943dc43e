"""The one list of scores: complete, and in step with the records and with what computes scores from counts."""

from __future__ import annotations

import numpy as np
import pytest
from made_records import split_record

from bench.analysis.metrics import COLUMNS, COUNTED, METRICS, PRINTED
from bench.analysis.stats import score
from bench.runs.record import EvidenceScores, Scores, SplitRecord

COUNTS = [(8, 10, 16, 2), (3, 4, 5, 1)]


@pytest.fixture
def record() -> SplitRecord:
    evidence = EvidenceScores(f1=30.0, precision=31.0, recall=29.0)
    return split_record(COUNTS, {"intra": Scores(f1=1.0, ign_f1=2.0, precision=3.0, recall=4.0)}).model_copy(
        update={"evidence": evidence, "macro_f1": 12.0}
    )


def test_every_score_of_a_record_is_listed_once():
    evidence = [f"evidence_{name}" for name in EvidenceScores.model_fields]
    assert sorted(METRICS) == sorted([*Scores.model_fields, "macro_f1", *evidence])
    assert [metric.name for metric in METRICS.values()] == list(METRICS)


def test_each_is_read_from_where_the_record_has_it(record):
    values = {name: metric.of_split(record) for name, metric in METRICS.items()}
    assert (values["f1"], values["recall"]) == (record.scores.f1, record.scores.recall)
    assert (values["macro_f1"], values["ign_f1_distant"]) == (12.0, None)
    assert (values["evidence_f1"], values["evidence_precision"], values["evidence_recall"]) == (30.0, 31.0, 29.0)
    assert METRICS["evidence_f1"].of_split(record.model_copy(update={"evidence": None})) is None


def test_slices_have_what_their_tables_show(record):
    scores = record.slices["strict"]["intra"]
    assert {name: metric.of_slice(scores) for name, metric in METRICS.items() if metric.of_slice(scores)} == {
        "f1": 1.0, "ign_f1": 2.0, "precision": 3.0, "recall": 4.0,
    }  # fmt: skip


def test_what_follows_from_counts_is_what_the_record_has(record):
    total = np.sum(COUNTS, axis=0)
    for metric in COUNTED:
        assert score(total, metric.name) == pytest.approx(metric.of_split(record))


def test_what_papers_print_is_among_the_columns():
    assert set(COUNTED) <= set(PRINTED) <= set(COLUMNS)
    assert len({metric.title for metric in COLUMNS}) == len(COLUMNS)
