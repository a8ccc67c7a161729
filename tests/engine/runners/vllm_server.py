"""A server with vLLM's routes, statuses and texts in a thread of its own; a mind of choice answers.

What it says was read off vLLM 0.32 and 0.33, and each thing that a test relies on was seen there: an adapter
whose tensors match no module loads with 200 and does nothing; what is wrong with an adapter is a 500; an
unknown model is a 404; a closed connection ends its request.
"""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from minds import Mind, ToyMind
from pydantic import BaseModel, ValidationError
from vllm_requests import CompletionRequest, LoadRequest, TokenizeRequest, UnloadRequest

from engine.adapter_checks import read_header

_POLL_SECONDS = 0.01
Request = TypeVar("Request", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Fault:
    """An answer in place of the true one."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False  # close the connection without any


@dataclass(slots=True)
class VllmServer:
    """What a server was started with, what it was asked, and what goes wrong."""

    mind: Mind = field(default_factory=ToyMind)
    model: str = "toy"
    key: str = ""
    max_model_len: int = 4096
    max_lora_rank: int = 32
    runtime_lora: bool = True
    keeps_schemas: bool = True
    url: str = ""
    loaded: dict[str, str] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=dict)  # path -> for its next requests
    twist: Callable[[str, Any], Any] = lambda path, answer: answer  # changes true answers
    hold: threading.Event | None = None  # completions wait for it
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    abandoned: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    running: int = 0
    most_running: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, path: str) -> list[Any]:
        """The bodies of all requests for `path`."""
        return [seen.body for seen in self.seen if seen.path == path]

    def adapter(self, name: str) -> Path | None:
        """The adapter that acts for `name`: none where its tensors match no module."""
        if name == self.model:
            return None
        directory = Path(self.loaded[name])
        names = read_header(directory / "adapter_model.safetensors")
        return directory if any(".model.layers." in name for name in names) else None


@contextmanager
def serving_vllm(server: VllmServer | None = None, **options: Any) -> Iterator[VllmServer]:
    """Serve while inside."""
    server = server or VllmServer(**options)
    listener = _Listener(("127.0.0.1", 0), _handler(server))
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(_POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.closing = True
        if server.hold is not None:
            server.hold.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # more than any test opens at once before the first is accepted
    closing = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of faults, but not of what nobody waits for any more."""
        if not self.closing:
            super().handle_error(request, client_address)


class _Wrong(Exception):
    """A request that vLLM refuses."""

    def __init__(self, status: int, message: str, kind: str = "BadRequestError") -> None:
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": status}}
        super().__init__(message)


def _handler(server: VllmServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            self._serve(None)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            data = self.rfile.read(length)
            if len(data) == length:  # else the other side hung up
                self._serve(json.loads(data))

        def _serve(self, body: Any) -> None:
            server.seen.append(Seen(self.path, dict(self.headers), body))
            if faults := server.faults.get(self.path):
                fault = faults.pop(0)
                if fault.hang_up:
                    self.close_connection = True
                    return
                self._answer(fault.status, fault.body, fault.headers)
                return
            if server.key and self.path.startswith("/v1") and not self._is_known():
                self._answer(401, {"error": "Unauthorized"})
                return
            try:
                answer = _ROUTES[self.path](server, body, self.connection)
            except KeyError:
                self._answer(404, {"detail": "Not Found"})
            except _Wrong as wrong:
                self._answer(wrong.status, wrong.body)
            except _Gone:
                server.abandoned.release()
                self.close_connection = True
            else:
                self._answer(200, server.twist(self.path, answer))

        def _is_known(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {server.key}"

        def _answer(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
            data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


class _Gone(Exception):
    """Nobody waits for the answer."""


def _health(server: VllmServer, body: Any, wire: socket.socket) -> None:
    return None


def _version(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    return {"version": "0.33.0"}


def _models(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    base = {"id": server.model, "root": "/models/toy", "parent": None, "max_model_len": server.max_model_len}
    adapters = [
        {"id": name, "root": path, "parent": server.model, "max_model_len": None}
        for name, path in server.loaded.items()
    ]
    return {"object": "list", "data": [base, *adapters]}


def _tokenize(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    request = _valid(TokenizeRequest, body)
    _known(server, request.model)
    tokens = server.mind.tokenize(request.prompt, request.add_special_tokens)
    return {
        "count": len(tokens),
        "max_model_len": server.max_model_len,
        "tokens": tokens,
        "token_strs": None,
    }


def _load(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    if not server.runtime_lora:
        raise KeyError
    request = _valid(LoadRequest, body)
    name, directory = request.lora_name, Path(request.lora_path)
    if name in server.loaded:
        raise _Wrong(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
    if not (directory / "adapter_config.json").is_file():
        raise _Wrong(404, f"Loading lora {name} failed: No adapter found for {directory}", "NotFoundError")
    rank = json.loads((directory / "adapter_config.json").read_bytes())["r"]
    if rank > server.max_lora_rank:
        reason = f"LoRA rank {rank} is greater than max_lora_rank {server.max_lora_rank}."
        raise _Wrong(
            500,
            f"Call to add_lora method failed: Worker failed with error '{reason}'",
            "InternalServerError",
        )
    server.loaded[name] = request.lora_path
    return f"Success: LoRA adapter '{name}' added successfully.".encode()


def _unload(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    name = _valid(UnloadRequest, body).lora_name
    if server.loaded.pop(name, None) is None:
        raise _Wrong(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
    return f"Success: LoRA adapter '{name}' removed successfully.".encode()


def _complete(server: VllmServer, body: Any, wire: socket.socket) -> Any:
    request = _valid(CompletionRequest, body)
    _known(server, request.model)
    for prompt in request.prompts:
        if len(prompt) + request.max_tokens > server.max_model_len:
            raise _Wrong(400, f"This model's maximum context length is {server.max_model_len} tokens.")
    with server.lock:
        server.running += 1
        server.most_running = max(server.most_running, server.running)
    try:
        _wait(server, wire)
        choices, written = [], 0
        for index, prompt in enumerate(request.prompts):
            choice, tokens = _choice(server, request, prompt)
            choices.append({"index": index, **choice})
            written += tokens
    finally:
        with server.lock:
            server.running -= 1
    read = sum(map(len, request.prompts))
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    return {"id": "cmpl-1", "object": "text_completion", "choices": choices, "usage": usage}


def _choice(server: VllmServer, request: CompletionRequest, prompt: list[int]) -> tuple[Any, int]:
    adapter = server.adapter(request.model)
    if request.structured_outputs is not None:
        schema = request.structured_outputs.json_ or {}
        text, tokens, cut = server.mind.write(adapter, prompt, schema, request.max_tokens)
        text = text if server.keeps_schemas else f"Sure! {text}"
        return {"text": text, "finish_reason": "length" if cut else "stop", "logprobs": None}, tokens
    wanted = request.logprob_token_ids or []
    sampled = 1 if 1 not in wanted else 0
    logs = server.mind.logprobs(adapter, prompt, wanted)
    top = {f"token_id:{sampled}": -0.1} | {
        f"token_id:{token}": log for token, log in zip(wanted, logs, strict=True)
    }
    logprobs = {"text_offset": [0], "token_logprobs": [-0.1], "tokens": [f"token_id:{sampled}"]}
    return {"text": "", "finish_reason": "length", "logprobs": {**logprobs, "top_logprobs": [top]}}, 1


def _wait(server: VllmServer, wire: socket.socket) -> None:
    """While held, notice that the other side hung up, as vLLM does."""
    if server.hold is None:
        return
    server.waiting.release()
    while not server.hold.wait(_POLL_SECONDS):
        readable, _, _ = select.select([wire], [], [], 0)
        if readable and not wire.recv(1, socket.MSG_PEEK):
            raise _Gone


def _known(server: VllmServer, name: str) -> None:
    if name != server.model and name not in server.loaded:
        raise _Wrong(404, f"The model `{name}` does not exist.", "NotFoundError")


def _valid(kind: type[Request], body: Any) -> Request:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise _Wrong(400, str(error.errors(include_url=False)[0])) from error


_ROUTES: Mapping[str, Callable[[VllmServer, Any, socket.socket], Any]] = {
    "/health": _health,
    "/version": _version,
    "/v1/models": _models,
    "/tokenize": _tokenize,
    "/v1/completions": _complete,
    "/v1/load_lora_adapter": _load,
    "/v1/unload_lora_adapter": _unload,
}
