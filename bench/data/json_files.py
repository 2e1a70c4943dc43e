"""JSON files read with the place of every mistake: whole, or a list one element at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import UsageError


class BrokenJson(NamedTuple):
    """Where the text of a file stops being JSON, in place of the element that should have come."""

    field: str
    expected: str


def read_json(path: Path | str) -> Any:
    """A whole JSON file. Raises UsageError with the line for what is not UTF-8 or not JSON."""
    try:
        raw = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    text = decode(raw, "JSON")
    if isinstance(text, BrokenJson):
        raise UsageError(f"{path}: {text.field}: {text.expected}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        broken = _not_json(error, text)
        raise UsageError(f"{path}: {broken.field}: {broken.expected}") from None


def kind_of(value: object) -> str:
    """JSON's word for a value, for "expected a list, found ..."."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def decode(raw: bytes, expected: str) -> str | BrokenJson:
    """The text of a UTF-8 file, without a byte order mark; or the line where it is not, or that there is none."""
    body = raw.removeprefix(b"\xef\xbb\xbf")  # the mark some Windows editors put before UTF-8
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        return BrokenJson(f"line {line}", f"not UTF-8 (byte 0x{body[error.start]:02x})")
    return text if text.strip(" \t\r\n") else BrokenJson("", f"empty file: expected {expected}")


def elements(raw: bytes) -> Iterator[Any]:
    """The elements of the list a file holds, one at a time; a `BrokenJson` where it stops being one.

    One document is decoded, checked and let go before the next: the distant file (101,873 documents) held whole as
    JSON objects would need several times the memory of its Documents.
    """
    text = decode(raw, "a JSON list of documents")
    del raw  # half the memory of a large file; the caller lets go of it too
    if isinstance(text, BrokenJson):
        yield text
        return
    at = _skip_space(text, 0)
    decode_one = json.JSONDecoder().raw_decode
    try:
        if text[at] != "[":
            value, end = decode_one(text, at)
            several = _skip_space(text, end) < len(text)
            hint = " (one document per line? put them in one list)" if several and isinstance(value, dict) else ""
            yield BrokenJson("", f"expected a JSON list of documents, found {kind_of(value)}{hint}")
            return
        at = _skip_space(text, at + 1)
        if text[at : at + 1] == "]":
            yield BrokenJson("", "expected at least one document, found an empty list")
        else:
            while True:
                value, at = decode_one(text, at)
                yield value
                at = _skip_space(text, at)
                if text[at : at + 1] != ",":
                    break
                at = _skip_space(text, at + 1)
        if text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter or the end of the list", text, at)
        at = _skip_space(text, at + 1)
        if at < len(text):
            raise json.JSONDecodeError("Extra data after the list", text, at)
    except (ValueError, RecursionError) as error:
        yield _not_json(error, text, at)


def _not_json(error: ValueError | RecursionError, text: str, at: int = 0) -> BrokenJson:
    if isinstance(error, json.JSONDecodeError):
        return BrokenJson(f"line {error.lineno}, column {error.colno}", f"not JSON: {error.msg}")
    reason = "nested too deep" if isinstance(error, RecursionError) else "a number with too many digits"
    return BrokenJson(f"line {text.count(chr(10), 0, at) + 1}", f"not usable JSON: {reason}")


def _skip_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at
