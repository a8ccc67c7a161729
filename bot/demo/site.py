"""The demo's page over HTTP: shows the merge request, takes what is typed, tells of changes as they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot.demo.rendering import page, view
from bot.demo.suggestions import apply_suggestion, suggestion_in
from bot.fake_gitlab import Account, FakeGitLab, StoredMergeRequest, StoredProject
from bot.fake_gitlab.requests import Failure
from bot.fake_gitlab.threads import OnlyActions
from engine.wire import Language

_LOOK_SECONDS = 0.3
_LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """The page of one merge request, which its author looks at."""

    def __init__(
        self,
        fake: FakeGitLab,
        project: StoredProject,
        mr: StoredMergeRequest,
        author: Account,
        language: Language,
    ) -> None:
        self._fake = fake
        self._project = project
        self._mr = mr
        self._author = author
        self._language = language

    def add_to(self, app: web.Application) -> None:
        """Add the page to the fake's application."""
        app.middlewares.append(_guarding())
        app.router.add_get("/", self._show)
        app.router.add_get(f"/{self._project.path}/-/merge_requests/{self._mr.iid}", self._show)
        app.router.add_get("/events", self._events)
        app.router.add_post("/notes", self._say)
        app.router.add_post("/apply", self._apply)
        for name, kind in (("style.css", "text/css"), ("live.js", "text/javascript")):
            app.router.add_get(f"/{name}", _static(name, kind))

    async def _show(self, request: web.Request) -> web.Response:
        return web.Response(
            text=page(self._mr, self._project.path, self._language),
            content_type="text/html",
            headers=_HEADERS,
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the page's changing part whenever it has changed, until the browser leaves."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        shown = ""
        while True:
            now = view(self._mr, self._language)
            data = f"data: {json.dumps(now)}\n\n" if now != shown else ": still here\n\n"
            await response.write(data.encode())
            shown = now
            await asyncio.sleep(_LOOK_SECONDS)

    async def _say(self, request: web.Request) -> web.Response:
        form = await request.post()
        text, thread_id = str(form.get("text", "")).strip(), str(form.get("thread", ""))
        pen = self._fake.as_person(self._author, self._project, self._mr)
        thread = next((thread for thread in self._mr.threads if thread.id == thread_id), None)
        if text:
            with suppress(OnlyActions, Failure):  # nothing to show, as in GitLab
                pen.reply(thread, text) if thread else pen.note(text)
        raise web.HTTPSeeOther("/")

    async def _apply(self, request: web.Request) -> web.Response:
        """Commit a suggestion, as GitLab's button does."""
        number = str((await request.post()).get("note", ""))
        note = next((note for note in self._mr.notes if str(note.id) == number), None)
        suggestion = suggestion_in(note.body) if note else None
        if note is not None and note.position is not None and suggestion is not None:
            tree = self._project.commits[self._mr.version.refs.head_sha]
            path, line = str(note.position["new_path"]), note.position.get("new_line")
            if path in tree and isinstance(line, int):
                changed = apply_suggestion(tree[path].decode(), line, suggestion)
                self._fake.push(self._project, self._mr, {**tree, path: changed})
        raise web.HTTPSeeOther("/")


def _guarding() -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let nothing in that another site's page, or a name that was made to mean this host, sends."""
        origin = request.headers.get("Origin")
        if request.url.host not in _LOCAL or (origin and urlsplit(origin).netloc != request.host):
            raise web.HTTPForbidden
        return await handler(request)

    return middleware


def _static(name: str, kind: str) -> _Handler:
    text = (files("bot.demo") / "static" / name).read_text("utf-8")

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind, headers=_HEADERS)

    return handler
