"""The tokenizer in an encoder's folder, as the folder has it.

transformers makes a tokenizer by the kind of the model. Where a folder does not say, it takes what most models of that
kind have, and may so lower-case what `tokenizer.json` does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from bench.filesystem import read_json

WORDS = ("London", "london", "ÉCOLE", "naïve", "don't", "3.5-fold", "IL-2", "β", "北京", "*")
"""Words in which lower-casing, stripping of accents and other ways of splitting show."""
SAID = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space")
"""What a tokenizer_config.json may say of such things: that is the folder's own word, too."""


class FolderTokenizer(NamedTuple):
    """A tokenizer, and what has to be said of it: "" if the library reads it as it stands.

    as_in_file: it is read as tokenizer.json has it, which the library would not do.
    """

    tokenizer: PreTrainedTokenizerBase
    note: str
    as_in_file: bool


def read_tokenizer(folder: Path) -> FolderTokenizer:
    """The tokenizer of a folder.

    Where the library's and that of tokenizer.json split words otherwise, the file decides, unless the folder's
    tokenizer_config.json sets what they differ in.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    path = folder / "tokenizer.json"
    library = getattr(tokenizer, "backend_tokenizer", None)
    if library is None or not path.is_file():
        return FolderTokenizer(tokenizer, "", False)
    own = Tokenizer.from_file(str(path))
    differ = [word for word in WORDS if _pieces(own, word) != _pieces(library, word)]
    if not differ:
        return FolderTokenizer(tokenizer, "", False)
    word = differ[0]
    both = _pieces(own, word), _pieces(library, word)
    seen = f"{word!r} is {both[0]} by tokenizer.json, and {both[1]} to {type(tokenizer).__name__}"
    settings = read_json(folder / "tokenizer_config.json") or {}
    said = [name for name in SAID if name in settings]
    if said:
        note = f"{seen}; tokenizer_config.json sets {', '.join(said)}, so it is read as by the latter"
        return FolderTokenizer(tokenizer, note, False)
    as_in_file = PreTrainedTokenizerFast(
        tokenizer_file=str(path), model_max_length=tokenizer.model_max_length, **tokenizer.special_tokens_map
    )
    return FolderTokenizer(as_in_file, f"{seen}; tokenizer.json decides", True)


def _pieces(tokenizer: Tokenizer, word: str) -> list[str]:
    tokens: list[str] = tokenizer.encode(word, add_special_tokens=False).tokens
    return tokens
