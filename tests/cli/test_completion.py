"""What a shell is told when Tab is pressed."""

from __future__ import annotations

import made_records
import pytest

from bench.runs.recipe import SETTINGS


@pytest.fixture
def complete(bench, monkeypatch):
    """The offers for a line, as bash gets them."""

    def offers(line: str) -> list[str]:
        monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - (not line.endswith(" "))))
        status, printed, error = bench()
        assert (status, error) == (0, "")
        return printed.split()

    return offers


@pytest.fixture
def runs(tmp_path, monkeypatch):
    plans = [made_records.plan("alpha", seed=seed) for seed in (0, 1)] + [made_records.plan("beta")]
    for plan in plans:
        made_records.write(tmp_path / "results", plan, [[1, 2, 4, 0]])
    monkeypatch.chdir(tmp_path)
    return plans


def test_runs_are_offered_by_the_names_of_their_folders(runs, complete):
    assert complete("bench logs a") == sorted(plan.folder for plan in runs[:2])


@pytest.mark.parametrize("command", ["cancel", "retry", "remove", "explore"])
def test_where_several_runs_are_taken_rows_are_offered_too(command, runs, complete):
    assert complete(f"bench {command} b") == ["beta", runs[2].folder]


def test_a_model_whose_rows_have_other_names_is_offered_where_it_is_understood_alone(complete, tmp_path, monkeypatch):
    plan = made_records.plan("alpha").model_copy(update={"variant": "layers=2"})
    made_records.write(tmp_path / "results", plan, [[1, 2, 4, 0]])
    monkeypatch.chdir(tmp_path)
    assert complete("bench remove a") == [plan.folder]
    assert complete("bench compare a") == ["alpha"]


def test_the_output_folder_is_the_one_that_is_named(runs, complete, tmp_path):
    assert complete(f"bench logs --out {tmp_path / 'nothing'} ") == []
    assert complete(f"bench compare --out {tmp_path / 'results'} ") == ["alpha", "beta"]


def test_what_an_archive_has_is_offered_where_it_is_read(runs, bench, complete, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    assert bench("archive", "--to", tmp_path / "sent", "--out", tmp_path / "results")[0] == 0
    assert complete(f"bench compare --out {tmp_path / 'sent'} a") == ["alpha"]
    next((tmp_path / "home" / "records").rglob("run.json")).unlink()  # a cluster clears old files away
    assert complete(f"bench compare --out {tmp_path / 'sent'} a") == ["alpha"]
    (tmp_path / "sent" / "records.tar.xz").write_bytes(b"cut off")
    assert complete(f"bench compare --out {tmp_path / 'sent'} a") == []


def test_a_damaged_archive_takes_nothing_from_the_offers_of_the_folder(runs, complete, tmp_path):
    (tmp_path / "results" / "records.tar.xz").write_bytes(b"cut off")
    assert complete("bench compare ") == ["alpha", "beta"]


def test_a_damaged_plan_takes_nothing_from_the_other_offers(runs, complete, tmp_path):
    (tmp_path / "results" / "runs" / runs[0].folder / "run.json").write_text("{")
    assert complete("bench compare ") == ["alpha", "beta"]


def test_of_a_list_the_last_name_is_completed(complete):
    assert complete("bench run --models atlop,ssr") == ["atlop,ssrpu"]
    assert complete("bench run --settings human,") == [f"human,{setting}" for setting in (*SETTINGS, "all")]


def test_names_that_are_registered_are_offered(complete, small_home, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(small_home))
    assert complete("bench run --dataset sa") == ["sample"]
    assert "small" in complete("bench run --dataset ")
    assert complete("bench run --config table3") == ["table3"]
    assert complete("bench losses show atg") == ["atgl"]
    assert complete("bench data stats sam") == complete("bench data thin sam") == ["sample"]
    assert complete("bench run --profile a") == complete("bench doctor --on a") == ["a100"]
    assert complete("bench models show ttm") == ["ttmre", "ttmre-released"]


def test_what_an_option_may_be_is_offered(complete):
    assert complete("bench evaluate --format bi") == ["biored"]
    assert complete("bench data thin sample --rule at") == ["at-random"]
    assert complete("bench data add x --pairs ") == ["first-in-text"]


def test_commands_are_offered(complete):
    assert {"logs", "losses"} <= set(complete("bench lo"))


def test_words_that_bash_takes_apart_are_completed_from_where_it_did(bench, monkeypatch, tmp_path):
    """Bash hands on three words of `alpha-layers=2` and replaces the last of them."""
    made_records.write(tmp_path / "results", made_records.plan("alpha", variant="layers=2"), [[1, 2, 4, 0]])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))

    def offers(*words: str) -> list[str]:
        monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", "\n".join(("bench", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        status, printed, error = bench()
        assert (status, error) == (0, "")
        return printed.split()

    (run,) = offers("logs", "alp")
    assert run.startswith("alpha-layers=2-")
    assert offers("logs", "alpha-layers", "=") == offers("logs", "alpha-layers", "=", "2-") == [run.partition("=")[2]]
    assert offers("logs", "--out", "=", "results", "alpha-layers", "=", "2") == [run.partition("=")[2]]
    assert offers("logs", "--out", "=", "elsewhere", "alpha-layers", "=", "2") == []
    assert offers("run", "--models", "=", "ssr") == ["ssrpu"]
    assert offers("run", "--models", "ttmre", ":", "layers", "=", "2,ssr") == ["2,ssrpu"]
    assert offers("run", "--models", "ttmre", ":", "layers", "=", "2", "--dataset", "sa") == ["sample"]
    assert offers("data", "stats", "sa") == offers("data", "thin", "sa") == ["sample"]
