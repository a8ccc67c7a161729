"""The runner for vLLM: one server or several, each with its GPU; adapters are loaded there by name.

A chunk is one request, for all of its lines (see `openai_api`), and so is a reply; requests go out side by
side, so the servers can batch them. Nothing is computed here, and nothing of a model is held: a runner is as
light as its connections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from http import HTTPStatus
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from engine.connecting import Address, Connect
from engine.errors import RunnerError
from engine.probes import Probe
from engine.runners import Cancellation, Reply, ScoreRequest, Scores, WriteRequest
from engine.runners.openai_adapters import ServedAdapter, publish, unload
from engine.runners.openai_api import read_reply, read_scores, score_body, write_body
from engine.runners.openai_calls import Hangup, side_by_side
from engine.runners.openai_greeting import Expected, greet
from engine.runners.openai_routing import Fleet, Forgotten, RoutingLimits
from engine.runners.openai_server import Busy, OpenAIServer, Refused, Unusable
from engine.runners.openai_tokens import beginning, tokenizer_of, tokens_of
from engine.sanitize import one_line

_TOKENIZED_TEXTS = 65536
_PREFIXES = 256  # of one request; vLLM takes 1,024 (VLLM_MAX_COMPLETION_PROMPTS)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Where the servers are, and what they are asked for."""

    urls: tuple[str, ...]
    model: str  # the base model, as the servers call it
    key: str = field(default="", repr=False)
    score_adapter: Path | None = None  # PEFT directories; may be the same
    write_adapter: Path | None = None
    adapter: str = ""  # name for the review
    probe: Probe | None = None  # what the adapter did when it was made
    shared: Path = Path("served")  # directory for adapters, which the servers see, too
    seen_as: PurePosixPath | None = None  # what they call it; None: the same
    tokenizer: Path | None = None  # tokenizer.json of the model; None: the servers are asked
    context: int = 4096  # tokens of one request
    limits: RoutingLimits = field(default_factory=RoutingLimits)
    ca_file: Path | None = None
    proxy_of: Callable[[str], str | None] = lambda url: None
    connect_seconds: float = 5
    silence_seconds: float = 120  # of an answer; it comes when all of it is computed


