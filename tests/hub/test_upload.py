"""Runs put on the Hub, which is a server of the test here: what arrives, and what is said where nothing does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from checkpoint_files import trained
from fake_hub import FakeHub, Repository, fake_hub
from huggingface_hub import ModelCard
from made_records import plan, write
from small_experiments import execute, plans

from bench.data.catalog.dataset import open_dataset
from bench.data.formats.docred import write_documents
from bench.hub.upload import OF_THIS_MACHINE
from bench.runs.run_folder import RunFolder
from bench.runs.stage_folder import SELECTED, stage_folder

pytestmark = pytest.mark.usefixtures("small")
REPOSITORY = "somebody/atlop-small"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    # Large files go by Xet where its package is; what it speaks is spoken by no server of a test.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    # Where the Hub does not answer it is asked again and again, a second later, then two.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with fake_hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.token)
        yield server


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, small_home: Path) -> Path:
    """Two finished seeds."""
    folder = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_HOME", str(small_home))
        assert not execute(folder, plans(seeds="2"))
    return folder


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "runs").iterdir())


def downloaded(repository: Repository, folder: Path) -> Path:
    for path, content in repository.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_what_arrives_is_an_output_folder_that_predicts_as_the_run_did(hub, out, bench, tmp_path):
    run = names(out)[0]
    status, printed, error = bench("push", run, REPOSITORY, "--license", "mit", "--out", out)
    assert status == 0, error
    assert f"{hub.url}/{REPOSITORY}: " in printed
    there = hub.repositories[REPOSITORY]
    assert there.private is True
    assert there.commits == ["atlop on small, human, seed 0"]
    assert any(request.startswith("PUT /object/") for request in hub.asked)
    elsewhere = downloaded(there, tmp_path / "elsewhere")
    assert ModelCard.load(elsewhere / "README.md").data.license == "mit"
    write_documents(tmp_path / "test.json", open_dataset("small").documents("test"))
    for where in (out, elsewhere):
        status, _, error = bench("predict", run, tmp_path / "test.json", "--to", where / "p.json", "--out", where)
        assert status == 0, error
    assert (out / "p.json").read_bytes() == (elsewhere / "p.json").read_bytes()
    assert "1 of 1" in bench("table", "--out", elsewhere)[1]


def test_nothing_of_the_machine_is_sent(hub, out, bench):
    assert bench("push", names(out)[0], REPOSITORY, "--out", out)[0] == 0
    parts = {part for path in hub.repositories[REPOSITORY].files for part in Path(path).parts}
    assert not parts & {*OF_THIS_MACHINE, "status.json", "error.json"}


def test_all_seeds_of_a_row_go_in_one_commit_with_one_card(hub, out, bench):
    rows = {plan.model: plan for plan in plans(seeds="2")}
    name = f"atlop ({rows['atlop'].variant})"
    status, printed, error = bench("push", name, REPOSITORY, "--public", "--out", out)
    assert status == 0, error
    there = hub.repositories[REPOSITORY]
    assert (there.private, there.commits) == (False, ["atlop on small, human, seeds 0, 1"])
    assert {Path(path).parts[1] for path in there.files if path.startswith("runs/")} == set(names(out))
    assert "mean ± std" in there.files["README.md"].decode()
    assert "its card names no licence" in printed


def test_a_dry_run_lists_files_and_sizes_and_asks_nothing(hub, out, bench, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    run = names(out)[0]
    status, printed, _ = bench("push", run, REPOSITORY, "--dry-run", "--out", out)
    assert status == 0
    size = (stage_folder(out, RunFolder(out, run).plan().last) / SELECTED).stat().st_size
    assert any(line.split()[0] == f"{size:,}" and line.endswith(SELECTED) for line in printed.splitlines())
    assert printed.splitlines()[-1].endswith(f"would go to {REPOSITORY} (private)")
    assert not hub.asked


def test_without_a_token_nothing_is_asked_and_it_is_said_what_to_do(hub, out, bench, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    status, _, error = bench("push", names(out)[0], REPOSITORY, "--out", out)
    assert (status, hub.asked) == (1, [])
    assert "needs a token that may write" in error
    assert "hf auth login" in error


def test_a_token_that_may_not_write_is_told(hub, out, bench, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_readonly")
    status, _, error = bench("push", names(out)[0], REPOSITORY, "--out", out)
    assert status == 1
    assert f"uploading to {REPOSITORY} failed: the token may not do this" in error
    assert "this token may not write here" in error


@pytest.mark.parametrize(
    ("where", "status", "message", "said"),
    [
        ("/preupload/", 503, "over capacity", "the Hub answers 503. Try again later"),
        ("/commit/", 413, "too large", "the Hub answers 413"),
        ("/object/", 507, "storage quota", "The same command again goes on with what has not arrived"),
    ],
)
def test_an_upload_that_fails_says_what_to_do_and_succeeds_when_it_is_tried_again(
    where, status, message, said, hub, out, bench
):
    hub.refuses[where] = (status, message)
    code, _, error = bench("push", names(out)[0], REPOSITORY, "--out", out)
    assert code == 1
    assert f"uploading to {REPOSITORY} failed" in error
    assert said in error
    assert not hub.repositories[REPOSITORY].files
    hub.refuses.clear()
    code, printed, _ = bench("push", names(out)[0], REPOSITORY, "--out", out)
    assert code == 0
    assert "it was there before: who may see it stays as it was" in printed


def test_a_readme_that_somebody_has_written_there_stays_and_a_card_is_renewed(hub, out, bench, tmp_path):
    hub.repositories[REPOSITORY] = Repository("models", {"README.md": b"# Mine\n"})
    run = names(out)[0]
    _, printed, _ = bench("push", run, REPOSITORY, "--out", out)
    there = hub.repositories[REPOSITORY].files
    assert there["README.md"] == b"# Mine\n"
    assert "its README.md is no card of docre-bench, and stays" in printed
    assert any(path.endswith(SELECTED) for path in there)
    there["README.md"] = b"---\nlibrary_name: docre-bench\n---\n# Old\n"
    bench("push", run, REPOSITORY, "--out", out)
    assert b"# Old" not in there["README.md"]
    own = tmp_path / "card.md"
    own.write_bytes(b"---\nlibrary_name: docre-bench\nlicense: mit\n---\n# Own\n")
    assert bench("push", run, REPOSITORY, "--card", own, "--out", out)[0] == 0
    assert there["README.md"] == own.read_bytes()
    status, _, error = bench("push", run, REPOSITORY, "--card", own, "--license", "mit", "--out", out)
    assert (status, "it says by itself" in error) == (2, True)


def test_a_card_that_the_hub_does_not_take_is_told_with_its_reason(hub, out, bench):
    status, _, error = bench("push", names(out)[0], REPOSITORY, "--license", "my own", "--out", out)
    assert status == 1
    assert "the Hub does not take it. Invalid metadata in README.md" in error
    assert '"license" must be one of' in error
    assert not hub.repositories[REPOSITORY].files


def test_runs_that_are_not_finished_or_damaged_are_not_sent(hub, bench, tmp_path):
    of = plan()
    write(tmp_path, of, None)
    status, _, error = bench("push", of.folder, REPOSITORY, "--out", tmp_path)
    assert (status, hub.asked) == (2, [])
    assert "is not a finished run" in error
    damaged = trained(tmp_path, "atlop")
    weights = stage_folder(tmp_path, damaged.last) / SELECTED
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    status, _, error = bench("push", damaged.folder, REPOSITORY, "--out", tmp_path)
    assert (status, hub.asked) == (2, [])
    assert f"`bench run --again {damaged.folder}" in error


def test_what_is_no_name_of_a_repository_is_told(hub, out, bench):
    for name in ("a/b/c", "alone", "two words/x"):
        status, _, error = bench("push", names(out)[0], name, "--out", out, "--dry-run")
        assert status == 2
        assert f"{name!r} is no name of a repository on the Hub, OWNER/NAME" in error


def test_a_card_of_ones_own_that_is_not_there_is_told(out, bench, tmp_path):
    for card in (tmp_path, tmp_path / "none.md"):
        status, _, error = bench("push", names(out)[0], REPOSITORY, "--card", card, "--out", out, "--dry-run")
        assert status == 2
        assert f"--card {card}: there is no such file" in error
