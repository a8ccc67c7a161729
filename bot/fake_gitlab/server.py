"""The fake server itself: who may come in, what goes wrong on demand, and a world to play in."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.fake_gitlab import merge_requests, notes, packages, projects
from bot.fake_gitlab.faults import Fault, FaultKind
from bot.fake_gitlab.options import OPTIONS, WEBHOOKS, Options
from bot.fake_gitlab.requests import CALLER, WORLD, Failure
from bot.fake_gitlab.state import Account, StoredHook, StoredMergeRequest, StoredProject, World
from bot.fake_gitlab.threads import Writing
from bot.fake_gitlab.webhooks import Webhooks
from bot.gitlab import Access, MergeRequestRef
from engine.listening import listening

API = "/api/v4"

_ALL_EVENTS = (
    "note_events",
    "confidential_note_events",
    "merge_requests_events",
    "emoji_events",
    "push_events",
)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request that came in, and the status of the answer; 0 where the connection was dropped."""

    method: str
    path: str
    body: bytes
    status: int


class FakeGitLab:
    """A GitLab over HTTP. `world` is what it knows and may be changed at any time; so may `options`.

    Used as a context, it listens on a free port of the loopback until the end of the block.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.world = World()
        self.webhooks = Webhooks()
        self.requests: list[Request] = []
        self.silent_to: set[int] = set()  # ports of clients that a fault keeps waiting
        self.url = ""
        self.bot = self.add_person("tenken", bot=True)
        self._site = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen."""
        site = listening(self.app(), host, port, tls, shutdown_seconds=1)
        at = await self._site.enter_async_context(site)
        scheme = "https" if tls else "http"
        self.url = self.webhooks.base_url = f"{scheme}://{host}:{at}"

    async def stop(self) -> None:
        """Stop listening and sending."""
        await self.webhooks.close()
        await self._site.aclose()

    def app(self) -> web.Application:
        """Return the application, for a server that has more to show than the API."""
        api = web.Application(middlewares=[self._log, self._fail, self._authenticate], client_max_size=2**26)
        api[WORLD], api[OPTIONS], api[WEBHOOKS] = self.world, self.options, self.webhooks
        for module in (projects, merge_requests, notes, packages):
            api.add_routes(module.routes())
        app = web.Application(client_max_size=2**26)
        app[WORLD] = self.world
        app.add_subapp(API, api)
        app.add_routes(packages.storage_routes())
        return app

    def fail(self, kind: FaultKind, **details: object) -> Fault:
        """Let something go wrong; see Fault for the details."""
        fault = replace(Fault(kind), **details)  # type: ignore[arg-type]
        self.options.faults.append(fault)
        return fault

    def add_person(self, username: str, *, name: str = "", bot: bool = False) -> Account:
        """Let somebody in whose token is glpat-<username>."""
        number = next(self.world.ids)
        person = Account(number, username, name or username.title(), f"glpat-{username}", bot)
        self.world.people.append(person)
        return person

    def add_project(
        self, path: str = "team/app", files: Mapping[str, str | bytes] | None = None
    ) -> StoredProject:
        """Add a project with one commit on its default branch, in which the bot is a developer."""
        project = StoredProject(next(self.world.ids), path)
        project.members[self.bot.id] = Access.DEVELOPER
        self.world.projects[project.id] = project
        self.world.commit(project, project.default_branch, files or {"README.md": "# App\n"})
        return project

    def add_merge_request(
        self,
        project: StoredProject,
        files: Mapping[str, str | bytes],
        *,
        author: Account | None = None,
        title: str = "A change",
        description: str = "",
        branch: str = "feature",
        fork: StoredProject | None = None,
        draft: bool = False,
    ) -> StoredMergeRequest:
        """Open a merge request whose source branch holds exactly `files`; sends the event."""
        if author is None:
            author = self.add_person(f"author{next(self.world.ids)}")
            project.members[author.id] = Access.DEVELOPER
        source, iid = fork or project, len(project.merge_requests) + 1
        self.world.commit(source, branch, files)
        base = project.branches[project.default_branch]
        mr = StoredMergeRequest(
            iid, title, description, author, branch, project.default_branch, source.id, base,
            self.world.now(), draft=draft,
        )  # fmt: skip
        self.world.add_version(project, mr)
        project.merge_requests[iid] = mr
        if self.url:
            self.webhooks.merge_request(project, mr, author, "open")
        return mr

    def push(self, project: StoredProject, mr: StoredMergeRequest, files: Mapping[str, str | bytes]) -> None:
        """Make `files` the whole content of the source branch; sends the event."""
        before = mr.version.refs.head_sha
        self.world.commit(self.world.projects[mr.source_project_id], mr.source_branch, files)
        self.world.add_version(project, mr)
        if self.url:
            self.webhooks.merge_request(project, mr, mr.author, "update", oldrev=before)

    def add_hook(
        self, project: StoredProject, url: str, token: str = "", signing_key: str = ""
    ) -> StoredHook:
        """Add a webhook for all kinds of events."""
        events = dict.fromkeys(_ALL_EVENTS, True)
        hook = StoredHook(next(self.world.ids), url, token, events, signing_key)
        project.hooks.append(hook)
        return hook

    def as_person(self, person: Account, project: StoredProject, mr: StoredMergeRequest) -> Writing:
        """Return the pen of somebody: what is written with it is told to the hooks."""
        return Writing(self.world, self.webhooks, project, mr, person)

    @staticmethod
    def ref(project: StoredProject, mr: StoredMergeRequest) -> MergeRequestRef:
        """Return which merge request it is."""
        return MergeRequestRef(project.id, mr.iid)

    @web.middleware
    async def _log(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        # Before a fault can cut the connection. A form can be read only once, and its handler does.
        is_form = request.content_type.startswith("multipart/")
        body, status = b"" if is_form else await request.read(), 0
        try:
            answer = await handler(request)
            dropped = request.transport is None or request.transport.is_closing()
            status = 0 if dropped else answer.status
            return answer
        except web.HTTPNotFound:
            status = 404
            return web.json_response({"error": "404 Not Found"}, status=404)
        finally:
            self.requests.append(Request(request.method, request.path, body, status))

    @web.middleware
    async def _fail(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        fault = next((each for each in self.options.faults if each.hits(request.method, request.path)), None)
        if fault is None:
            return await handler(request)
        if fault.kind.is_after:
            await handler(request)
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        if fault.kind.is_silent and peer:
            self.silent_to.add(peer[1])
        fault.reached()
        try:
            return await _broken(request, fault)
        finally:
            self.silent_to -= {peer[1]} if peer else set()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        headers = request.headers
        token = headers.get("PRIVATE-TOKEN") or headers.get("JOB-TOKEN") or _bearer(headers)
        person = self.world.by_token(token)
        if person is None:
            return web.json_response({"message": "401 Unauthorized"}, status=401)
        request[CALLER] = person
        try:
            return await handler(request)
        except Failure as failure:
            return web.json_response(failure.body, status=failure.status)


def _bearer(headers: Mapping[str, str]) -> str:
    kind, _, token = headers.get("Authorization", "").partition(" ")
    return token if kind == "Bearer" else ""


async def _broken(request: web.Request, fault: Fault) -> web.StreamResponse:
    match fault.kind:
        case FaultKind.LIMITED_JSON:
            body = {"message": {"error": "This endpoint has been requested too many times. Try again later."}}
            return web.json_response(body, status=429, headers=_limits(fault))
        case FaultKind.LIMITED_TEXT:
            return web.Response(text="Retry later\n", status=429, headers=_limits(fault))
        case FaultKind.SERVER_ERROR | FaultKind.ERROR_AFTER:
            return web.json_response({"message": "500 Internal Server Error"}, status=500)
        case FaultKind.BAD_GATEWAY:
            return web.Response(text="<html>502</html>", content_type="text/html", status=502)
        case FaultKind.CONFLICT:
            return web.json_response({"message": "409 Conflict"}, status=409)
        case FaultKind.SILENT_BEFORE | FaultKind.SILENT_AFTER:
            await asyncio.sleep(fault.seconds)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _limits(fault: Fault) -> dict[str, str]:
    headers = {}
    if fault.retry_after is not None:
        headers["Retry-After"] = str(fault.retry_after)
    if fault.reset_after is not None:
        headers["RateLimit-Reset"] = str(int(time.time()) + fault.reset_after)
    return headers
