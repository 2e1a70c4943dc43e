"""Answers that need no model: a rule over entity types, in the place of a language model.

    bench export --for-llm test --dataset sample --to prompts.jsonl
    python examples/llm/stand_in.py prompts.jsonl answers.jsonl
    bench import stand-in --dataset sample --from-llm answers.jsonl

The rule: of two entities that a sentence names one after the other, the types alone say what the first is to the
second.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import pairwise

RULE = {
    ("PER", "LOC"): "place of birth",
    ("PER", "ORG"): "employer",
    ("LOC", "LOC"): "located in",
    ("ORG", "LOC"): "headquarters location",
    ("PER", "TIME"): "date of birth",
}
"""By the types of head and tail, the name of a relation."""


def answer(prompt: dict) -> str:
    """What a model might say of a document: a few words, and a JSON list in them."""
    types = {entity["number"]: entity["type"] for entity in prompt["entities"]}
    triples = set()
    for sentence in prompt["sentences"]:
        numbers = [int(number) for number in re.findall(r"\|(\d+)\]", sentence)]
        for head, tail in pairwise(numbers):
            if head != tail and (types[head], types[tail]) in RULE:
                triples.add((head, RULE[types[head], types[tail]], tail))
    listed = [{"head": head, "relation": relation, "tail": tail} for head, relation, tail in sorted(triples)]
    return f"These relations hold: {json.dumps(listed)}"


def main(prompts: str, answers: str) -> None:
    """Answer every line of the file `prompts` with a line of the file `answers`."""
    with open(prompts, encoding="utf-8") as lines, open(answers, "w", encoding="utf-8") as file:
        for prompt in map(json.loads, lines):
            file.write(json.dumps({"title": prompt["title"], "answer": answer(prompt)}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
