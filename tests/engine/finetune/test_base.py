"""A GGUF becomes a Hugging Face directory with the same weights and the same tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

from engine.errors import ModelError  # noqa: E402 - after the skips
from engine.finetune.base import gguf_to_hf, hf_base  # noqa: E402
from engine.finetune.tokenizer import merges  # noqa: E402
from engine.tensor_files import read_safetensors  # noqa: E402

CONTROL, NORMAL, USER_DEFINED = 3, 1, 4
VOCABULARY = [
    *(("<pad>", 0.0, CONTROL), ("<eos>", 0.0, CONTROL), ("<bos>", 0.0, CONTROL), ("<unk>", 0.0, CONTROL)),
    *(("\n\n", 0.0, USER_DEFINED), ("▁ab", -1.0, NORMAL), ("ab", -0.0, NORMAL), ("▁", -3.0, NORMAL)),
    *(("a", -4.0, NORMAL), ("b", -5.0, NORMAL), ("\n", -6.0, NORMAL)),
]


def _write(path: Path, architecture: str = "gemma3") -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    for name, value in {
        "block_count": 6,
        "embedding_length": 8,
        "feed_forward_length": 16,
        "attention.head_count": 2,
        "attention.head_count_kv": 1,
        "attention.key_length": 4,
        "attention.sliding_window": 32,
        "context_length": 128,
    }.items():
        writer.add_uint32(f"gemma3.{name}", value)
    writer.add_float32("gemma3.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_float32("gemma3.rope.freq_base", 1e6)
    tokens, scores, kinds = zip(*VOCABULARY, strict=True)
    writer.add_token_list(list(tokens))
    writer.add_token_scores(list(scores))
    writer.add_token_types(list(kinds))
    for name, number in {"padding": 0, "eos": 1, "bos": 2, "unknown": 3}.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
    writer.add_tensor("token_embd.weight", np.full((len(tokens), 8), 0.5, np.float32))
    writer.add_tensor("output_norm.weight", np.full(8, 1.25, np.float32))
    writer.add_tensor("blk.5.ffn_down.weight", np.full((8, 16), -2, np.float32))
    writer.add_tensor("blk.5.post_ffw_norm.weight", np.full(8, 3, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, converted."""
    folder = tmp_path_factory.mktemp("tiny")
    return gguf_to_hf(_write(folder / "tiny.gguf"), folder / "hf")


def test_weights(converted: Path) -> None:
    """Tensors get their Hugging Face names; norms lose the 1 that llama.cpp adds."""
    tensors = read_safetensors(converted / "model.safetensors")
    means = {name: float(values.mean()) for name, values in tensors.items()}
    assert means == {
        "model.embed_tokens.weight": 0.5,
        "model.norm.weight": 0.25,
        "model.layers.5.mlp.down_proj.weight": -2,
        "model.layers.5.post_feedforward_layernorm.weight": 2,
    }


def test_config(converted: Path) -> None:
    """Every sixth layer attends to everything; generation also ends at the end of a turn."""
    config = json.loads((converted / "config.json").read_text())
    assert config["layer_types"] == ["sliding_attention"] * 5 + ["full_attention"]
    assert (config["hidden_size"], config["vocab_size"], config["rms_norm_eps"]) == (8, len(VOCABULARY), 1e-6)
    assert json.loads((converted / "generation_config.json").read_text())["eos_token_id"] == [1, 106]


def test_tokenizer(converted: Path) -> None:
    """The best-scored merge wins, BOS comes first, and runs the model knows whole stay whole."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(converted / "tokenizer.json"))
    assert tokenizer.encode("ab ab\n\nb").tokens == ["<bos>", "ab", "▁ab", "\n\n", "b"]
    assert tokenizer.decode(tokenizer.encode("ab ab\n\nb").ids) == "ab ab\n\nb"


def test_merges_are_ordered_by_score_then_halves() -> None:
    """A token's splits rank by its score; where they tie, by the ids of their halves."""
    tokens, scores, kinds = ["abc", "ab", "bc", "a", "b", "c", "<x>"], [-9, -1, -2, 0, 0, 0, 0], [1] * 6 + [3]
    assert merges(tokens, [float(score) for score in scores], kinds) == [
        ("a", "b"),
        ("b", "c"),
        ("ab", "c"),
        ("a", "bc"),
    ]


def test_other_architectures_are_refused(tmp_path: Path) -> None:
    """What is not Gemma 3 is named, and nothing is left behind."""
    with pytest.raises(ModelError, match="llama; only gemma3"):
        gguf_to_hf(_write(tmp_path / "other.gguf", "llama"), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


TEXTS = [
    "def f(x):\n    return x[1:]\n\n\n\nclass A:\n\tpass\n",
    "日本語のレビュー、変更点を確認。한국어 😀👨‍👩‍👧 é ñ",
    "@@ -1,2 +1,3 @@\n-a\n+b  \n  c <div><table>\0\r\n" + "\n" * 40,
    "  lead and trail   ",
    "<start_of_turn>user\nx<end_of_turn>\n",
]


@pytest.mark.model
@pytest.mark.train
def test_real_model_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gemma's tokens are llama.cpp's, decoding gives the text back, and its greedy text is sane."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("xllamacpp")
    transformers = pytest.importorskip("transformers")
    from engine.models import base_model
    from engine.runners.llama_server import LlamaServer, ServerOptions

    model = base_model()
    directory = hf_base(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    server = LlamaServer(ServerOptions(model.path, (), threads=1, context=256, slots=1))
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert ids == server.tokenize(text)
        assert tokenizer.decode(ids) == text
    server.close()
    network = transformers.AutoModelForCausalLM.from_pretrained(directory)
    prompt = tokenizer("def fibonacci(n):\n", return_tensors="pt")
    text = tokenizer.decode(network.generate(**prompt, max_new_tokens=24, do_sample=False)[0])
    assert "if n == 0:\n        return 0" in text
