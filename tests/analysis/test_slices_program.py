"""In which slices two systems differ, `benchmarks/slices.py`, of records whose slices are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import slices
from made_records import plan, record

from bench.runs.record import Scores
from bench.runs.run_folder import RunFolder

FREQUENT, RARE = "top_10", "all_but_top_10"


def put(
    out: Path, model: str, of_slices: dict[int, tuple[float, float]], setting: str = "human", protocol: str = "strict"
) -> None:
    """Finished runs of a model: by seed, the F1 of the ten most frequent relations and of the rest."""
    for seed, f1 in of_slices.items():
        of = plan(model, seed, setting=setting)
        finished = record(of, [(50, 100, 100, 0)])
        scored = {
            name: Scores(f1=value, ign_f1=value, precision=value, recall=value)
            for name, value in zip((FREQUENT, RARE), f1, strict=True)
        }
        test = finished.splits["test"].model_copy(update={"slices": {"strict": {}, "released": {}, protocol: scored}})
        folder = RunFolder.of(out, of)
        folder.announce(of)
        folder.write_record(finished.model_copy(update={"splits": {**finished.splits, "test": test}}))


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_slices_are_tested_by_themselves_and_the_gap_between_them_run_by_run(tmp_path, printed):
    """Runs of one model rise and fall together in both slices, which hides in each what is sure of the gap."""
    put(tmp_path, "one", {1: (50.0, 40.1), 2: (60.0, 49.9), 3: (70.0, 60.0)})
    put(tmp_path, "two", {1: (50.0, 38.1), 2: (60.0, 47.9), 3: (70.0, 58.0)})
    text = printed(slices, "one", "two", "--out", str(tmp_path))
    assert row(text, FREQUENT)[:3] == ["60.00 ± 10.00", "60.00 ± 10.00", "+0.00"]
    assert row(text, RARE)[2:3] == ["+2.00"]
    assert float(row(text, RARE)[4]) > 0.5
    gap = row(text, f"{RARE} less {FREQUENT}")
    assert gap[:3] == ["-10.00 ± 0.10", "-12.00 ± 0.10", "+2.00"]
    # Welch with equal deviations of 0.1 and three seeds each: t(4) = 2.776 times 0.1 times the root of 2/3.
    assert gap[3] == "+1.77 to +2.23"
    assert gap[5] == gap[4]  # of one pair of slices there is nothing to adjust for
    assert "p, Holm over 2 |" in text
    assert "intra" not in text  # which these records do not have


def test_p_values_are_multiplied_by_how_many_are_looked_at(tmp_path, printed):
    put(tmp_path, "one", {1: (50.0, 41.0), 2: (51.0, 43.0)})
    put(tmp_path, "two", {1: (53.0, 46.0), 2: (54.5, 47.0)})
    text = printed(slices, "one", "two", "--out", str(tmp_path))
    p, adjusted = zip(*(map(float, row(text, part)[4:]) for part in (FREQUENT, RARE)), strict=True)
    assert adjusted == (pytest.approx(2 * min(p), abs=1e-4), pytest.approx(max(2 * min(p), max(p)), abs=1e-4))


def test_one_seed_is_told_without_a_test_and_another_setting_is_left_out(tmp_path, printed):
    for setting in ("human", "ext"):
        put(tmp_path, "one", {1: (50.0, 40.0)}, setting)
        put(tmp_path, "two", {1: (52.0, 45.0)}, setting)
    text = printed(slices, "one", "two", "--setting", "ext", "--out", str(tmp_path))
    assert row(text, FREQUENT) == ["50.00", "52.00", "-2.00", "", "", ""]
    assert "d, human" not in text


def test_slices_are_those_of_the_protocol_that_is_asked_for(tmp_path, printed):
    for protocol, f1 in (("strict", 50.0), ("released", 20.0)):
        for model in ("one", "two"):
            put(tmp_path / protocol, model, {1: (f1, f1), 2: (f1 + 1, f1)}, protocol=protocol)
        text = printed(slices, "one", "two", "--protocol", protocol, "--out", str(tmp_path / protocol))
        assert f"by slice ({protocol})" in text
        assert row(text, FREQUENT)[0] == f"{f1 + 0.5:.2f} ± 0.71"
    with pytest.raises(SystemExit, match="have no slices"):
        printed(slices, "one", "two", "--out", str(tmp_path / "released"))


def test_systems_that_are_not_there_are_told(tmp_path, printed):
    put(tmp_path, "one", {1: (50.0, 40.0)})
    with pytest.raises(SystemExit, match=r"slices.py: .*three"):
        printed(slices, "one", "three", "--out", str(tmp_path))
