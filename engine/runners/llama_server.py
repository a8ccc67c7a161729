"""llama.cpp in this process: token ids in, a completion out. The only import of xllamacpp.

Completions are called in process and streamed, because only between streamed events can a request be
abandoned. Tokenizing is offered over HTTP alone, so the server listens on the loopback interface, behind a
key that nobody else knows; where `vocabulary` can, it is spared that.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import ModelError, RunnerError, unimportable

_BATCH = 256  # prompt tokens between two looks at the cancellation: under a second on two cores
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server is started with."""

    model: Path
    adapters: tuple[Path, ...]  # LoRA in GGUF; a request names them by their place here
    threads: int
    context: int  # tokens of one request, prompt and reply
    slots: int  # requests at once; each keeps what it read last


@dataclass(slots=True)
class Completion:
    """What came of one request."""

    text: str = ""
    truncated: bool = False
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    probabilities: dict[int, float] = field(default_factory=dict)  # of the first token, where asked for


class LlamaServer:
    """A loaded model. `complete` and `tokenize` may be called from several threads."""

    def __init__(self, options: ServerOptions) -> None:
        self._key = secrets.token_urlsafe()
        self._tokenizing = threading.Lock()
        self._server: Any = _start(options, self._key)
        self._connection = http.client.HTTPConnection(
            self._server.listening_address.removeprefix("http://"), timeout=_TIMEOUT_SECONDS
        )
        # A server that is freed before its loop runs never ends; one answer shows that the loop runs.
        self.complete({"prompt": [0], "n_predict": 1}, lambda: False)

    def complete(self, body: Mapping[str, Any], stopped: Callable[[], bool]) -> Completion | None:
        """Return the completion of `body`, or None as soon as `stopped()`; raises RunnerError."""
        events: list[Mapping[str, Any]] = []

        def receive(event: Mapping[str, Any]) -> bool:
            events.append(event)
            return stopped()

        if stopped():
            return None
        self._opened.handle_completions({**body, "stream": True, "return_progress": True}, receive)
        return None if stopped() else _completion(events)

    def tokenize(self, text: str) -> list[int]:
        """Return the tokens of `text` without BOS; control tokens in it are read as such."""
        body = json.dumps({"content": text, "add_special": False, "parse_special": True}).encode()
        try:
            with self._tokenizing:
                tokens = self._post("/tokenize", body)["tokens"]
        except (OSError, http.client.HTTPException, ValueError, KeyError) as failure:
            raise RunnerError(f"llama.cpp did not tokenize: {failure!r}") from failure
        return list(tokens)

    def close(self) -> None:
        """Free the model. Idempotent."""
        self._connection.close()
        self._server = None
        _trim_memory()

    @property
    def _opened(self) -> Any:
        if self._server is None:
            raise RunnerError("the runner is closed")
        return self._server

    def _post(self, path: str, body: bytes) -> Any:
        assert self._opened is not None
        try:
            return self._answer(path, body)
        except (OSError, http.client.HTTPException):
            # The server drops a connection that was idle for a while; http.client opens a new one.
            return self._answer(path, body)

    def _answer(self, path: str, body: bytes) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        kept = False
        try:
            self._connection.request("POST", path, body, headers)
            answer = json.loads(self._connection.getresponse().read())
            kept = self._server is not None
            return answer
        finally:
            if not kept:  # it failed, or was opened again while all was being closed
                self._connection.close()


def _start(options: ServerOptions, key: str) -> Any:
    # OpenMP's threads spin while they wait for each other. Where something else wants the CPUs too, that
    # costs up to nine tenths of the speed; asleep a little earlier they lose nothing on a quiet machine.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        import xllamacpp
    except ImportError as missing:
        raise unimportable(missing, "xllamacpp", "cpu") from missing

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.model)
    parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in options.adapters]
    parameters.lora_init_without_apply = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
    parameters.n_ctx = options.context * options.slots
    parameters.n_parallel = options.slots
    parameters.n_batch = _BATCH
    # Gemma's sliding windows are kept whole: without that a prefix cannot be reused once the window moved on.
    parameters.swa_full = True
    # What is swapped out to RAM comes back without what lay outside of the window, and scores get worse.
    parameters.cache_ram_mib = 0
    parameters.warmup = parameters.fit_params = False
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.ui = False
    parameters.endpoint_slots = False
    parameters.verbosity = -1
    try:
        return xllamacpp.Server(parameters)
    except RuntimeError as failure:
        raise ModelError(_load_failure(options)) from failure


def _trim_memory() -> None:
    """Give freed memory back to the system: glibc would keep some hundred MiB of each model for later."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _load_failure(options: ServerOptions) -> str:
    if not options.adapters:
        return f"llama.cpp cannot load {options.model}: damaged, of an unknown form, or too large"
    adapters = ", ".join(str(path) for path in options.adapters)
    return f"llama.cpp cannot load {options.model} with {adapters}: is the adapter made for this base model?"


def _completion(events: Sequence[Mapping[str, Any]]) -> Completion:
    made = Completion()
    for event in events:
        if "error" in event:
            raise RunnerError(f"llama.cpp: {event['error'].get('message', event['error'])}")
        for choice in event.get("choices", ()):
            made.text += choice["text"]
            made.truncated |= choice["finish_reason"] == "length"
            made.probabilities = made.probabilities or _probabilities(choice)
        if "usage" in event:
            usage = event["usage"]
            made.tokens, made.prompt_tokens = usage["completion_tokens"], usage["prompt_tokens"]
            made.cached_tokens = usage["prompt_tokens_details"]["cached_tokens"]
    if made.prompt_tokens == 0:
        raise RunnerError("llama.cpp broke off without an answer")
    return made


def _probabilities(choice: Mapping[str, Any]) -> dict[int, float]:
    tokens = (choice["logprobs"] or {}).get("content", ())
    return {entry["id"]: entry["prob"] for token in tokens[:1] for entry in token.get("top_probs", ())}
