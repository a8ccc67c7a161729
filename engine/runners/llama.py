"""The embedded runner: llama.cpp on the CPU, GGUF base model, LoRA by request.

A chunk is scored by requests that grow block by block, one after the other: all but the new block comes
from the prefix cache, so together they cost about what one pass over the whole text would. Chunks take the
server's slots in turn, so the prompts of the last few are still there when their lines are written about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from engine.cache import default_cache
from engine.cpus import available_cpus
from engine.errors import RunnerError
from engine.lora_files import cached_lora
from engine.models import BaseModel
from engine.probes import PROBE, Probe, prove_effect
from engine.prompts import LABELS
from engine.runners import Cancellation, Reply, ScoreRequest, Scores, WriteRequest
from engine.runners.llama_server import Completion, LlamaServer, ServerOptions
from engine.runners.vocabulary import tokenizer_of

_BOS = 2
_TOKENIZED_TEXTS = 512  # more than a group of chunks has, where llama.cpp has to be asked
_LABEL_BIAS = 1000.0  # lifts the labels above the rest of the vocabulary, all by the same
_GUIDANCE = {"x-guidance": {"whitespace_flexible": False}}

Answer = tuple[int, Reply]


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """How the model is run."""

    score_adapter: Path | None = None  # PEFT directories; may be the same
    write_adapter: Path | None = None
    adapter: str = ""  # name for the review; else the directories' names
    threads: int | None = None  # None: what the cgroup and the scheduler allow
    context: int = 4096  # tokens of one request
    slots: int = 4  # chunks whose prompts are kept, and replies written at once; 18 KiB a token of context
    cache: Path | None = None  # directory for converted adapters
    probe: Probe | None = None  # what the adapter did when it was made


class LlamaRunner:
    """A Runner on llama.cpp."""

    def __init__(self, model: BaseModel, options: LlamaOptions = LlamaOptions()) -> None:
        self.base_model = model.name
        self.adapter = options.adapter or "+".join(path.name for path in _distinct(options))
        self._options = options
        self._adapters = _distinct(options)
        self._server = _open(model, options, self._adapters)
        self._slots = _Slots(options.slots)
        asked = lru_cache(_TOKENIZED_TEXTS)(self._server.tokenize)
        try:
            self._tokens = tokenizer_of(model, options.cache or default_cache(), asked)
            for adapter in self._adapters:
                self._prove_effect(adapter)
        except BaseException:
            self.close()
            raise

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, no BOS counted."""
        return len(self._tokens(text)) if text else 0

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores) in order; stops within a prompt when cancelled."""
        ids = self._label_ids(labels)
        for index, request in enumerate(requests):
            adapter = self._options.score_adapter
            scores = self._score(request, ids, adapter, cancellation.event.is_set, on_tokens)
            if scores is None:
                return
            yield index, scores

    def write(self, requests: Sequence[WriteRequest], cancellation: Cancellation) -> Iterator[Answer]:
        """Yield (index of the request, greedy reply) as they are ready; stops within one when cancelled."""
        lanes = self._slots.lanes(requests)
        answers: SimpleQueue[Answer | None] = SimpleQueue()
        abandoned = Event()

        def stopped() -> bool:
            return cancellation.cancelled or abandoned.is_set()

        def run(slot: int, lane: Sequence[int]) -> None:
            try:
                for index in lane:
                    if (reply := self._write(requests[index], slot, stopped)) is not None:
                        answers.put((index, reply))
            finally:
                answers.put(None)

        with ThreadPoolExecutor(self._options.slots) as pool:
            running = [pool.submit(run, slot, lane) for slot, lane in lanes.items()]
            try:
                for _ in lanes:
                    yield from iter(answers.get, None)
            finally:
                abandoned.set()
            for lane in running:
                lane.result()

    def close(self) -> None:
        """Free the model. Idempotent."""
        self._server.close()
        self._tokens = self._server.tokenize  # says that it is closed

    def _score(
        self,
        request: ScoreRequest,
        labels: Sequence[int],
        adapter: Path | None,
        stopped: Callable[[], bool],
        on_tokens: Callable[[int], None],
    ) -> Scores | None:
        tokens = [_BOS, *self._tokens(request.prompt)]
        slot = self._slots.take(request.prompt)
        rows, read, cached = [], 0, 0
        for number, block in enumerate(request.blocks):
            tokens.extend(self._tokens(block))
            made = self._read_labels(tokens, labels, slot, adapter, stopped)
            if made is None:
                return None
            rows.append(tuple(made.probabilities[label] for label in labels))
            cached += made.cached_tokens if number == 0 else 0
            on_tokens(len(tokens) - read)
            read = len(tokens)
        return Scores(tuple(rows), prompt_tokens=read, cached_tokens=cached)

    def _read_labels(
        self,
        tokens: Sequence[int],
        labels: Sequence[int],
        slot: int,
        adapter: Path | None,
        stopped: Callable[[], bool],
    ) -> Completion | None:
        """The distribution over `labels` after `tokens`.

        A bias that is the same for all labels makes them the most probable tokens and leaves their ratios
        as they were, so the top of the list is exactly what was asked for, whatever the model would say.
        """
        count = len(labels)
        body = self._body(tokens, slot, adapter) | {
            "n_predict": 1,
            "n_probs": count,
            "post_sampling_probs": True,
            "samplers": ["top_k"],
            "top_k": count,
            "logit_bias": [[label, _LABEL_BIAS] for label in labels],
        }
        made = self._server.complete(body, stopped)
        if made is not None and not set(labels) <= made.probabilities.keys():
            raise RunnerError("llama.cpp returned no probability for some labels")
        return made

    def _write(self, request: WriteRequest, slot: int, stopped: Callable[[], bool]) -> Reply | None:
        tokens = [_BOS, *self._tokens(request.prompt), *self._tokens(request.suffix)]
        body = self._body(tokens, slot, self._options.write_adapter) | {
            "n_predict": request.max_tokens,
            "temperature": 0,
            "json_schema": _GUIDANCE | request.schema,
        }
        made = self._server.complete(body, stopped)
        if made is None:
            return None
        return Reply(made.text, made.truncated, made.tokens, made.prompt_tokens, made.cached_tokens)

    def _body(self, tokens: Sequence[int], slot: int, adapter: Path | None) -> dict[str, Any]:
        # Every adapter is named with its scale. A request that leaves them out goes on with the prompt
        # cache of the adapter before it, and is answered wrongly.
        scales = [{"id": i, "scale": float(path == adapter)} for i, path in enumerate(self._adapters)]
        return {"prompt": list(tokens), "id_slot": slot, "lora": scales, "cache_prompt": True}

    def _label_ids(self, labels: Sequence[str]) -> list[int]:
        ids = [self._tokens(label) for label in labels]
        split = [label for label, tokens in zip(labels, ids, strict=True) if len(tokens) != 1]
        if split:
            raise RunnerError(f"the labels {split} are not single tokens of {self.base_model}")
        return [tokens[0] for tokens in ids]

    def _prove_effect(self, adapter: Path) -> None:
        labels = self._label_ids(LABELS)
        base, adapted = (self._score(PROBE, labels, path, lambda: False, _ignore) for path in (None, adapter))
        assert base is not None
        assert adapted is not None
        prove_effect(str(adapter), base.probabilities, adapted.probabilities, self._options.probe)


class _Slots:
    """Which prompt each slot of the server holds. The slot that was used longest ago is given away."""

    def __init__(self, count: int) -> None:
        self._prompts = dict.fromkeys(range(count), "")  # in order of use

    def take(self, prompt: str) -> int:
        """Return the slot that holds `prompt`, or will."""
        holding = (slot for slot, held in self._prompts.items() if held == prompt)
        slot = next(holding, next(iter(self._prompts)))
        del self._prompts[slot]
        self._prompts[slot] = prompt
        return slot

    def lanes(self, requests: Sequence[WriteRequest]) -> dict[int, list[int]]:
        """Return the indices of `requests` by slot; what shares a prompt is written in turn."""
        by_prompt: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_prompt.setdefault(request.prompt, []).append(index)
        lanes: dict[int, list[int]] = {}
        for prompt, indices in by_prompt.items():
            lanes.setdefault(self.take(prompt), []).extend(indices)
        return lanes


def _open(model: BaseModel, options: LlamaOptions, adapters: Sequence[Path]) -> LlamaServer:
    cache = options.cache or default_cache()
    return LlamaServer(
        ServerOptions(
            model=model.path,
            adapters=tuple(cached_lora(path, cache) for path in adapters),
            threads=options.threads or available_cpus(),
            context=options.context,
            slots=options.slots,
        )
    )


def _distinct(options: LlamaOptions) -> tuple[Path, ...]:
    given = (options.score_adapter, options.write_adapter)
    return tuple(dict.fromkeys(path for path in given if path is not None))


def _ignore(count: int) -> None:
    """The probe's tokens are nobody's progress."""
