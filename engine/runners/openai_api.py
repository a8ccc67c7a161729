"""What is said to a server and what it answers, as values: request bodies, and readers of answers. Pure.

Scores. vLLM can read chosen tokens of the next token's distribution (`logprob_token_ids`), so the label
probabilities are exact, whatever the model would say itself and whatever `--logprobs-mode` and
`--max-logprobs` are: the labels' log-probabilities and their logits have the same softmax over the labels.
All prefixes of a chunk go in one request, shortest first. The server's prefix cache has all of a prefix but
its newest block, also within one step of its scheduler, so together they cost about one pass over the text:
at most one cache block (16 tokens) a line more, and a row of the head a line. Reading every position in one
pass (`prompt_logprobs`) costs a row of the head for each token, leaves the prefix cache unread, returns the
most probable tokens rather than chosen ones, or needs the routes of `--enable-scale-out`.

Replies. `structured_outputs` is the field since vLLM 0.12; `guided_json` before it is ignored now without a
word, which is why a server is tried out before it gets work.
https://docs.vllm.ai/en/stable/features/structured_outputs/
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import RunnerError
from engine.runners import Reply

_FINISHED = {"stop", "length"}
# The model's generation_config would otherwise add its own; nothing else changes a greedy choice.
_GREEDY = {"temperature": 0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
_GUIDANCE = {"x-guidance": {"whitespace_flexible": False}}


class _Read(BaseModel):
    """What is read of an answer; the rest is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


_Kind = TypeVar("_Kind", bound=_Read)


class _Logprobs(_Read):
    top_logprobs: tuple[dict[str, float] | None, ...] = Field(min_length=1)


class _Choice(_Read):
    index: int
    text: str
    finish_reason: str | None
    logprobs: _Logprobs | None = None


class _PromptDetails(_Read):
    cached_tokens: int | None = None


class _Usage(_Read):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None


class _Completion(_Read):
    choices: tuple[_Choice, ...]
    usage: _Usage


class Model(_Read):
    """A model or an adapter that a server has."""

    id: str
    root: str | None = None
    max_model_len: int | None = None


class _Models(_Read):
    data: tuple[Model, ...]


class _Tokens(_Read):
    tokens: tuple[int, ...]


def score_body(model: str, prefixes: Sequence[Sequence[int]], labels: Sequence[int]) -> dict[str, Any]:
    """Return the request for the distribution over `labels` after each of `prefixes`."""
    return {
        "model": model,
        "prompt": [list(prefix) for prefix in prefixes],
        "max_tokens": 1,
        **_GREEDY,
        "logprobs": len(labels),
        "logprob_token_ids": list(labels),
        "return_tokens_as_token_ids": True,
    }


def read_scores(answer: Any, count: int, labels: Sequence[int]) -> tuple[tuple[float, ...], ...]:
    """Return a row of probabilities over `labels` for each of `count` prefixes; raises RunnerError."""
    choices = sorted(_read(_Completion, answer).choices, key=lambda choice: choice.index)
    if [choice.index for choice in choices] != list(range(count)):
        raise RunnerError(f"{len(choices)} answers to {count} prompts")
    return tuple(_row(choice, labels) for choice in choices)


def write_body(model: str, prompt: Sequence[int], schema: dict[str, Any], max_tokens: int) -> dict[str, Any]:
    """Return the request for text after `prompt` that fits `schema`."""
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": max_tokens,
        **_GREEDY,
        "structured_outputs": {"json": _GUIDANCE | schema},
    }


def read_reply(answer: Any) -> Reply:
    """Return the text of the one answer; raises RunnerError."""
    completion = _read(_Completion, answer)
    if len(completion.choices) != 1:
        raise RunnerError(f"{len(completion.choices)} answers to one prompt")
    [choice], usage = completion.choices, completion.usage
    if choice.finish_reason not in _FINISHED:
        raise RunnerError(f"the reply ended with {choice.finish_reason!r}")
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Reply(
        choice.text,
        truncated=choice.finish_reason == "length",
        tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=cached or 0,
    )


def tokenize_body(model: str, text: str, *, special: bool = False) -> dict[str, Any]:
    """Return the request for the tokens of `text`, with what begins every prompt where `special`."""
    return {"model": model, "prompt": text, "add_special_tokens": special}


def read_tokens(answer: Any) -> tuple[int, ...]:
    """Return the tokens; raises RunnerError."""
    return _read(_Tokens, answer).tokens


def read_models(answer: Any) -> Mapping[str, Model]:
    """Return the models and adapters of a server by name; raises RunnerError."""
    return {model.id: model for model in _read(_Models, answer).data}


def _row(choice: _Choice, labels: Sequence[int]) -> tuple[float, ...]:
    found = choice.logprobs.top_logprobs[0] if choice.logprobs else None
    if found is None:
        raise RunnerError("an answer without logprobs; is the server vLLM 0.32 or later?")
    missing = [label for label in labels if f"token_id:{label}" not in found]
    if missing:
        raise RunnerError(f"no log-probability for the tokens {missing}; is the server vLLM 0.32 or later?")
    logs = [found[f"token_id:{label}"] for label in labels]
    if not all(map(math.isfinite, logs)):
        raise RunnerError(f"log-probabilities that are not finite: {logs}")
    highest = max(logs)
    weights = [math.exp(log - highest) for log in logs]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def _read(kind: type[_Kind], answer: Any) -> _Kind:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise RunnerError(f"an answer that cannot be read: {where}: {first['msg']}") from error
