from __future__ import annotations

import pytest
from small_experiments import SMALL

from bench.filesystem import home, write_json

PLAIN = 'gpus = 0\ntime = "1h"\n'
SETUP = PLAIN + 'setup = ["module load theirs"]\n'
CHANGES = [part for change in SMALL for part in ("--set", change)]


@pytest.fixture
def failed_on_slurm(small, bench, slurm, out, tmp_path, monkeypatch):
    """`bench retry` of a run that failed in a job whose profile has shell commands; nobody has that profile here.

    Somebody else has submitted it: what is remembered is removed.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs.toml").write_text(SETUP)
    arguments = ("--models", "atlop", "--dataset", "small", "--encoder", "tiny", "--seeds", "1", *CHANGES, "--out", out)
    assert bench("run", *arguments, "--launcher", "slurm", "--profile", "./theirs.toml")[0] == 0
    (small / "trusted.json").unlink()
    slurm.accounts("100_0|FAILED|1:0|n1")
    (run,) = (out / "runs").iterdir()
    write_json(run / "error.json", {"message": "no luck"})
    return lambda *options: bench("retry", "--failed", "--out", out, *options)


def test_shell_commands_that_only_a_results_folder_has_are_not_submitted_again(failed_on_slurm, slurm, out):
    status, _, error = failed_on_slurm()
    assert status == 2
    assert "'module load theirs'" in error
    assert "--profile" in error
    assert "--trust-code" in error
    assert len(slurm.submitted()) == 1


@pytest.mark.parametrize("options", [("--trust-code",), ("--profile", "./theirs.toml")])
def test_they_are_where_the_user_says_so(failed_on_slurm, slurm, options):
    assert failed_on_slurm(*options)[0] == 0
    assert len(slurm.submitted()) == 2


def test_they_are_where_a_profile_of_the_user_has_them(failed_on_slurm, slurm, tmp_path):
    (tmp_path / "slurm" / "profiles").mkdir(parents=True)
    path = tmp_path / "slurm" / "profiles" / "theirs.toml"
    path.write_text(SETUP.replace("theirs", "mine"))
    assert failed_on_slurm()[0] == 2
    path.write_text(SETUP)
    assert failed_on_slurm()[0] == 0
    assert len(slurm.submitted()) == 2


def test_the_container_and_the_python_of_jobs_are_such_commands_too(failed_on_slurm, tmp_path):
    (tmp_path / "slurm" / "profiles").mkdir(parents=True)
    path = tmp_path / "slurm" / "profiles" / "theirs.toml"
    for settings in ('container = ["their-program"]', 'python = "their-program"'):
        (tmp_path / "theirs.toml").write_text(PLAIN + settings)
        assert failed_on_slurm("--profile", "./theirs.toml")[0] == 0
        path.write_text(PLAIN)
        # Of this user who has submitted it, nothing is remembered.
        (home() / "trusted.json").unlink()
        status, _, error = failed_on_slurm()
        assert status == 2
        assert "their-program" in error


def test_they_need_no_asking_where_a_run_is_tried_again_here(failed_on_slurm, slurm):
    status, printed, _ = failed_on_slurm("--launcher", "inline")
    assert status == 0
    assert "seed 0: finished" in printed


def test_they_are_where_the_user_has_submitted_them_before(failed_on_slurm, slurm, out):
    assert failed_on_slurm("--trust-code")[0] == 0
    slurm.accounts("100_0|FAILED|1:0|n1", "101_0|FAILED|1:0|n1")
    assert failed_on_slurm()[0] == 0
    assert len(slurm.submitted()) == 3
