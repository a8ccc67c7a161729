"""A model's size out of its configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import ModelError
from engine.finetune.sizes import ModelSize, read_size

CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}


def test_parameters_are_those_of_the_projections(tmp_path: Path) -> None:
    """Counted by hand for a small model; a multimodal model's text part is what counts."""
    for config in (CONFIG, {"text_config": CONFIG}):
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        size = read_size(tmp_path)
        assert size == ModelSize(layers=2, hidden=8, ffn=16, query=8, key=4, vocabulary=100)
    assert size.linear == 2 * (8 * 8 + 2 * 8 * 4 + 8 * 8 + 3 * 8 * 16)
    assert size.embedding == 800
    assert size.adapter(4) == 2 * 4 * ((8 + 8) + 2 * (8 + 4) + (8 + 8) + 3 * (8 + 16))


def test_operations_of_a_step() -> None:
    """Twice two for each frozen weight and token; attention sees what the window lets it."""
    size = ModelSize(layers=1, hidden=8, ffn=16, query=8, key=4, vocabulary=100)
    plain = size.operations(tokens=64, labelled=0, length=64)
    assert plain == 4 * size.linear * 64 + 3.5 * 4 * 8 * (64 * 65 / 2)
    assert size.operations(64, 10, 64) == plain + 4 * size.embedding * 10
    assert size.operations(64, 0, 64, window=16) < plain
    assert size.operations(64, 0, 64, window=64) == plain


@pytest.mark.parametrize(
    ("text", "said"),
    [("{}", "lacks 'num_attention_heads'"), ("[]", "holds no object"), ("no", "cannot be read")],
)
def test_configuration_that_says_too_little(tmp_path: Path, text: str, said: str) -> None:
    """The error names what is missing."""
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=said):
        read_size(tmp_path)


def test_directory_without_configuration(tmp_path: Path) -> None:
    """The error names the directory."""
    with pytest.raises(ModelError, match=f"{tmp_path} is no model directory"):
        read_size(tmp_path)