class OpenAIRunner:
    """A Runner on vLLM."""

    def __init__(self, options: OpenAIOptions) -> None:
        """Look at all servers. Raises ModelError or AdapterError for what is wrong with one that answers."""
        self.base_model = options.model
        self.adapter = options.adapter
        self._options = options
        given = dict.fromkeys(path for path in (options.score_adapter, options.write_adapter) if path)
        self._adapters = {
            path: publish(path, options.shared, options.seen_as, options.probe) for path in given
        }
        local = tokenizer_of(options.tokenizer) if options.tokenizer else None
        self._expected = Expected(options.model, options.context, tuple(self._adapters.values()), local)
        self._fleet = Fleet([_server(url, options) for url in options.urls], self._greet, options.limits)
        self._tokens = lru_cache(_TOKENIZED_TEXTS)(local or self._tokenize)
        self._loaded: set[tuple[str, ServedAdapter]] = set()  # for this runner, by the server at that url
        self._closed = False
        try:
            self._fleet.greet()
            self._begin = self._light(lambda server, hangup: beginning(server, options.model, hangup))
        except BaseException:
            self.close()
            raise

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text` by the servers' tokenizer, no BOS counted."""
        return len(self._tokens(text)) if text else 0

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores) as they are ready; cancelled, hang up at once."""
        ids = self._label_ids(labels)

        def job(index: int, hangup: Hangup) -> Scores:
            return self._score(requests[index], ids, hangup)

        for index, scores in side_by_side(len(requests), self._width, job, cancellation):
            on_tokens(scores.prompt_tokens)
            yield index, scores

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, greedy reply) as they are ready; cancelled, hang up at once."""

        def job(index: int, hangup: Hangup) -> Reply:
            return self._write(requests[index], hangup)

        return side_by_side(len(requests), self._width, job, cancellation)

    def close(self) -> None:
        """Have the servers forget the adapters, if they still answer. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for server in self._fleet.greeted:
            for adapter in self._adapters.values():
                if (server.url, adapter) in self._loaded:
                    with suppress(Busy, Unusable):
                        unload(server, adapter, Hangup())
        self._fleet.close()

    def _score(self, request: ScoreRequest, labels: Sequence[int], hangup: Hangup) -> Scores:
        if not request.blocks:
            return Scores(())
        tokens = [*self._begin, *self._tokens(request.prompt)]
        ends = list(accumulate((len(self._tokens(block)) for block in request.blocks), initial=len(tokens)))
        tokens.extend(token for block in request.blocks for token in self._tokens(block))
        name = self._name(self._options.score_adapter)
        rows: list[tuple[float, ...]] = []
        for first in range(1, len(ends), _PREFIXES):
            prefixes = [tokens[:end] for end in ends[first : first + _PREFIXES]]
            body = score_body(name, prefixes, labels)
            read = partial(read_scores, count=len(prefixes), labels=labels)
            rows.extend(self._ask(name, request.prompt, body, read, hangup))
        return Scores(tuple(rows), prompt_tokens=len(tokens))

    def _write(self, request: WriteRequest, hangup: Hangup) -> Reply:
        tokens = [*self._begin, *self._tokens(request.prompt), *self._tokens(request.suffix)]
        name = self._name(self._options.write_adapter)
        body = write_body(name, tokens, request.schema, request.max_tokens)
        return self._ask(name, request.prompt, body, read_reply, hangup)

    def _ask(
        self, name: str, prompt: str, body: dict[str, Any], read: Callable[[Any], T], hangup: Hangup
    ) -> T:
        """Return what `read` makes of the answer to `body`; its errors name the server."""

        def job(server: OpenAIServer) -> T:
            with _naming(server):
                try:
                    return read(server.post("/v1/completions", body, hangup))
                except Refused as refusal:
                    if refusal.status == HTTPStatus.NOT_FOUND and name != self.base_model:
                        raise Forgotten(str(refusal)) from refusal
                    raise

        return self._fleet.call(name, job, hangup, prompt=prompt)

    def _light(self, job: Callable[[OpenAIServer, Hangup], T]) -> T:
        """Return the answer to a call that computes nothing on a GPU, and so takes no place."""
        if self._closed:
            raise RunnerError("the runner is closed")
        hangup = Hangup()

        def named(server: OpenAIServer) -> T:
            with _naming(server):
                return job(server, hangup)

        return self._fleet.call(self.base_model, named, hangup, counted=False)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        return self._light(lambda server, hangup: tokens_of(server, self.base_model, text, hangup))

    def _label_ids(self, labels: Sequence[str]) -> list[int]:
        ids = [self._tokens(label) for label in labels]
        split = [label for label, tokens in zip(labels, ids, strict=True) if len(tokens) != 1]
        if split:
            raise RunnerError(f"the labels {split} are not single tokens of {self.base_model}")
        return [tokens[0] for tokens in ids]

    def _name(self, adapter: Path | None) -> str:
        if self._closed:
            raise RunnerError("the runner is closed")
        return self._adapters[adapter].name if adapter else self.base_model

    def _greet(self, server: OpenAIServer, hangup: Hangup) -> None:
        loaded = greet(server, self._expected, hangup)
        self._loaded.update((server.url, adapter) for adapter in loaded)

    @property
    def _width(self) -> int:
        return self._options.limits.calls * len(self._options.urls)


@contextmanager
def _naming(server: OpenAIServer) -> Iterator[None]:
    """Turn what is wrong with a request or an answer into an error that names the server."""
    try:
        yield
    except (Refused, RunnerError) as fault:
        raise RunnerError(f"{server.url}: {fault}") from fault


def inspect(url: str, options: OpenAIOptions) -> str:
    """Return the version of the server at `url`, found fit for work; raises EngineError. Loads no adapter."""
    server, hangup = _server(url, options), Hangup()
    local = tokenizer_of(options.tokenizer) if options.tokenizer else None
    try:
        greet(server, Expected(options.model, options.context, tokenize=local), hangup)
        answer = server.get("/version", hangup)
    except (Busy, Unusable, Refused) as fault:
        raise RunnerError(f"{server.url}: {fault}") from fault
    finally:
        server.close()
    version = answer.get("version") if isinstance(answer, dict) else None
    return f"version {one_line(str(version))}"


def _server(url: str, options: OpenAIOptions) -> OpenAIServer:
    """Return the server at `url`; a trailing /v1, as other clients want it, is left out."""
    address = Address.parse(url)
    address = replace(address, path=address.path.removesuffix("/v1"))
    connect = Connect(
        address, options.ca_file, options.proxy_of(url), options.connect_seconds, options.silence_seconds
    )
    return OpenAIServer(connect, options.key)
