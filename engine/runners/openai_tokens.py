"""Text -> tokens, by the servers themselves or by their model's tokenizer.json on this machine.

A server needs about a millisecond and a connection for each text, and cutting a diff into chunks counts some
thirty texts a chunk. The file gives the same tokens in a tenth of that; `openai_greeting` compares them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.errors import ModelError, unimportable
from engine.runners.openai_api import read_tokens, tokenize_body
from engine.runners.openai_calls import Hangup
from engine.runners.openai_server import OpenAIServer

Tokenize = Callable[[str], tuple[int, ...]]
"""Text -> its tokens, without what begins a prompt; control tokens in it are read as such."""


def tokens_of(
    server: OpenAIServer, model: str, text: str, hangup: Hangup, *, special: bool = False
) -> tuple[int, ...]:
    """Return the server's tokens of `text`, with what begins every prompt where `special`."""
    return read_tokens(server.post("/tokenize", tokenize_body(model, text, special=special), hangup))


def beginning(server: OpenAIServer, model: str, hangup: Hangup) -> tuple[int, ...]:
    """Return the tokens that begin every prompt: BOS, or none where the model has no such token."""
    bare, whole = (tokens_of(server, model, "x", hangup, special=special) for special in (False, True))
    if whole[len(whole) - len(bare) :] != bare:
        raise ModelError(f"{server.url}: {model} ends its prompts with a token, which is not understood here")
    return whole[: len(whole) - len(bare)]


def tokenizer_of(path: Path) -> Tokenize:
    """Return the tokenizer in the file `path`; raises MissingExtra, or ModelError for a file that is none."""
    try:
        from tokenizers import Tokenizer
    except ImportError as missing:
        raise unimportable(missing, "tokenizers", "openai") from missing
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as failure:
        raise ModelError(f"{path} is no tokenizer that can be read: {failure}") from failure
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def tokenize(text: str) -> tuple[int, ...]:
        return tuple(tokenizer.encode(text, add_special_tokens=False).ids)

    return tokenize
