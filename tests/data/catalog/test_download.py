from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.data.catalog import download as module
from bench.data.catalog.dataset import open_dataset
from bench.data.catalog.download import download, downloads, fetch
from bench.data.catalog.releases import OFFICIAL, Entry, OfficialFile
from bench.data.documents import Document, Label, Mention
from bench.data.formats.docred import dump_documents
from bench.errors import BenchError, UsageError


@pytest.fixture(autouse=True)
def bench_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


@dataclass
class Server:
    """What a loopback server serves, how it misbehaves, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    breaks_off_after: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append((self.path, wanted))
            if state.status:
                self.send_error(state.status.pop(0))
                return
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
            body = content[start:]
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if state.breaks_off_after:
                body = body[: state.breaks_off_after.pop(0)]
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


CONTENT = bytes(range(256)) * 40


def get(server: Server, path: Path) -> list[tuple[int, int | None]]:
    """Download /x to `path`, accepting CONTENT only; the progress reported."""

    def verify(part: Path) -> None:
        if part.read_bytes() != CONTENT:
            raise BenchError("not the published file")

    seen: list[tuple[int, int | None]] = []
    download(f"{server.url}/x", path, verify, lambda done, total: seen.append((done, total)))
    return seen


def test_a_file_is_downloaded_whole_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    seen = get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_broken_download_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    server.breaks_off_after = [1000, 500]
    get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT
    assert server.asked == [("/x", None), ("/x", "bytes=1000-"), ("/x", "bytes=1500-")]


def test_what_came_of_a_download_given_up_is_used_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    server.breaks_off_after = [1000, 500, 500]
    with pytest.raises(BenchError, match="broke off 3 times, last after 2,000 bytes; run it again"):
        get(server, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
    get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT
    assert server.asked[-1] == ("/x", "bytes=2000-")


def test_a_server_without_ranges_is_started_over(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    server.ranges = False
    server.breaks_off_after = [1000]
    get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT


def test_a_part_that_is_complete_is_not_transferred_again(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    (tmp_path / "x.json.part").write_bytes(CONTENT)
    get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT


@pytest.mark.parametrize("old", [b"the beginning of an older file", CONTENT + b"and more"])
def test_a_part_of_another_file_is_thrown_away_and_all_of_it_fetched(
    server: Server, tmp_path: Path, old: bytes
) -> None:
    server.files["/x"] = CONTENT
    (tmp_path / "x.json.part").write_bytes(old)
    get(server, tmp_path / "x.json")
    assert (tmp_path / "x.json").read_bytes() == CONTENT


def test_a_corrupt_file_never_gets_its_name(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT[:-1] + b"?"
    with pytest.raises(BenchError, match="not the published file"):
        get(server, tmp_path / "x.json")
    assert list(tmp_path.iterdir()) == []


def test_a_server_error_is_tried_again_and_a_missing_file_is_not(server: Server, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="answers 404"):
        get(server, tmp_path / "x.json")
    assert len(server.asked) == 1
    server.files["/x"] = CONTENT
    server.status = [503, 500]
    get(server, tmp_path / "x.json")


def test_no_connection_is_a_message_not_a_traceback(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"http://127.0.0.1:9/x: "):
        download("http://127.0.0.1:9/x", tmp_path / "x", lambda part: None, lambda done, total: None)


def documents(split: str, count: int = 4) -> bytes:
    entities = ((Mention(0, 0, 1, "a", "PER"),), (Mention(0, 1, 2, "b", "LOC"),))
    labels = (Label(0, 1, "P1"), Label(1, 0, "P2"))
    return dump_documents([Document(f"{split} {i}", (("a", "b"),), entities, labels) for i in range(count)])


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """A published data set of train and dev on the server, test by hand, distant optional."""
    files = (
        OfficialFile("train", "t.json", "its site", f"{server.url}/t.json", 4, 2.0),
        OfficialFile("dev", "d.json", "its site", f"{server.url}/d.json", 4, 2.0),
        OfficialFile("test", "test.json", "a drive", None, 4, 2.0),
        OfficialFile("distant", "distant.json", "a drive", None, 100, required=False),
        OfficialFile("relations", "rel_info.json", "a drive", None, required=False),
    )
    entry = Entry("paper", "of a paper", 2, files)
    monkeypatch.setitem(OFFICIAL, "paper", entry)
    server.files |= {"/t.json": documents("train"), "/d.json": documents("dev")}
    return entry


@pytest.mark.usefixtures("published")
def test_fetch_says_which_file_to_put_where_and_picks_it_up(server: Server) -> None:
    wanted = downloads("paper") / "test.json"
    with pytest.raises(UsageError) as error:
        fetch("paper")
    assert f"put {wanted} (4 documents, 2.0 triples per document) from a drive" in str(error.value)
    assert "optional: " in str(error.value)
    wanted.write_bytes(documents("test"))
    (downloads("paper") / "rel_info.json").write_text(json.dumps({"P2": "two", "P1": "one"}))
    server.files.clear()  # what was downloaded before is not asked for again
    registration, notes = fetch("paper")
    assert registration.relation_names == {"P1": "one", "P2": "two"}
    assert any("distant.json" in note for note in notes)
    assert open_dataset("paper").splits == ("train", "dev", "test", "ext", "dev_ext")


@pytest.mark.usefixtures("published")
def test_offline_fetch_fails_with_the_reason_and_the_places(server: Server) -> None:
    server.files.clear()
    with pytest.raises(BenchError) as error:
        fetch("paper")
    assert error.value.exit_status == 1
    assert "answers 404" in str(error.value)
    assert f"put {downloads('paper') / 't.json'}" in str(error.value)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (documents("train", 3), "3 documents, expected 4"),
        (documents("train").replace(b'"P1"', b'"P3"', 1), "3 relations, expected at most 2"),
        (documents("train")[:-20], "not JSON"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not JSON"),
    ],
)
def test_a_download_that_is_not_the_published_file_is_refused(server: Server, content: bytes, message: str) -> None:
    server.files["/t.json"] = content
    with pytest.raises(BenchError, match=message):
        fetch("paper")
    assert not (downloads("paper") / "t.json").exists()


@pytest.mark.usefixtures("published")
def test_a_file_put_by_hand_that_is_another_one_is_refused_and_kept() -> None:
    path = downloads("paper") / "test.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(documents("test", 5))
    with pytest.raises(UsageError, match=r"not the file expected\n  5 documents, expected 4"):
        fetch("paper")
    assert path.exists()


@pytest.mark.usefixtures("published")
def test_two_fetches_at_once_do_not_share_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    downloads("paper").mkdir(parents=True)
    with FileLock(downloads("paper") / ".lock"), pytest.raises(UsageError, match="is running"):
        fetch("paper")


def test_only_published_data_sets_can_be_fetched() -> None:
    with pytest.raises(UsageError, match="Did you mean 'redocred'"):
        fetch("redocre")


def test_the_published_facts_are_those_of_the_protocol() -> None:
    expected = {"train": (3_053, 28.1), "dev": (500, 34.6), "test": (500, 34.9), "distant": (101_873, 14.79)}
    for split, facts in expected.items():
        file = OFFICIAL["redocred"].expected(split)
        assert (file.documents, file.triples) == facts
    assert OFFICIAL["redocred"].relations == 96
    assert module.ATTEMPTS > 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_download_that_finds_no_room_names_the_file_and_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = CONTENT
    (tmp_path / "x.json.part").symlink_to("/dev/full")
    with pytest.raises(BenchError, match=r"the disk is full \(no space left on .*x\.json\.part\)"):
        get(server, tmp_path / "x.json")
    assert server.asked == [("/x", None)]
