"""A whole engine with a fake model, in a thread of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from engine.adapters import Adapter
from engine.api.admission import Projects
from engine.api.callers import Tokens
from engine.api.routes import Route
from engine.runners import Runner, WriteRequest
from engine.server import Engine, ServerOptions, make_engine, running
from engine.testing import FakeRunner, by_keyword, is_question

SECONDS = 120.0  # a machine may be busy


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        value: dict[str, object] = json.loads(self.body)
        return value


@dataclass(slots=True)
class Served:
    """A listening engine."""

    port: int
    engine: Engine
    stop: Callable[[], None]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer to one request; a body that is no text is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        sent = {**self.headers, **(headers or {})}
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


Serve = Callable[..., Served]


@contextmanager
def serving(
    runner: Runner | Callable[[Adapter | None], Runner] | None = None,
    *,
    options: ServerOptions | None = None,
    tokens: Tokens | None = None,
    projects: Projects | None = None,
    more_routes: Sequence[Route] = (),
    wait: bool = True,
) -> Iterator[Served]:
    """Serve while inside; `runner` is the model, or makes it."""
    loop = asyncio.new_event_loop()
    found: list[Served] = []
    up, stop = threading.Event(), asyncio.Event()
    chosen = runner if runner is not None else FakeRunner()
    load = chosen if callable(chosen) else lambda adapter: chosen
    settled = replace(options or ServerOptions(drain_seconds=0.2), port=0)

    def end() -> None:
        if thread.is_alive():
            loop.call_soon_threadsafe(stop.set)

    async def main() -> None:
        engine = make_engine(load, None, settled, projects=projects, tokens=tokens, more_routes=more_routes)
        async with running(engine, settled) as port:
            found.append(Served(port, engine, end))
            up.set()
            await stop.wait()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as loops:
                loops.run(main())
        finally:
            up.set()

    thread = threading.Thread(target=run, name="engine")
    thread.start()
    assert up.wait(SECONDS)
    while wait and not found[0].engine.device.ready:
        time.sleep(0.001)
    try:
        yield found[0]
    finally:
        end()
        thread.join(SECONDS)
        assert not thread.is_alive()


def diff_of(path: str = "a.py", *lines: str) -> str:
    """Return a diff that adds a file; by default one with an eval in its second line."""
    rows = lines or ("x = 1", "y = eval(x)")
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(rows)} @@\n" + "".join(f"+{row}\n" for row in rows)


def finding_evals(**options: Any) -> FakeRunner:
    """Return a fake model that finds every eval, and says something different about each."""
    replies = options.pop("replies", _about)
    return FakeRunner(by_keyword({"eval": (" security", 0.9)}), replies, **options)


def _about(request: WriteRequest) -> str:
    if is_question(request):
        return json.dumps({"answer": "It adds up."})
    return json.dumps({"severity": "minor", "message": f"About {request.suffix.strip()[:40]}"})
