"""How large a model is, read from its `config.json`: parameters, arithmetic of a training step. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.errors import ModelError


@dataclass(frozen=True, slots=True)
class ModelSize:
    """The widths of a decoder of Gemma's or Llama's kind; norms and biases are left out."""

    layers: int
    hidden: int
    ffn: int
    query: int  # width of all query heads together
    key: int  # width of all key heads together, which is that of the value heads
    vocabulary: int

    @property
    def linear(self) -> int:
        """Parameters of all projections."""
        attention = self.hidden * (2 * self.query + 2 * self.key)
        return self.layers * (attention + 3 * self.hidden * self.ffn)

    @property
    def embedding(self) -> int:
        """Parameters of the embedding, which is the head as well."""
        return self.vocabulary * self.hidden

    @property
    def width(self) -> int:
        """Values that a layer computes of each token: states, queries, keys, values, the gate's width."""
        return self.hidden + self.ffn + self.query + 2 * self.key

    def adapter(self, rank: int) -> int:
        """Return the parameters of a LoRA adapter of `rank` on all seven projections."""
        ends = self.hidden + self.query + 2 * (self.hidden + self.key) + self.query + self.hidden
        return self.layers * rank * (ends + 3 * (self.hidden + self.ffn))

    def operations(self, tokens: int, labelled: int, length: int, window: int | None = None) -> float:
        """Return the floating point operations of a LoRA step on `tokens` in rows of `length`.

        Forward and the gradients of inputs; frozen weights need none of their own. `labelled` positions
        are projected onto the vocabulary. `window` bounds what most layers attend to.
        """
        seen = length if window is None else min(length, window)
        attended = seen * (seen + 1) / 2 + (length - seen) * seen  # pairs of positions in a row
        attention = 4 * self.layers * self.query * attended * tokens / length
        return 4.0 * self.linear * tokens + 4.0 * self.embedding * labelled + 3.5 * attention

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the size of a `config.json`; raises ModelError naming what it lacks."""
        text = config.get("text_config", config)
        try:
            heads, hidden = text["num_attention_heads"], text["hidden_size"]
            head = text.get("head_dim") or hidden // heads
            return cls(
                layers=text["num_hidden_layers"],
                hidden=hidden,
                ffn=text["intermediate_size"],
                query=heads * head,
                key=text.get("num_key_value_heads", heads) * head,
                vocabulary=text["vocab_size"],
            )
        except KeyError as missing:
            raise ModelError(f"the model's config.json lacks {missing}") from missing


def read_size(base: Path) -> ModelSize:
    """Return the size of the model in `base`, a Hugging Face directory; raises ModelError."""
    try:
        config = json.loads((base / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{base} is no model directory: config.json cannot be read") from error
    if not isinstance(config, dict):
        raise ModelError(f"{base} is no model directory: config.json holds no object")
    return ModelSize.from_config(config)
