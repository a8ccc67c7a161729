"""What a server has to show before it gets work: its model, that schemas bind it, what the adapter does.

Each of these can be wrong without any error later on: a server that ignores a field answers 200 with text
that is bound by nothing, and an adapter whose tensors match no module is loaded and does nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain

from engine.diffs import Chunk, DiffLine, LineKind
from engine.errors import AdapterError, ModelError, RunnerError
from engine.probes import PROBE, Rows, prove_effect
from engine.prompts import LABELS, review_prompt, score_blocks
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
    """Raise AdapterError where the adapter does not do what it did when it was made.

    Whatever was recorded, it has to change more than asking twice does.
    """
    labels = _label_ids(server, model, adapter, hangup)
    prefixes, prefix = [], beginning(server, model, hangup) + tokens_of(server, model, PROBE.prompt, hangup)
    for block in PROBE.blocks:
        prefix += tokens_of(server, model, block, hangup)
        prefixes.append(prefix)
    base, again, adapted = (
        read_scores(
            server.post("/v1/completions", score_body(name, prefixes, labels), hangup), len(prefixes), labels
        )
        for name in (model, model, adapter.name)
    )
    noise, effect = _furthest(base, again), _furthest(base, adapted)
    if effect <= _LEAST_EFFECT + 2 * noise:
        raise AdapterError(
            f"{adapter.source} has no effect on {model} at {server.url}: made for another base model? "
            f"(log-probabilities move by {effect:.4f}, without it by {noise:.4f})"
        )
    if adapter.probe is not None:
        prove_effect(f"{adapter.source} at {server.url}", base, adapted, adapter.probe)


def _label_ids(server: OpenAIServer, model: str, adapter: ServedAdapter, hangup: Hangup) -> list[int]:
    """Return the first token of each label, which is all of it where there is something to compare with."""
    ids = [tokens_of(server, model, label, hangup) for label in LABELS]
    split = [label for label, tokens in zip(LABELS, ids, strict=True) if len(tokens) != 1]
    if split and adapter.probe is not None:
        raise AdapterError(
            f"{adapter.source} is made for another base: {split} are not single tokens of {model}"
        )
    return list(dict.fromkeys(tokens[0] for tokens in ids))


def _furthest(first: Rows, second: Rows) -> float:
    """Return the largest difference of two log-probabilities, in nats."""
    pairs = zip(chain(*first), chain(*second), strict=True)
    return max(abs(math.log(max(a, 1e-30)) - math.log(max(b, 1e-30))) for a, b in pairs)


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
