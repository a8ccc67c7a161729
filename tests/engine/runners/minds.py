"""What stands behind a test server: a toy that is deterministic and quick, or the real Gemma 3 270M."""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.runners.llama import LlamaRunner

BOS = 2
_PIECES = re.compile(r"<\w+>| ?\w+|\s+|[^\w\s]")


class Mind(Protocol):
    """What a server knows: tokens, and what comes after them."""

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return the tokens of `text`."""

    def logprobs(self, adapter: Path | None, prompt: list[int], tokens: list[int]) -> list[float]:
        """Return the log-probability of each of `tokens` after `prompt`."""

    def write(
        self, adapter: Path | None, prompt: list[int], schema: Mapping[str, Any], max_tokens: int
    ) -> tuple[str, int, bool]:
        """Return a text that fits `schema`, its tokens, and whether they ran out."""


class ToyMind:
    """Pieces of text are tokens; what follows is drawn from a hash of the tokens before."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._lock = threading.Lock()

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return a token for each word (with a blank before it), white space, sign or control token."""
        with self._lock:
            tokens = [self._ids.setdefault(piece, len(self._ids) + 10) for piece in _PIECES.findall(text)]
        return [BOS, *tokens] if special else tokens

    def logprobs(self, adapter: Path | None, prompt: list[int], tokens: list[int]) -> list[float]:
        """Return values that the adapter's weights, the prompt and the token decide."""
        return [-20 * _drawn(adapter, [*prompt, token]) for token in tokens]

    def write(
        self, adapter: Path | None, prompt: list[int], schema: Mapping[str, Any], max_tokens: int
    ) -> tuple[str, int, bool]:
        """Return the compact form of a value that fits `schema`; a token is three characters."""
        text = json.dumps(_value(schema, _drawn(adapter, prompt)), separators=(",", ":"))
        cut = text[: 3 * max_tokens]
        return cut, math.ceil(len(cut) / 3), cut != text


class GemmaMind:
    """The embedded runner's model, asked as the embedded runner asks it."""

    def __init__(self, runner: LlamaRunner) -> None:
        self._runner = runner
        self._lock = threading.Lock()

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Return the model's own tokens."""
        tokens = self._runner._tokens(text) if text else []
        return [BOS, *tokens] if special else list(tokens)

    def logprobs(self, adapter: Path | None, prompt: list[int], tokens: list[int]) -> list[float]:
        """Return the model's own log-probabilities; the same is taken from each, as any softmax may."""
        with self._lock:
            made = self._runner._read_labels(prompt, tokens, 0, self._own(adapter), lambda: False)
        assert made is not None
        return [math.log(max(made.probabilities[token], 1e-30)) - 3 for token in tokens]

    def write(
        self, adapter: Path | None, prompt: list[int], schema: Mapping[str, Any], max_tokens: int
    ) -> tuple[str, int, bool]:
        """Return the model's own greedy reply under the schema."""
        body = self._runner._body(prompt, 0, self._own(adapter)) | {
            "n_predict": max_tokens,
            "temperature": 0,
            "json_schema": schema,
        }
        with self._lock:
            made = self._runner._server.complete(body, lambda: False)
        assert made is not None
        return made.text, made.tokens, made.truncated

    def _own(self, adapter: Path | None) -> Path | None:
        """The runner's adapter with the weights of the published copy."""
        if adapter is None:
            return None
        weights = (adapter / "adapter_model.safetensors").read_bytes()
        return next(
            own
            for own in self._runner._adapters
            if (own / "adapter_model.safetensors").read_bytes() == weights
        )


def _drawn(adapter: Path | None, tokens: list[int]) -> float:
    weights = (adapter / "adapter_model.safetensors").read_bytes() if adapter else b""
    digest = hashlib.sha256(weights + repr(tokens).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _value(schema: Mapping[str, Any], drawn: float) -> Any:
    """A value that fits `schema`, of the kinds that replies and probes have."""
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return choices[int(drawn * len(choices))]
    if choices := schema.get("anyOf"):
        return _value(choices[int(drawn * len(choices))], drawn)
    if schema["type"] == "object":
        return {name: _value(part, drawn) for name, part in schema["properties"].items()}
    if schema["type"] == "null":
        return None
    assert schema["type"] == "string"
    return f"remark {drawn:.6f}"[: schema.get("maxLength", 300)]
