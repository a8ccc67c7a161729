"""What the bot answers over HTTP besides webhooks: /healthz, /readyz, /metrics; and how long it all takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.durable import Durable
from bot.metrics import Metrics
from engine.errors import StoreError
from engine.version import tool_version

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = structlog.get_logger()


def make_app(receiver: Handler, durable: Durable, metrics: Metrics) -> web.Application:
    """Return the application."""

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "version": tool_version()})

    async def readyz(request: web.Request) -> web.Response:
        reason = await _why_not_ready(durable)
        if reason:
            return web.json_response({"status": reason}, status=503, headers={"Retry-After": "5"})
        return web.json_response({"status": "ok", "worker": durable.workers.name})

    async def show_metrics(request: web.Request) -> web.Response:
        for kind in durable.kinds:
            metrics.waiting(kind, await asyncio.to_thread(durable.orders.waiting, kind))
        return web.Response(body=metrics.text(), headers={"Content-Type": metrics.content_type})

    # The receiver limits bodies itself, and by time as well.
    app = web.Application(middlewares=[_measuring(metrics)])
    app.router.add_post("/webhook", receiver)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    return app


async def _why_not_ready(durable: Durable) -> str:
    """Return why no delivery could be kept, or ""."""
    if not durable.workers.alive:
        return "no heartbeat"
    try:
        await asyncio.to_thread(durable.orders.running)
    except StoreError:
        return "no database"
    return ""


def _measuring(metrics: Metrics) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        status = 499  # the caller left
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except web.HTTPException as error:
            status = error.status
            raise
        except StoreError as error:
            status = 503
            _log.error("request.no_database", reason=str(error))
            return web.Response(status=503)
        except Exception:  # noqa: BLE001 - the outermost loop of a request: log, answer, go on
            status = 500
            _log.exception("request.broke")
            return web.Response(status=500)
        finally:
            resource = request.match_info.route.resource
            metrics.answered(resource.canonical if resource else "none", status, time.monotonic() - started)

    return middleware
