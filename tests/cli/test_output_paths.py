from __future__ import annotations

import pytest

from bench.cli.output_paths import check_file, check_folder
from bench.errors import UsageError


def test_a_folder_is_no_place_for_a_file(tmp_path):
    with pytest.raises(UsageError, match=r"--to .*: it is a folder; expected the name of a file"):
        check_file(tmp_path, "--to")


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_within_a_file_there_is_no_place(check, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--to .*file/x/y: .*file is no folder"):
        check(tmp_path / "file" / "x" / "y", "--to")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file is no folder"):
        check_folder(tmp_path / "file", "--to")


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_a_link_to_nowhere_is_no_folder_to_write_in(check, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="link is no folder"):
        check(tmp_path / "link" / "x", "--to")


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_folders_that_are_not_there_yet_are_made_later(check, tmp_path):
    check(tmp_path / "new" / "deep" / "x", "--to")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [check_file, check_folder])
def test_a_place_where_nothing_can_be_written_is_refused(check, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(UsageError, match="permission denied"):
        check(tmp_path / "x", "--to")


@pytest.mark.parametrize("command", ["explore", "report"])
def test_commands_that_write_look_before_they_work(command, bench, tmp_path, monkeypatch):
    import explored_runs

    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    explored_runs.write_run(tmp_path / "out", explored_runs.register(tmp_path / "data"), "atlop", 3)
    (tmp_path / "file").write_text("")
    status, printed, error = bench(command, "--out", tmp_path / "out", "--to", tmp_path / "file" / "x")
    assert (status, printed) == (2, "")
    assert error == f"bench: --to {tmp_path}/file/x: {tmp_path}/file is no folder\n"
