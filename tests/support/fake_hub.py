"""A Hugging Face Hub on this machine: what reading a data set and uploading a model ask of it, kept in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 10_000
"""From so many bytes on a file is uploaded as a large one (LFS)."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """kind: "datasets" or "models".   commits: what uploads have said of themselves."""

    kind: str
    files: dict[str, bytes]
    private: bool | None = None
    sha: str = COMMIT
    commits: list[str] = field(default_factory=list)


class FakeHub(ThreadingHTTPServer):
    """repositories: by OWNER/NAME.   token: who has it may write; None: whoever has any.   refuses: what of a path is
    answered with a status, and a message.   asked: the method and path of every request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.token = "hf_sesame"
        self.refuses: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.objects: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """A hub that answers within the block."""
    with FakeHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Nothing, where the base class prints every request."""

    def do_GET(self) -> None:
        self._answer(self._body())

    def do_HEAD(self) -> None:
        self._answer(self._body())

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, body: bytes) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        for part, (status, message) in self.server.refuses.items():
            if part in path:
                self._send(status, json.dumps({"error": message}).encode(), {"X-Error-Message": message})
                return
        parts = path.strip("/").split("/")
        match parts:
            case ["api", "validate-yaml"]:
                wrong = _wrong_in(json.loads(body)["content"])
                self._json({"errors": wrong, "warnings": []}, 400 if wrong else 200)
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case ["api", kind, owner, name, *rest]:
                self._api(kind, f"{owner}/{name}", rest, body)
            case [owner, git, "info", "lfs", "objects", "batch"]:
                self._batch(f"{owner}/{git.removesuffix('.git')}", json.loads(body))
            case ["object", oid]:
                assert hashlib.sha256(body).hexdigest() == oid
                self.server.objects[oid] = body
                self._send(200)
            case ["datasets", owner, name, "resolve", revision, *file] | [owner, name, "resolve", revision, *file]:
                self._file(f"{owner}/{name}", revision, "/".join(file))
            case _:
                self._send(404)

    def _may_write(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {self.server.token}":
            return True
        self._send(403, b"{}", {"X-Error-Message": "this token may not write here"})
        return False

    def _create(self, wanted: dict[str, Any]) -> None:
        if not self._may_write():
            return
        name = f"{wanted.get('organization') or 'somebody'}/{wanted['name']}"
        url = {"url": f"{self.server.url}/{name}", "name": name}
        if name in self.server.repositories:
            self._json({**url, "error": "You already created this model repo"}, 409)
            return
        self.server.repositories[name] = Repository("models", {}, _is_private(wanted))
        self._json(url)

    def _api(self, kind: str, name: str, rest: list[str], body: bytes) -> None:
        repository = self.server.repositories.get(name)
        if repository is None or repository.kind != kind:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif rest[:1] == ["preupload"] and self._may_write():
            self._json({"files": [_mode(file) for file in json.loads(body)["files"]]})
        elif rest[:1] == ["commit"] and self._may_write():
            self._commit(name, repository, body)
        elif rest[:1] == ["revision"] and rest[1] not in ("main", repository.sha):
            self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        elif rest[:1] in ([], ["revision"]):
            siblings = [{"rfilename": file} for file in sorted(repository.files)]
            self._json({"id": name, "sha": repository.sha, "siblings": siblings, "private": False, "tags": []})

    def _batch(self, name: str, wanted: dict[str, Any]) -> None:
        if not self._may_write():
            return
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.server.url}/object/{one['oid']}"}}}
            for one in wanted["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, repository: Repository, body: bytes) -> None:
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "header":
                repository.commits.append(value["summary"])
            elif item["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.objects[value["oid"]]
        self._json({"commitUrl": f"{self.server.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True})

    def _file(self, name: str, revision: str, file: str) -> None:
        repository = self.server.repositories.get(name)
        known = repository is not None and revision in ("main", repository.sha)
        content = repository.files.get(file) if repository is not None and known else None
        if content is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'})

    def _json(self, content: Any, status: int = 200) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _is_private(wanted: dict[str, Any]) -> bool:
    """What a request to make a repository says, as versions of the library say it."""
    return wanted["visibility"] == "private" if "visibility" in wanted else bool(wanted.get("private"))


def _wrong_in(card: str) -> list[dict[str, str]]:
    """What the Hub finds wrong in the metadata of a card: a licence that it does not know, for one."""
    message = '"license" must be one of [apache-2.0, mit, cc-by-sa-4.0, other]'
    wrong = re.search(r"^license: (?!apache-2.0|mit|cc-by-sa-4.0|other)", card, re.MULTILINE)
    return [{"message": message}] if wrong else []


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["size"] >= LARGE else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}
