"""The status page over HTTP: read only, for this machine alone unless there is a token for it."""

from __future__ import annotations

import base64
import binascii
import hmac
from importlib.resources import files
from ipaddress import ip_address

from aiohttp import HttpVersion11, web

from bot.status.collect import Collector
from bot.status.rendering import Page
from engine.wire import Language

_LOCAL = ("127.0.0.1", "localhost", "::1")
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="tenken status", charset="UTF-8"'}


class StatusSite:
    """Its `add_to` adds `/status` to an application."""

    def __init__(self, collector: Collector, gitlab_url: str, token: str | None = None) -> None:
        self._collector = collector
        self._gitlab_url = gitlab_url
        self._token = token
        self._style = (files("bot.status") / "static" / "status.css").read_text("utf-8")

    def add_to(self, app: web.Application) -> None:
        """Add the page and its style."""
        app.router.add_get("/status", self._show)
        app.router.add_get("/status.css", self._styles)

    async def _show(self, request: web.Request) -> web.Response:
        self._admit(request)
        page = Page(await self._collector.facts(), language_for(request), self._gitlab_url)
        return web.Response(text=page.html(), content_type="text/html", headers=_HEADERS)

    async def _styles(self, request: web.Request) -> web.Response:
        self._admit(request)
        return web.Response(text=self._style, content_type="text/css", headers=_HEADERS)

    def _admit(self, request: web.Request) -> None:
        """Let in whoever has the token; where there is none, whoever sits at this machine."""
        if self._token is not None:
            given = _given(request).encode("utf-8", "surrogateescape")  # as it came
            if not hmac.compare_digest(given, self._token.encode()):
                raise web.HTTPUnauthorized(headers=_CHALLENGE)
        elif not _is_local(request):
            raise web.HTTPForbidden(
                text="The status page is for the bot's own machine; BOT_STATUS_TOKEN lets others in.\n"
            )


def language_for(request: web.Request) -> Language:
    """Return the language that was asked for, or else the first of the browser's that there is."""
    wanted = [request.query.get("lang", "")]
    wanted += [part.partition(";")[0] for part in request.headers.get("Accept-Language", "").split(",")]
    known = {language.value: language for language in Language}
    codes = (each.strip().lower().partition("-")[0] for each in wanted)
    return next((known[code] for code in codes if code in known), Language.EN)


def _given(request: web.Request) -> str:
    """Return the token that a request brings: as a bearer's, or as the password that a browser asks for."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _is_local(request: web.Request) -> bool:
    """Tell whether a request comes from this machine, and neither by way of a proxy nor of another name.

    A proxy that says nothing of itself shows by the old HTTP/1.0, or by the name it was asked for.
    """
    try:
        local = ip_address(request.remote or "").is_loopback
    except ValueError:
        return False
    forwarded = request.version < HttpVersion11 or any(name in request.headers for name in _FORWARDED)
    return local and request.url.host in _LOCAL and not forwarded
