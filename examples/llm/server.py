"""Answers of a language model behind a server that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama, ...).

    bench export --for-llm test --dataset redocred --to prompts.jsonl
    OPENAI_BASE_URL=http://localhost:8000/v1 python examples/llm/server.py MODEL prompts.jsonl answers.jsonl
    bench import MODEL --dataset redocred --from-llm answers.jsonl

Documents that are in `answers.jsonl` already are not asked about again, so that it may be stopped and started.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path

ASKED = """Which of these relations hold between the entities of the document? Mentions stand in brackets with the
number of their entity. Answer with a JSON list of {{"head": number, "relation": name, "tail": number}} and nothing
else.

Relations:
{relations}

Entities:
{entities}

Document:
{document}"""


def text_of(prompt: dict) -> str:
    """What the model is asked about a document."""
    relations = [
        f"- {r['name']}" + (f": {r['description']}" if "description" in r else "") for r in prompt["relations"]
    ]
    entities = [f"- {e['number']} ({e['type']}): {', '.join(e['names'])}" for e in prompt["entities"]]
    return ASKED.format(
        relations="\n".join(relations), entities="\n".join(entities), document="\n".join(prompt["sentences"])
    )


def ask(base: str, model: str, text: str) -> str:
    """The model's words."""
    asked = {"model": model, "temperature": 0, "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{base}/chat/completions",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}"},
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)["choices"][0]["message"]["content"] or ""


def main(model: str, prompts: str, answers: str) -> None:
    """Ask about every document of `prompts` that `answers` has nothing of, and add what is said to it."""
    done = Path(answers)
    before = done.read_text(encoding="utf-8").splitlines() if done.exists() else []
    answered = {json.loads(line)["title"] for line in before}
    base = os.environ.get("OPENAI_BASE_URL", "http://localhost:8000/v1").rstrip("/")
    with open(prompts, encoding="utf-8") as lines, done.open("a", encoding="utf-8") as file:
        for prompt in map(json.loads, lines):
            if prompt["title"] not in answered:
                said = ask(base, model, text_of(prompt))
                file.write(json.dumps({"title": prompt["title"], "answer": said}) + "\n")
                file.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
