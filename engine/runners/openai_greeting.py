"""What a server has to show before it gets work: its model, that schemas bind it, that the adapter acts.

Each of these can be wrong without any error later on: a server that ignores a field answers 200 with text
that is bound by nothing, and an adapter whose tensors match no module is loaded and does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.diffs import Chunk, DiffLine, LineKind
from engine.errors import AdapterError, ModelError, RunnerError
from engine.prompts import review_prompt, score_blocks
from engine.runners.openai_adapters import ServedAdapter, load, unload
from engine.runners.openai_api import (
    read_models,
    read_reply,
    read_scores,
    score_body,
    write_body,
)
from engine.runners.openai_calls import Hangup
from engine.runners.openai_server import OpenAIServer, Refused
from engine.runners.openai_tokens import Tokenize, beginning, tokens_of
from engine.sanitize import one_line

_WORDS = (" fix", " bug", " test", " docs")
_TEXTS = (" maintain", "if (a\t!= b) {  // 変更 😀 é\n\n}", "<bos><end_of_turn>\n<|im_end|>")
_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"checked": {"const": 7}, "by": {"const": "tenken"}},
    "required": ["checked", "by"],
    "additionalProperties": False,
}
_WRITTEN = '{"checked":7,"by":"tenken"}'
_FLAGS = """--structured-outputs-config '{"backend":"guidance","disable_any_whitespace":true}'"""
_LEAST_EFFECT = 0.01  # of log-probabilities; one step of a bfloat16 logit is some times more


@dataclass(frozen=True, slots=True)
class Expected:
    """What a server has to have."""

    model: str
    context: int
    adapters: tuple[ServedAdapter, ...] = ()
    tokenize: Tokenize | None = None  # what has to give the tokens that the server gives


def greet(server: OpenAIServer, expected: Expected, hangup: Hangup) -> list[ServedAdapter]:
    """Look at a server, and return the adapters that it had to load for it.

    Raises ModelError or AdapterError saying what is wrong.
    """
    server.get("/health", hangup)
    try:
        _check_model(server, expected, hangup)
        if expected.tokenize is not None:
            _check_tokenizer(server, expected.model, expected.tokenize, hangup)
        _check_grammar(server, expected.model, hangup)
        loaded = [adapter for adapter in expected.adapters if load(server, adapter, hangup)]
        try:
            for adapter in expected.adapters:
                _prove_effect(server, expected.model, adapter, hangup)
        except AdapterError:
            for adapter in loaded:
                unload(server, adapter, hangup)
            raise
        return loaded
    except Refused as refusal:
        raise ModelError(f"{server.url} refuses what it is asked to show: {refusal}") from refusal
    except RunnerError as failure:
        raise ModelError(f"{server.url}: {failure}") from failure


def _check_model(server: OpenAIServer, expected: Expected, hangup: Hangup) -> None:
    models = read_models(server.get("/v1/models", hangup))
    served = models.get(expected.model)
    if served is None:
        names = one_line(", ".join(name for name, model in models.items() if model.max_model_len))[:300]
        raise ModelError(
            f"{server.url} serves {names or 'nothing'}, not {expected.model} (ENGINE_OPENAI_MODEL)"
        )
    if served.max_model_len is not None and served.max_model_len < expected.context:
        raise ModelError(
            f"{server.url} reads {served.max_model_len} tokens at once, and ENGINE_CONTEXT is "
            f"{expected.context}: lower that, or raise --max-model-len there"
        )


def _check_tokenizer(server: OpenAIServer, model: str, tokenize: Tokenize, hangup: Hangup) -> None:
    for text in (*_TEXTS, review_prompt(_CHUNK), *score_blocks(_CHUNK)):
        theirs, ours = tokens_of(server, model, text, hangup), tokenize(text)
        if theirs != ours:
            raise ModelError(
                f"ENGINE_OPENAI_TOKENIZER is not the tokenizer of {model} at {server.url}: "
                f"of {text!r} it makes {list(ours)}, the server {list(theirs)}"
            )


def _check_grammar(server: OpenAIServer, model: str, hangup: Hangup) -> None:
    prompt = beginning(server, model, hangup) + tokens_of(server, model, "JSON:", hangup)
    reply = read_reply(server.post("/v1/completions", write_body(model, prompt, _SCHEMA, 32), hangup))
    if reply.text != _WRITTEN:
        raise ModelError(
            f"{server.url} does not keep to a JSON schema (it wrote {reply.text[:60]!r}): "
            f"start vLLM with {_FLAGS}"
        )


def _prove_effect(server: OpenAIServer, model: str, adapter: ServedAdapter, hangup: Hangup) -> None:
    """Raise AdapterError where the adapter changes no more than asking twice does."""
    words = list(dict.fromkeys(tokens_of(server, model, word, hangup)[0] for word in _WORDS))
    start = beginning(server, model, hangup)
    prefixes, prefix = [], start + tokens_of(server, model, review_prompt(_CHUNK), hangup)
    for block in score_blocks(_CHUNK):
        prefix += tokens_of(server, model, block, hangup)
        prefixes.append(prefix)
    base, again, adapted = (
        _logs(server, name, prefixes, words, hangup) for name in (model, model, adapter.name)
    )
    noise, effect = _furthest(base, again), _furthest(base, adapted)
    if effect <= _LEAST_EFFECT + 2 * noise:
        raise AdapterError(
            f"{adapter.source} has no effect on {model} at {server.url}: made for another base model? "
            f"(log-probabilities move by {effect:.4f}, without it by {noise:.4f})"
        )


def _logs(
    server: OpenAIServer, name: str, prefixes: Sequence[Sequence[int]], words: Sequence[int], hangup: Hangup
) -> list[float]:
    rows = read_scores(
        server.post("/v1/completions", score_body(name, prefixes, words), hangup), len(prefixes), words
    )
    return [math.log(max(probability, 1e-30)) for row in rows for probability in row]


def _furthest(first: Sequence[float], second: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


_CHUNK = Chunk(
    "total.py",
    "python",
    tuple(
        DiffLine(LineKind.ADDED, text, None, number)
        for number, text in enumerate(
            ("def total(rows=[]):", "    return eval(rows[0])", "    # done"), start=1
        )
    ),
)
