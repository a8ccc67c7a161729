"""The base model for training: a GGUF of Gemma 3 -> a Hugging Face directory in bfloat16.

transformers reads GGUF files too, but makes a Unigram tokenizer without <bos> of Gemma's BPE, so weights
and tokenizer are converted here. The result is cached by the GGUF's content.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cache import build_once, default_cache
from engine.errors import ModelError
from engine.finetune.record import ORIGIN
from engine.finetune.tokenizer import write_tokenizer
from engine.gguf_files import GgufFile, read_gguf
from engine.models import BaseModel, sha256_of
from engine.tensor_files import write_bfloat16

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_END_OF_TURN = 106
_FULL_ATTENTION_EVERY = 6
_LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def hf_base(model: BaseModel, cache: Path | None = None) -> Path:
    """Return the Hugging Face directory of `model`, converted in `cache` at the first call."""
    digest = model.sha256 or sha256_of(model.path)
    return gguf_to_hf(model.path, (cache or default_cache()) / "hf" / f"{model.name}-{digest[:12]}")


def hf_tokenizer(model: BaseModel, cache: Path | None = None) -> Path:
    """Return a directory with the tokenizer of `model` alone, made in `cache` at the first call."""
    digest = model.sha256 or sha256_of(model.path)
    target = (cache or default_cache()) / "tokenizers" / f"{model.name}-{digest[:12]}"
    return build_once(target, lambda directory: _write_tokenizer(model.path, directory))


def gguf_to_hf(gguf: Path, out: Path) -> Path:
    """Return `out`, filled with the model of `gguf` unless it is there: weights, tokenizer, chat template."""
    return build_once(out, lambda directory: _convert(gguf, directory))


def _write_tokenizer(gguf: Path, directory: Path) -> None:
    directory.mkdir()
    write_tokenizer(read_gguf(gguf).fields, directory)


def _convert(gguf: Path, directory: Path) -> None:
    model = read_gguf(gguf)
    if model.fields.get("general.architecture") != "gemma3":
        raise ModelError(
            f"{gguf} holds {model.fields.get('general.architecture')}; only gemma3 can be converted"
        )
    if "gemma3.rope.scaling.type" in model.fields:
        raise ModelError(
            f"{gguf} scales its positions, as Gemma 3 from 4B on; train those from their own weights"
        )
    directory.mkdir()
    _write_json(directory / ORIGIN, {"gguf": gguf.name, "gguf_sha256": sha256_of(gguf)})
    write_bfloat16(directory / "model.safetensors", _weights(model))
    _write_json(directory / "config.json", _config(model.fields))
    _write_json(directory / "generation_config.json", _generation_config(model.fields))
    write_tokenizer(model.fields, directory)
    if (template := _chat_template()) is not None:
        (directory / "chat_template.jinja").write_bytes(template)


def _weights(model: GgufFile) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    for tensor, values in model.values():
        # llama.cpp stores Gemma's norms with the 1 added that the model adds when it runs.
        yield _hf_name(tensor.name), values - 1 if tensor.name.endswith("norm.weight") else values


def _hf_name(name: str) -> str:
    match name.removesuffix(".weight").split("."):
        case ["token_embd"]:
            return "model.embed_tokens.weight"
        case ["output_norm"]:
            return "model.norm.weight"
        case ["blk", number, part] if part in _LAYER_PARTS:
            return f"model.layers.{number}.{_LAYER_PARTS[part]}.weight"
    raise ModelError(f"tensor {name} is not part of a Gemma 3 text model")


def _config(fields: dict[str, Any]) -> dict[str, object]:
    layers = fields["gemma3.block_count"]
    kinds = [
        "sliding_attention" if (layer + 1) % _FULL_ATTENTION_EVERY else "full_attention"
        for layer in range(layers)
    ]
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "dtype": "bfloat16",
        "transformers_version": "5.16.1",  # the first whose form this is; without it a tokenizer is suspected
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": fields["gemma3.embedding_length"],
        "intermediate_size": fields["gemma3.feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": fields["gemma3.attention.head_count"],
        "num_key_value_heads": fields["gemma3.attention.head_count_kv"],
        "head_dim": fields["gemma3.attention.key_length"],
        "query_pre_attn_scalar": fields["gemma3.attention.key_length"],
        "sliding_window": fields["gemma3.attention.sliding_window"],
        "layer_types": kinds,
        "max_position_embeddings": fields["gemma3.context_length"],
        "rms_norm_eps": round(fields["gemma3.attention.layer_norm_rms_epsilon"], 12),
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": fields["gemma3.rope.freq_base"]},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
        "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _generation_config(fields: dict[str, Any]) -> dict[str, object]:
    return {
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": [fields["tokenizer.ggml.eos_token_id"], _END_OF_TURN],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
    }


def _chat_template() -> bytes | None:
    """Gemma 3's template as TRL ships it: TRL finds its training variant only for an exactly equal text."""
    trl = find_spec("trl")
    if trl is None or trl.origin is None:
        return None
    return (Path(trl.origin).parent / "chat_templates" / "gemma3.jinja").read_bytes()


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(f"{json.dumps(value, indent=2)}\n", encoding="utf-8")
