"""The shape of a Gemma 3 text model, read from its `config.json`. No torch in here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from engine.errors import ModelError

_TEXT_TYPES = ("gemma3_text", "gemma3")
_FULL_EVERY = 6  # of older configurations, which do not list their layers' types


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions of one type of layer: angle = position / factor / theta ** (2i / head_dim)."""

    theta: float
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class GemmaShape:
    """All that the forward passes need to know besides the weights."""

    vocab: int
    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    sliding: tuple[bool, ...]  # a layer each: whether it sees the last `window` tokens only
    window: int
    eps: float
    scale: float  # of attention scores
    full_rope: Rope
    sliding_rope: Rope

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.sliding)

    @property
    def q_width(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of all key heads together, which is that of the value heads."""
        return self.kv_heads * self.head_dim

    @property
    def linear_parameters(self) -> int:
        """Parameters of all projections."""
        attention = self.hidden * (2 * self.q_width + 2 * self.kv_width)
        return self.layers * (attention + 3 * self.hidden * self.ffn)

    @property
    def parameters(self) -> int:
        """Parameters of projections and embedding; the norms' few are left out."""
        return self.linear_parameters + self.vocab * self.hidden

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the shape of a `config.json`; raises ModelError for other models and unknown settings."""
        text = config.get("text_config", config)
        if text.get("model_type") not in _TEXT_TYPES:
            raise ModelError(f"model type {text.get('model_type')} is not Gemma 3")
        for refused in ("attn_logit_softcapping", "final_logit_softcapping", "attention_bias"):
            if text.get(refused):
                raise ModelError(f"{refused} = {text[refused]} is not Gemma 3 as it is known here")
        try:
            full, sliding = _ropes(text)
            return cls(
                vocab=text["vocab_size"],
                hidden=text["hidden_size"],
                ffn=text["intermediate_size"],
                heads=text["num_attention_heads"],
                kv_heads=text["num_key_value_heads"],
                head_dim=text["head_dim"],
                sliding=_sliding(text),
                window=text["sliding_window"],
                eps=text.get("rms_norm_eps", 1e-6),
                scale=text["query_pre_attn_scalar"] ** -0.5,
                full_rope=full,
                sliding_rope=sliding,
            )
        except KeyError as missing:
            raise ModelError(f"the model's config.json lacks {missing}") from missing


def read_shape(directory: Path) -> GemmaShape | None:
    """Return the shape of the model in `directory`, or None where it is no Gemma 3."""
    try:
        config = json.loads((directory / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory} is not a Hugging Face model directory: {error}") from error
    if config.get("text_config", config).get("model_type") not in _TEXT_TYPES:
        return None
    return GemmaShape.from_config(config)


def _sliding(text: Mapping[str, Any]) -> tuple[bool, ...]:
    if "layer_types" in text:
        return tuple(kind == "sliding_attention" for kind in text["layer_types"])
    every = text.get("sliding_window_pattern", _FULL_EVERY)
    return tuple((layer + 1) % every != 0 for layer in range(text["num_hidden_layers"]))


def _ropes(text: Mapping[str, Any]) -> tuple[Rope, Rope]:
    if (given := text.get("rope_parameters")) is not None:
        return _rope(given["full_attention"]), _rope(given["sliding_attention"])
    scaling = text.get("rope_scaling") or {}
    full = _rope({"rope_theta": text.get("rope_theta", 1e6), **scaling})
    return full, Rope(text.get("rope_local_base_freq", 1e4))


def _rope(given: Mapping[str, Any]) -> Rope:
    kind = given.get("rope_type", "default")
    if kind not in ("default", "linear"):
        raise ModelError(f"positions of type {kind} are not Gemma 3 as it is known here")
    return Rope(given["rope_theta"], given.get("factor", 1.0) if kind == "linear" else 1.0)
