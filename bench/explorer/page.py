"""The explorer as one HTML file. It loads nothing: style, script and data are in it, and a policy forbids the rest."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bench.explorer.encoding import encode
from bench.explorer.runs import Exploration
from bench.filesystem import write_atomically


def write_page(exploration: Exploration, path: Path) -> int:
    """Write the page to a file; returns its size in bytes."""
    content = render(encode(exploration)).encode()
    write_atomically(path, content)
    return len(content)


def render(data: dict[str, Any]) -> str:
    """The page that shows `data` (`encoding.encode`)."""
    folder = files("bench.explorer")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    parts = sorted((part.name, part) for part in folder.joinpath("script").iterdir() if part.name.endswith(".js"))
    script = '"use strict";\n' + "\n".join(part.read_text(encoding="utf-8") for _, part in parts)
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    return environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8")).render(
        dataset=data["dataset"],
        split=data["split"],
        left_out=data["left_out"],
        # Markup: ours, and the data, in which nothing can end the element that holds it.
        style=Markup(style),
        style_hash=Markup(_policy_hash(style)),
        script=Markup(script),
        script_hash=Markup(_policy_hash(script)),
        data=Markup(_json(data)),
    )


def _policy_hash(content: str) -> str:
    """How a content security policy names an element by what is in it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _json(value: Any) -> str:
    """JSON for a script element: no `<`, so neither `</script>` nor `<!--`; a lone surrogate as JSON writes it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")
