"""The example of a language model's row: exported documents, answers, and the table they stand in."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "llm"
SAID = 'Of course: [{"head": 0, "relation": "knows", "tail": 1}, {"head": 0, "relation": "unheard of", "tail": 1}]'


@pytest.fixture
def prompts(small, bench, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    assert bench("export", "--for-llm", "test", "--dataset", "small", "--to", "prompts.jsonl")[0] == 0
    return tmp_path / "prompts.jsonl"


@pytest.fixture
def server(monkeypatch) -> Iterator[list[dict]]:
    """A server that says the same of every document; what it was asked."""
    asked: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"path": self.path})
            body = json.dumps({"choices": [{"message": {"content": SAID}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{serving.server_port}/v1")
    monkeypatch.setenv("no_proxy", "*")
    yield asked
    serving.shutdown()
    serving.server_close()


def test_the_stand_ins_answers_become_a_row(prompts, bench):
    subprocess.run([sys.executable, EXAMPLES / "stand_in.py", prompts, "answers.jsonl"], check=True)
    status, out, _ = bench("import", "stand-in", "--dataset", "small", "--from-llm", "answers.jsonl", "--out", "out")
    assert status == 0
    assert "0 things not" in out
    assert "stand-in (outside)" in bench("table", "--out", "out")[1]


def test_a_servers_answers_become_a_row_and_what_cannot_be_read_is_told(prompts, server, bench):
    ask = [sys.executable, EXAMPLES / "server.py", "some-model", prompts, "answers.jsonl"]
    subprocess.run(ask, check=True)
    count = len(prompts.read_text().splitlines())
    assert len(server) == count
    assert {(one["path"], one["model"]) for one in server} == {("/v1/chat/completions", "some-model")}
    assert "[Ada|0] knows [Bert|1]" in server[0]["messages"][0]["content"]
    subprocess.run(ask, check=True)
    assert len(server) == count  # nobody is asked twice
    _, out, _ = bench("import", "m", "--dataset", "small", "--from-llm", "answers.jsonl", "--out", "out")
    assert f"{count} triples read, {count} things not" in out
    assert "not read: a relation that there is not" in out
    assert "unheard of" in out
