"""A GGUF's SentencePiece vocabulary -> tokenizer.json: the same BPE, with its merges recovered.

SentencePiece joins the pair whose result scores highest; a GGUF keeps only the results. Every way to split
a token into two others becomes a merge, ordered by the token's score, and by the halves' ids where it ties.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.errors import unimportable

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
_SPACE = "\u2581"


def write_tokenizer(fields: dict[str, Any], directory: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json` for the vocabulary in a GGUF's metadata."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    special = {
        f"{role}_token": tokens[fields[f"tokenizer.ggml.{name}_token_id"]]
        for role, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
    }
    ranked = merges(tokens, fields["tokenizer.ggml.scores"], kinds)
    _tokenizer(tokens, kinds, ranked, special).save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "backend": "tokenizers",
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields["gemma3.context_length"],
        "padding_side": "left",
        **special,
    }
    (directory / "tokenizer_config.json").write_text(f"{json.dumps(config, indent=2)}\n", encoding="utf-8")


def merges(tokens: list[str], scores: list[float], kinds: list[int]) -> list[tuple[str, str]]:
    """Return the BPE merges that make `tokens`, most urgent first."""
    ids = {token: number for number, token in enumerate(tokens) if kinds[number] == _NORMAL}
    found: list[tuple[float, int, int, str, str]] = []
    for token, number in ids.items():
        for at in range(1, len(token)):
            left, right = token[:at], token[at:]
            if left in ids and right in ids:
                found.append((-scores[number], ids[left], ids[right], left, right))
    found.sort()
    return [(left, right) for *_, left, right in found]


def _tokenizer(
    tokens: list[str], kinds: list[int], ranked: list[tuple[str, str]], special: dict[str, str]
) -> Any:
    try:
        from tokenizers import (
            AddedToken,
            Tokenizer,
            decoders,
            models,
            normalizers,
            pre_tokenizers,
            processors,
        )
    except ImportError as missing:
        raise unimportable(missing, "tokenizers", "train") from missing

    ids = {token: number for number, token in enumerate(tokens)}
    unknown, bos = special["unk_token"], special["bos_token"]
    made = Tokenizer(
        models.BPE(vocab=ids, merges=ranked, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    made.normalizer = normalizers.Replace(" ", _SPACE)
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, ids[bos])]
    )
    made.add_special_tokens([AddedToken(t, normalized=False) for t in _of_kind(_CONTROL, tokens, kinds)])
    made.add_tokens([AddedToken(t, normalized=False) for t in _of_kind(_USER_DEFINED, tokens, kinds)])
    return made


def _of_kind(wanted: int, tokens: list[str], kinds: list[int]) -> Iterator[str]:
    return (token for token, kind in zip(tokens, kinds, strict=True) if kind == wanted)
