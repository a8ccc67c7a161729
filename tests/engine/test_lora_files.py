"""PEFT adapters become LoRA in GGUF, and what cannot be carried over is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("gguf")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

from engine.errors import AdapterError  # noqa: E402 - after the skips
from engine.gguf_files import read_gguf  # noqa: E402
from engine.lora_files import cached_lora, lora_to_gguf  # noqa: E402
from engine.tensor_files import read_safetensors, write_bfloat16  # noqa: E402
from engine.testing import lora_config, write_random_adapter  # noqa: E402

PREFIX = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """An adapter of one projection."""
    random = np.random.default_rng(1)
    return _adapter(
        tmp_path / "adapter",
        {
            f"{PREFIX}.lora_A.weight": random.normal(size=(4, 64)),
            f"{PREFIX}.lora_B.weight": random.normal(size=(32, 4)),
        },
    )


def _adapter(path: Path, tensors: dict[str, object], **settings: object) -> Path:
    path.mkdir()
    values = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    safetensors_numpy.save_file(values, path / "adapter_model.safetensors")
    _configure(path, **settings)
    return path


def _configure(path: Path, **settings: object) -> None:
    (path / "adapter_config.json").write_text(json.dumps(lora_config(4) | settings))


def test_every_projection_is_renamed(tmp_path: Path) -> None:
    """A whole adapter comes out with llama.cpp's names and unchanged values."""
    source = write_random_adapter(tmp_path / "adapter", rank=2)
    lora_to_gguf(source, tmp_path / "out.gguf")
    made = read_gguf(tmp_path / "out.gguf")
    found = {tensor.name: values for tensor, values in made.values()}
    assert len(found) == 18 * 7 * 2
    assert made.fields["adapter.type"] == "lora"
    assert made.fields["general.architecture"] == "gemma3"
    given = read_safetensors(source / "adapter_model.safetensors")
    assert np.array_equal(
        found["blk.17.ffn_down.weight.lora_b"],
        given["base_model.model.model.layers.17.mlp.down_proj.lora_B.weight"],
    )


@pytest.mark.parametrize(("rslora", "expected"), [(False, 8.0), (True, 16.0)])
def test_scale(adapter: Path, tmp_path: Path, rslora: bool, expected: float) -> None:
    """alpha is written so that llama.cpp's division by the rank gives PEFT's scale."""
    _configure(adapter, use_rslora=rslora)
    lora_to_gguf(adapter, tmp_path / "out.gguf")
    assert read_gguf(tmp_path / "out.gguf").fields["adapter.lora.alpha"] == expected


def test_bfloat16(adapter: Path, tmp_path: Path) -> None:
    """Weights in bfloat16 are read without torch."""
    weights = adapter / "adapter_model.safetensors"
    given = read_safetensors(weights)
    write_bfloat16(weights, given.items())
    lora_to_gguf(adapter, tmp_path / "out.gguf")
    found = {tensor.name: values for tensor, values in read_gguf(tmp_path / "out.gguf").values()}
    assert np.allclose(found["blk.0.attn_q.weight.lora_a"], given[f"{PREFIX}.lora_A.weight"], rtol=0.01)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"peft_type": "LOHA"}, "LOHA"),
        ({"use_dora": True}, "DoRA"),
        ({"rank_pattern": {"q_proj": 4}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 4}}, "alpha_pattern"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"trainable_token_indices": [5]}, "trained tokens"),
        ({"r": "four"}, "no LoRA configuration"),
    ],
)
def test_what_cannot_be_carried_over(
    adapter: Path, tmp_path: Path, settings: dict[str, object], reason: str
) -> None:
    """A setting that LoRA in GGUF has no place for is refused by name."""
    _configure(adapter, **settings)
    with pytest.raises(AdapterError, match=reason):
        lora_to_gguf(adapter, tmp_path / "out.gguf")


A, B = np.ones((4, 64)), np.ones((32, 4))


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({f"{PREFIX}.lora_A.weight": A}, "without"),
        ({f"{PREFIX}.lora_A.weight": A[:3], f"{PREFIX}.lora_B.weight": B}, "not of rank 4"),
        ({f"{PREFIX}.lora_A.weight": A, f"{PREFIX}.lora_B.weight": B.T}, "not of rank 4"),
        ({f"{PREFIX}.lora_A.weight": A, f"{PREFIX}.lora_B.weight": B * 0}, "no effect"),
        ({f"{PREFIX}.lora_A.weight": A, f"{PREFIX}.lora_B.weight": B * np.nan}, "not finite"),
        ({"base_model.model.lm_head.lora_A.weight": A}, r"lm_head.*q_proj"),
        ({"base_model.model.model.layers.0.mlp.router.lora_A.weight": A}, "router"),
        ({}, "no effect"),
    ],
    ids=["half", "rank A", "rank B", "zero", "nan", "head", "unknown", "empty"],
)
def test_tensors_that_do_not_fit(tmp_path: Path, tensors: dict[str, object], reason: str) -> None:
    """Tensors that are no whole LoRA on known projections are refused."""
    adapter = _adapter(tmp_path / "adapter", tensors)
    with pytest.raises(AdapterError, match=reason):
        lora_to_gguf(adapter, tmp_path / "out.gguf")


def test_pickled_weights_are_not_read(adapter: Path, tmp_path: Path) -> None:
    """Without safetensors there is no adapter, whatever else lies in the directory."""
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(AdapterError, match=r"adapter_model\.safetensors"):
        lora_to_gguf(adapter, tmp_path / "out.gguf")


def test_cached_by_content(adapter: Path, tmp_path: Path) -> None:
    """The same content is converted once; another scale is another file."""
    first = cached_lora(adapter, tmp_path / "cache")
    made = first.stat().st_mtime_ns
    assert cached_lora(adapter, tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == made
    _configure(adapter, lora_alpha=3)
    assert cached_lora(adapter, tmp_path / "cache") != first
