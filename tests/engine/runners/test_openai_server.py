"""One server over HTTP: who should try again after what, what is kept, and what is never told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from vllm_server import Fault, VllmServer, serving_vllm

from engine.connecting import Address, Connect
from engine.errors import AccessRefused
from engine.runners import Cancellation
from engine.runners.openai_calls import Abandoned, Hangup, side_by_side
from engine.runners.openai_server import Busy, OpenAIServer, Refused, Unusable

KEY = "sk-very-secret"
Client = Callable[..., OpenAIServer]


@pytest.fixture
def vllm() -> Iterator[VllmServer]:
    """A server that wants a key."""
    with serving_vllm(key=KEY) as server:
        yield server


@pytest.fixture
def client(vllm: VllmServer) -> Iterator[Client]:
    """Make clients of the server; its next answers about models may be faults."""
    with ExitStack() as stack:

        def make(*faults: Fault, key: str = KEY, silence: float = 60) -> OpenAIServer:
            vllm.faults["/v1/models"] = list(faults)
            address = Address.parse(vllm.url)
            made = OpenAIServer(Connect(address, connect_seconds=60, silence_seconds=silence), key)
            stack.callback(made.close)
            return made

        yield make


def test_the_key_is_sent(client: Client) -> None:
    """As a bearer token; without it the server's refusal is told, and what to mend."""
    assert client().get("/v1/models", Hangup())["object"] == "list"
    with pytest.raises(AccessRefused, match="ENGINE_OPENAI_KEY") as raised:
        client(key="sk-wrong").get("/v1/models", Hangup())
    assert "sk-wrong" not in str(raised.value)


def test_answers_need_not_be_json(client: Client) -> None:
    """An empty one is None, a text is a text."""
    assert client().get("/health", Hangup()) is None
    server = client(Fault(body=b"Success: done."))
    assert server.get("/v1/models", Hangup()) == "Success: done."


@pytest.mark.parametrize("status", [429, 503])
def test_busy_servers_say_for_how_long(client: Client, status: int) -> None:
    """Retry-After in seconds, bounded; a date counts as none."""
    headers = [{"Retry-After": "7"}, {"Retry-After": "86400"}, {"Retry-After": "Fri, 31 Dec 1999"}, {}]
    server = client(*(Fault(status, {}, each) for each in headers))
    for seconds in (7, 60, 0, 0):
        with pytest.raises(Busy) as raised:
            server.get("/v1/models", Hangup())
        assert raised.value.seconds == seconds


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        (Fault(400, {"error": {"message": "too long"}}), Refused, "too long"),
        (Fault(404, {"detail": "Not Found"}), Refused, "Not Found"),
        (Fault(422, {"detail": [{"loc": ["body"]}]}), Refused, "Unprocessable Entity"),
        (Fault(403, b"<html>no</html>"), Refused, "<html>no</html>"),
        (Fault(301, None, {"Location": "http://elsewhere/"}), Refused, "Moved Permanently"),
        (Fault(500, {"error": {"message": "dead"}}), Unusable, "answers 500: dead"),
        (Fault(502, b""), Unusable, "answers 502: Bad Gateway"),
        (Fault(hang_up=True), Unusable, "broke off"),
        (Fault(400, {"error": {"message": "a\x1b[31m\nb" + "x" * 900}}), Refused, r"a␛\[31m b"),
    ],
)
def test_failures_are_sorted(client: Client, fault: Fault, kind: type[Exception], text: str) -> None:
    """By who should try again; what a server says is shown shortened, on one line and without escapes."""
    with pytest.raises(kind, match=text) as raised:
        client(fault).get("/v1/models", Hangup())
    assert len(str(raised.value)) < 400


