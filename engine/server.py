"""The engine as a service: makes its parts, listens, and ends without losing a review."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from aiohttp import web

from engine.adapters import Adapter
from engine.api import health, questions, reviews
from engine.api.admission import Admission, Projects, ReviewLimits
from engine.api.app import make_app
from engine.api.callers import Tokens
from engine.api.metrics import Metrics
from engine.api.questions import Questions
from engine.api.routes import Route
from engine.api.running import Reviews
from engine.batching import Limits, Scheduler
from engine.device import Device
from engine.errors import UnknownAdapter
from engine.listening import listening
from engine.opening import NO_ADAPTER
from engine.residents import Load, Residents, version_of

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the engine listens and what it takes on."""

    host: str = "127.0.0.1"
    port: int = 8750
    limits: ReviewLimits = field(default_factory=ReviewLimits)
    batches: Limits = field(default_factory=Limits)
    residents: int = 2  # adapters in memory at once
    max_body: int = 16 * 2**20
    drain_seconds: float = 30
    tls: ssl.SSLContext | None = None


class OneAdapter:
    """One adapter for every project; the base model alone where asked for."""

    def __init__(self, adapter: Adapter | None) -> None:
        self._adapter = adapter

    def adapter(self, project: str, version: str) -> Adapter | None:
        """Return the adapter; raises UnknownAdapter for any other version."""
        if version in ("", version_of(self._adapter)):
            return self._adapter
        if version == NO_ADAPTER:
            return None
        raise UnknownAdapter(f"no adapter {version[:128]}")

    def suppressed(self, project: str) -> Collection[str]:
        """Nothing is known of what the project does not want."""
        return ()


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts of a running engine."""

    app: web.Application
    device: Device
    admission: Admission
    metrics: Metrics


def make_engine(
    load: Load,
    default: Adapter | None,
    options: ServerOptions,
    *,
    projects: Projects | None = None,
    tokens: Tokens | None = None,
    more_routes: Sequence[Route] = (),
) -> Engine:
    """Return the engine, whose device is not started; call it where an event loop runs.

    `load` makes a runner; `default` is the adapter that is loaded first and stays.
    """
    metrics = Metrics()
    residents = Residents(load, default, options.residents, metrics.load)
    batches = replace(options.batches, open_reviews=options.limits.open_reviews)
    device = Device(residents, Scheduler(batches), metrics)
    metrics.watch(device.load)
    admission = Admission(device, projects or OneAdapter(default), options.limits)
    routes = (
        *reviews.routes(Reviews(admission, metrics)),
        *questions.routes(Questions(admission, metrics)),
        *health.routes(admission, metrics),
        *more_routes,
    )
    return Engine(make_app(routes, metrics, tokens, options.max_body), device, admission, metrics)


@asynccontextmanager
async def running(engine: Engine, options: ServerOptions) -> AsyncIterator[int]:
    """Serve while inside, and give the port. On leaving, open reviews are finished or ended, none is lost."""
    engine.device.start()
    try:
        # A caller that is gone cancels its handler, and the handler its review.
        async with listening(
            engine.app, options.host, options.port, options.tls, handler_cancellation=True
        ) as port:
            try:
                yield port
            finally:
                await engine.admission.drain(options.drain_seconds)
    finally:
        await asyncio.to_thread(engine.device.stop)


async def serve(
    engine: Engine, options: ServerOptions, stop: asyncio.Event, tell: Callable[[str], None]
) -> None:
    """Serve until `stop`; `tell` gets the address."""
    async with running(engine, options) as port:
        scheme = "https" if options.tls else "http"
        tell(f"{scheme}://{options.host}:{port}")
        _log.info("engine.listening", host=options.host, port=port)
        await stop.wait()
        _log.info("engine.draining")
    _log.info("engine.stopped")


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context of a server with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context
