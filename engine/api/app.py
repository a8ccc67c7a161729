"""Routes -> an aiohttp application: tokens, problems, log and measurements around every handler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware

from engine.api.callers import Tokens, authenticate
from engine.api.metrics import Metrics
from engine.api.openapi import describe
from engine.api.problems import Problem, ProblemKind
from engine.api.routes import CALLER, Handler, Route, answer, check_address, preferred_language
from engine.errors import ConfigError
from engine.version import tool_version

_log = structlog.get_logger()
_BY_STATUS = {
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
    413: ProblemKind.BODY_TOO_LARGE,
}


def make_app(
    routes: Iterable[Route], metrics: Metrics, tokens: Tokens | None = None, max_body: int = 16 * 2**20
) -> web.Application:
    """Return the application; without `tokens` anyone may call everything."""
    app = web.Application(client_max_size=max_body, middlewares=[_answering_problems(metrics)])
    routes = (*routes, _openapi(lambda: routes))
    for route in routes:
        app.router.add_route(route.method, route.path, _guarded(route, tokens))
    return app


def _guarded(route: Route, tokens: Tokens | None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.role is not None:
            request[CALLER] = authenticate(tokens, request.headers.get("Authorization"), route.role)
        check_address(request, route)
        return await route.handler(request)

    return handle


def _openapi(routes: Callable[[], Iterable[Route]]) -> Route:
    async def show(request: web.Request) -> web.StreamResponse:
        return web.json_response(describe(routes(), tool_version()))

    return Route("GET", "/openapi.json", show, "Show this description.", {200: "application/json"}, role=None)


def _answering_problems(metrics: Metrics) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        try:
            response = await handler(request)
        except (Problem, web.HTTPException, ConfigError) as error:
            response = _response(request, error)
        except (ConnectionError, TimeoutError, asyncio.CancelledError) as error:  # the caller left
            _note(request, 499, started, metrics)
            if isinstance(error, ConnectionError):  # to aiohttp that would be a fault of ours, logged as one
                raise asyncio.CancelledError from error
            raise
        except Exception:  # noqa: BLE001 - the outermost loop of a request: log, answer, go on
            _log.exception("request.broke", route=_route(request))
            response = _response(request, Problem(ProblemKind.INTERNAL))
        _note(request, response.status, started, metrics)
        return response

    return middleware


def _response(request: web.Request, error: Problem | web.HTTPException | ConfigError) -> web.Response:
    headers: dict[str, str] = {}
    if isinstance(error, web.HTTPException):
        kind = _BY_STATUS.get(error.status, ProblemKind.BAD_REQUEST)
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        error = Problem(kind)
    elif isinstance(error, ConfigError):
        _log.error("configuration.unusable", reason=str(error))
        error = Problem(ProblemKind.INTERNAL)
    return answer(
        error.body(preferred_language(request)), error.kind.status, {**headers, **dict(error.headers)}
    )


def _note(request: web.Request, status: int, started: float, metrics: Metrics) -> None:
    route, seconds = _route(request), round(time.monotonic() - started, 4)
    metrics.request(route, status)
    caller = request.get(CALLER)
    level = _log.debug if route in ("/healthz", "/readyz", "/metrics") else _log.info
    level(
        "request.answered",
        method=request.method if request.method in _METHODS else "other",
        route=route,
        status=status,
        seconds=seconds,
        token=caller.id if caller else "",
    )


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _route(request: web.Request) -> str:
    """The pattern that matched, never the path itself: that is the caller's text."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "none"