def test_connections_are_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls one after the other share a connection, also after an error; calls at once do not."""
    opened: list[HTTPConnection] = []
    server = client(Fault(400, {}))
    monkeypatch.setattr(server, "_connect", _Noting(server._connect, opened))
    with pytest.raises(Refused):
        server.get("/v1/models", Hangup())
    for _ in range(3):
        server.get("/v1/models", Hangup())
    assert len(opened) == 1


def test_nothing_is_kept_after_the_end(
    vllm: VllmServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is answered after all was closed leaves no connection behind."""
    opened: list[HTTPConnection] = []
    server = client()
    monkeypatch.setattr(server, "_connect", _Noting(server._connect, opened))
    vllm.hold = threading.Event()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(server.post, "/v1/completions", {"model": "toy", "prompt": [1]}, Hangup())
        assert vllm.waiting.acquire(timeout=60)
        server.close()
        vllm.hold.set()
        assert call.result()
    assert [connection.sock for connection in opened] == [None]


class _Noting:
    def __init__(self, connect: Connect, opened: list[HTTPConnection]) -> None:
        self._connect, self._opened = connect, opened

    def target(self, path: str) -> str:
        return self._connect.target(path)

    def __call__(self) -> HTTPConnection:
        self._opened.append(self._connect())
        return self._opened[-1]


def test_a_kept_connection_that_was_closed_is_opened_again(vllm: VllmServer, client: Client) -> None:
    """A server may close what is idle whenever it likes; the call is repeated, once."""
    server = client()
    server.get("/health", Hangup())
    vllm.faults["/version"] = [Fault(hang_up=True)]
    assert server.get("/version", Hangup()) == {"version": "0.33.0"}
    vllm.faults["/version"] = [Fault(hang_up=True), Fault(hang_up=True)]
    with pytest.raises(Unusable, match="broke off"):
        server.get("/version", Hangup())


def test_nobody_there(client: Client) -> None:
    """A refused connection is another server's turn."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = Address.parse(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Unusable, match="cannot be reached: Connection refused"):
            OpenAIServer(Connect(address)).get("/health", Hangup())


def test_silence_has_an_end(vllm: VllmServer, client: Client) -> None:
    """An answer that does not come in time is waited for elsewhere."""
    vllm.hold = threading.Event()
    with pytest.raises(Unusable, match="no answer in time"):
        client(silence=0.1).post("/v1/completions", {"model": "toy", "prompt": [1]}, Hangup())


def test_an_endless_answer_is_cut(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server may say is bounded."""
    monkeypatch.setattr("engine.runners.openai_server._LARGEST", 1 << 20)
    with pytest.raises(Unusable, match="more than 1 MiB"):
        client(Fault(body=b"x" * (1 << 21))).get("/v1/models", Hangup())


def test_a_hangup_closes_the_connection(vllm: VllmServer, client: Client) -> None:
    """The server learns that nobody waits, and the caller gets control back."""
    vllm.hold, hangup = threading.Event(), Hangup()

    def stop() -> None:
        vllm.waiting.acquire()
        hangup.hang_up()

    threading.Thread(target=stop).start()
    with pytest.raises(Abandoned):
        client().post("/v1/completions", {"model": "toy", "prompt": [1]}, hangup)
    assert vllm.abandoned.acquire(timeout=60)
    with pytest.raises(Abandoned):
        client().get("/health", hangup)


def test_side_by_side_is_bounded_and_in_no_order() -> None:
    """As many jobs at once as asked for, each answered once."""
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3, timeout=60)

    def job(index: int, hangup: Hangup) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if index < 3:
            together.wait()
        time.sleep(0.01)
        with lock:
            running -= 1
        return index * 2

    found = dict(side_by_side(20, 3, job, Cancellation()))
    assert found == {index: index * 2 for index in range(20)}
    assert most == 3


def test_an_error_ends_the_others() -> None:
    """It is raised where the answers are taken, and what has not begun never does."""
    begun = []

    def job(index: int, hangup: Hangup) -> int:
        begun.append(index)
        if index == 0:
            raise ValueError("wrong")
        while True:
            hangup.check()
            time.sleep(0.001)

    with pytest.raises(ValueError, match="wrong"):
        list(side_by_side(50, 2, job, Cancellation()))
    assert len(begun) < 50
