"""The engine's fakes: a runner without a model that keeps the real ones' contract; random adapters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event

from engine.asking import answer_schema
from engine.runners import Cancellation, Reply, ScoreRequest, Scores, WriteRequest

CANNED_REPLY = '{"severity":"minor","message":"A canned remark."}'

LineScorer = Callable[[str], Mapping[str, float]]
"""Block text -> probability by label; what is left of 1 goes to the first label."""

Scribe = Callable[[WriteRequest], str | Reply]
"""Write request -> its reply."""

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_POLL_SECONDS = 0.01
_LAYERS = 18
_PROJECTIONS = {  # of Gemma 3 270M, with their input and output sizes
    "self_attn.q_proj": (640, 1024),
    "self_attn.k_proj": (640, 256),
    "self_attn.v_proj": (640, 256),
    "self_attn.o_proj": (1024, 640),
    "mlp.gate_proj": (640, 2048),
    "mlp.up_proj": (640, 2048),
    "mlp.down_proj": (2048, 640),
}


def by_keyword(keywords: Mapping[str, tuple[str, float]]) -> LineScorer:
    """Return a scorer that gives a line with a keyword its (label, probability), and any other line none."""

    def score(block: str) -> Mapping[str, float]:
        return next((dict([answer]) for keyword, answer in keywords.items() if keyword in block), {})

    return score


def is_question(request: WriteRequest) -> bool:
    """Tell whether the request is a person's question, not a line to write about."""
    return request.schema == answer_schema()


class FakeRunner:
    """Scores lines by a function and answers from a script, at once and without a model.

    `score_line` maps a block to probabilities by label (see `by_keyword`). `replies` is one text for every
    request, a sequence that is used up in order, or a function of the request. While `hold` is given and
    not set, each request waits for it or for the cancellation: `started` tells a test that it waits.
    """

    base_model = "fake-base"

    def __init__(
        self,
        score_line: LineScorer | None = None,
        replies: str | Sequence[str | Reply] | Scribe = CANNED_REPLY,
        *,
        adapter: str = "",
        hold: Event | None = None,
        error: Exception | None = None,
    ) -> None:
        self.adapter = adapter
        self.scored: list[ScoreRequest] = []
        self.written: list[WriteRequest] = []
        self.started = Event()
        self.closed = False
        self._score_line = score_line or (lambda block: {})
        self._scribe = _scribe(replies)
        self._hold = hold
        self._error = error

    def count_tokens(self, text: str) -> int:
        """Return the number of words, runs of white space and signs in `text`."""
        return len(_TOKEN.findall(text))

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield the scripted probabilities of each request, in order."""
        for index, request in enumerate(requests):
            if not self._proceeds(cancellation):
                return
            self.scored.append(request)
            rows = tuple(_distribution(self._score_line(block), labels) for block in request.blocks)
            tokens = self.count_tokens(request.prompt + "".join(request.blocks))
            on_tokens(tokens)
            yield index, Scores(rows, prompt_tokens=tokens)

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield the scripted reply to each request, in order."""
        for index, request in enumerate(requests):
            if not self._proceeds(cancellation):
                return
            self.written.append(request)
            yield index, self._reply(request)

    def close(self) -> None:
        """Note that the runner was closed."""
        self.closed = True

    def _reply(self, request: WriteRequest) -> Reply:
        answer = self._scribe(request)
        if isinstance(answer, Reply):
            return answer
        return Reply(
            answer,
            tokens=self.count_tokens(answer),
            prompt_tokens=self.count_tokens(request.prompt + request.suffix),
        )

    def _proceeds(self, cancellation: Cancellation) -> bool:
        if self._error is not None:
            raise self._error
        self.started.set()
        while self._hold is not None and not cancellation.cancelled and not self._hold.wait(_POLL_SECONDS):
            pass
        return not cancellation.cancelled


def _scribe(replies: str | Sequence[str | Reply] | Scribe) -> Scribe:
    if isinstance(replies, str):
        return lambda request: replies
    if callable(replies):
        return replies
    script = iter(replies)
    return lambda request: next(script)


def _distribution(given: Mapping[str, float], labels: Sequence[str]) -> tuple[float, ...]:
    unknown = set(given) - set(labels)
    if unknown:
        raise ValueError(f"no such label: {sorted(unknown)}; the labels are {list(labels)}")
    row = [given.get(label, 0.0) for label in labels]
    row[0] += 1 - sum(row)
    return tuple(row)


def write_random_adapter(directory: Path, *, seed: int = 0, rank: int = 8, strength: float = 0.02) -> Path:
    """Fill `directory` with a PEFT adapter of random values for Gemma 3 270M, and return it."""
    import numpy as np
    from safetensors.numpy import save_file

    random = np.random.default_rng(seed)
    tensors = {}
    for layer in range(_LAYERS):
        for module, (inputs, outputs) in _PROJECTIONS.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            first = random.normal(0, inputs**-0.5, (rank, inputs))
            tensors[f"{name}.lora_A.weight"] = first.astype(np.float32)
            tensors[f"{name}.lora_B.weight"] = random.normal(0, strength, (outputs, rank)).astype(np.float32)
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "adapter_model.safetensors")
    (directory / "adapter_config.json").write_text(json.dumps(lora_config(rank)), encoding="utf-8")
    return directory


def lora_config(rank: int = 8) -> dict[str, object]:
    """Return the PEFT configuration that `write_random_adapter` writes."""
    modules = [module.partition(".")[2] for module in _PROJECTIONS]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": modules,
    }
