"""A Gemma 3 small enough to train in a second: random weights, a vocabulary of bytes and a few words."""

from __future__ import annotations

from pathlib import Path

from engine.finetune.rows import Block, LabelRow, Row, TextRow

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
WORDS = (" ok", " bug", " style")


def make_tiny_gemma(directory: Path) -> Path:
    """Write a Gemma 3 with 2 layers and a vocabulary of 265 into `directory`, and return that."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=len(SPECIAL) + 256 + len(WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention"],
        max_position_embeddings=512,
        initializer_range=0.3,  # with the usual 0.02 the tied head could say nothing with certainty
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    Gemma3ForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    _write_tokenizer(directory)
    return directory


def _write_tokenizer(directory: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    ids = {token: number for number, token in enumerate(vocabulary)}
    made = Tokenizer(models.BPE(vocab=ids, merges=[], unk_token="<unk>", byte_fallback=True))
    made.add_special_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    made.add_tokens([AddedToken(word, normalized=False) for word in WORDS])
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    ).save_pretrained(directory)


def make_tiny_rows() -> list[Row]:
    """Return rows of both kinds whose answers can be learned from their texts."""
    rows: list[Row] = []
    for number in range(24):
        name = "abcdefgh"[number % 8] * (1 + number % 3)
        blocks = (Block(text=f"{name} =>", label=" bug"), Block(text=f"\n{number} =>", label=" ok"))
        rows.append(LabelRow(prompt=f"review {name}\n", blocks=blocks))
        rows.append(TextRow(prompt=f"say {name}\n", completion=f"{name}!", weight=0.5))
    return rows
