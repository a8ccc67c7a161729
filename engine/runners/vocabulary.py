"""The model's own tokenizer in this process: the vocabulary of a GGUF, handed to SentencePiece.

llama.cpp tokenizes too, but over HTTP, at half a millisecond a line. The tokens are the same: both take
control tokens, line ends and runs of blanks out of a text first, and join the rest pair by pair. A text with
a `▁` is left to llama.cpp: it is SentencePiece's sign for a blank, and so the two cannot be told apart.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine.cache import build_once
from engine.errors import ModelError, unimportable
from engine.gguf_files import read_gguf
from engine.models import BaseModel

Tokenize = Callable[[str], list[int]]
"""Text -> its tokens without BOS; control tokens in the text are read as such."""

_BLANK = "\u2581"
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # the same in GGUF and in SentencePiece
_KINDS = {
    _NORMAL: _NORMAL,
    _BYTE: _BYTE,
    **dict.fromkeys((_UNKNOWN, _CONTROL, _USER_DEFINED), _USER_DEFINED),
}
_NO_TOKEN = "\x01unknown"  # SentencePiece wants one; with a token for every byte it is never used
_PROBE = "<start_of_turn>user\n  1+\tif x  !=  'é点検🙂':\n\n   -return</h1> \r\n<end_of_turn>"


def tokenizer_of(model: BaseModel, cache: Path, reference: Tokenize) -> Tokenize:
    """Return the fast tokenizer of `model`, or `reference` where there is none that agrees with it."""
    try:
        ours = _loaded(_built(model, cache))
    except ModelError:  # it is only faster, and a cache that cannot be written need not be an error
        return reference
    if ours is None:
        return reference

    def tokenize(text: str) -> list[int]:
        return reference(text) if _BLANK in text or not _is_encodable(text) else ours(text)

    return tokenize if tokenize(_PROBE) == reference(_PROBE) else reference


def sentencepiece_model(fields: dict[str, Any]) -> bytes:
    """Return the vocabulary in a GGUF's metadata as a SentencePiece model; empty for another kind."""
    kinds = fields.get("tokenizer.ggml.token_type", [])
    if (
        not str(fields.get("general.architecture")).startswith("gemma")  # others are not tried out
        or fields.get("tokenizer.ggml.model") != "llama"
        or fields.get("tokenizer.ggml.add_space_prefix") is not False
        or not set(kinds) <= _KINDS.keys()
    ):
        return b""
    tokens, scores = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.scores"]
    pieces = (_piece(*entry) for entry in zip(tokens, scores, map(_KINDS.__getitem__, kinds), strict=True))
    return b"".join((*pieces, _piece(_NO_TOKEN, 0.0, _UNKNOWN), *_specifications()))


def _built(model: BaseModel, cache: Path) -> Path:
    """Return the file with the vocabulary of `model`, made at the first call; empty where it has none."""
    status = model.path.stat()
    content = model.sha256[:16] if model.sha256 else f"{status.st_size:x}-{status.st_mtime_ns:x}"

    def write(made: Path) -> None:
        made.write_bytes(sentencepiece_model(read_gguf(model.path).fields))

    return build_once(cache / "tokenizers" / f"{model.name}-{content}.model", write)


@lru_cache(maxsize=2)  # 40 MiB each, and the same for every adapter
def _loaded(file: Path) -> Tokenize | None:
    if not file.stat().st_size:
        return None
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as missing:
        raise unimportable(missing, "sentencepiece", "cpu") from missing
    try:
        encode: Tokenize = SentencePieceProcessor(model_file=str(file)).encode
    except RuntimeError:  # a vocabulary that SentencePiece does not accept
        return None
    return encode


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _piece(token: str, score: float, kind: int) -> bytes:
    text = token.replace(" ", _BLANK) if kind == _USER_DEFINED else token
    score_bytes = struct.pack("<Bf", 2 << 3 | 5, score)
    return _message(1, _message(1, text.encode()) + score_bytes + _number(3, kind))


def _specifications() -> Iterator[bytes]:
    """Byte pairs, with bytes for what is no token; no normalisation, and no blank put in front."""
    yield _message(2, _number(3, 2) + _number(35, 1))
    yield _message(3, _message(1, b"identity") + _number(3, 0) + _number(4, 0) + _number(5, 1))


# As much of protobuf as it takes; the numbers are those of
# https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))
