"""/v1/adapters: what a project has, and which of it serves."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from engine.adapters import FILES, MANIFEST
from engine.api.problems import Problem, ProblemKind
from engine.api.routes import CALLER, Route, answer, read_body
from engine.api.uploads import PARTS, received
from engine.curves import LossCurve
from engine.errors import AdapterConflict, AdapterError, UnknownAdapter
from engine.lifecycle import DEFAULT_PROJECT, AdapterState, Promotion, RegisteredAdapter, score_rows
from engine.store.registry import Registry
from engine.tokens import Role

_VERSION = r"^[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{12}$"
_FILE = rf"^({'|'.join(re.escape(name) for name in (MANIFEST, *FILES))})$"
_PROJECT = {"project": "E.g. group/app; the token's only one, or the common one, if not given."}
_T = TypeVar("_T")


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AdapterList(_Body):
    """Adapters, the newest first."""

    adapters: tuple[RegisteredAdapter, ...]


class PromotionList(_Body):
    """Changes of champion, the latest first."""

    promotions: tuple[Promotion, ...]


class ProjectChoice(_Body):
    """The project that is meant."""

    project: str = Field(default="", max_length=255)


class RollBack(_Body):
    """Which project returns to which champion."""

    project: str = Field(default="", max_length=255)
    version: str = Field(default="", max_length=80, description="The one before, if empty.")


class CompareRequest(_Body):
    """Adapters to lay side by side."""

    project: str = Field(default="", max_length=255)
    versions: tuple[str, ...] = Field(min_length=1, max_length=20)


class Comparison(_Body):
    """Adapters side by side."""

    adapters: tuple[RegisteredAdapter, ...]
    scores: dict[str, tuple[float | None, ...]] = Field(
        description="Score -> its value for each adapter, in order."
    )


def routes(registry: Registry, base_sha256: str | None = None) -> tuple[Route, ...]:
    """Return the routes of this resource. Adapters for another base than `base_sha256` are not taken."""

    async def show_all(request: web.Request) -> web.StreamResponse:
        project = request[CALLER].project(request.query.get("project", ""))
        state = _state(request.query.get("state", ""))
        found = await _asked(lambda: registry.list_adapters(project or None, state))
        return answer(AdapterList(adapters=tuple(found)))

    async def show(request: web.Request) -> web.StreamResponse:
        project, version = _queried(request), request.match_info["version"]
        return answer(await _asked(lambda: registry.show(project, version)))

    async def curve(request: web.Request) -> web.StreamResponse:
        project, version = _queried(request), request.match_info["version"]
        return answer(await _asked(lambda: registry.curve(project, version)))

    async def upload(request: web.Request) -> web.StreamResponse:
        project = _queried(request)
        async with received(request, registry.data) as directory:
            adapter = await _asked(
                lambda: registry.import_adapter(directory, project, base_sha256=base_sha256),
                unnamed=str(directory),
            )
        return answer(adapter, 201, {"Location": f"/v1/adapters/{adapter.version}"})

    async def download(request: web.Request) -> web.StreamResponse:
        project, version = _queried(request), request.match_info["version"]
        adapter = await _asked(lambda: registry.show(project, version))
        return web.FileResponse(
            registry.directory(adapter) / request.match_info["name"],
            headers={"Content-Type": "application/octet-stream"},
        )

    async def promote(request: web.Request) -> web.StreamResponse:
        project = _meant(request, (await read_body(request, ProjectChoice)).project)
        version, caller = request.match_info["version"], request[CALLER]
        return answer(await _asked(lambda: registry.promote(project, version, caller.id)))

    async def reject(request: web.Request) -> web.StreamResponse:
        project = _meant(request, (await read_body(request, ProjectChoice)).project)
        version = request.match_info["version"]
        return answer(await _asked(lambda: registry.reject(project, version)))

    async def roll_back(request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, RollBack)
        project, caller = _meant(request, wanted.project), request[CALLER]
        return answer(await _asked(lambda: registry.roll_back(project, wanted.version or None, caller.id)))

    async def compare(request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, CompareRequest)
        project = _meant(request, wanted.project)
        found = await _asked(lambda: registry.compare(project, wanted.versions))
        scores = {name: tuple(values) for name, values in score_rows(found)}
        return answer(Comparison(adapters=tuple(found), scores=scores))

    async def history(request: web.Request) -> web.StreamResponse:
        project = _queried(request)
        return answer(PromotionList(promotions=tuple(await _asked(lambda: registry.history(project)))))

    async def delete(request: web.Request) -> web.StreamResponse:
        project, version = _queried(request), request.match_info["version"]
        adapter = await _asked(lambda: registry.show(project, version))
        await _asked(lambda: registry.delete(project, version))
        return answer(adapter)

    one, unknown, conflict = {"version": _VERSION}, ProblemKind.UNKNOWN_ADAPTER, ProblemKind.CONFLICT
    states = {"state": f"One of {', '.join(AdapterState)}; all if not given."}
    return (
        Route(
            "GET",
            "/v1/adapters",
            show_all,
            "List adapters.",
            {200: AdapterList},
            query=_PROJECT | states,
            problems=(ProblemKind.INVALID_REQUEST,),
        ),
        Route(
            "POST",
            "/v1/adapters",
            upload,
            "Take in an adapter as a candidate: its files, and a signature where keys are in use.",
            {201: RegisteredAdapter},
            Role.TRAINER,
            query=_PROJECT,
            files=PARTS,
            problems=(
                ProblemKind.BAD_REQUEST,
                ProblemKind.BODY_TOO_LARGE,
                ProblemKind.UNSUPPORTED_MEDIA_TYPE,
                ProblemKind.INVALID_ADAPTER,
            ),
        ),
        Route(
            "POST",
            "/v1/adapters/compare",
            compare,
            "Lay the scores of adapters side by side.",
            {200: Comparison},
            body=CompareRequest,
            problems=(unknown,),
        ),
        Route(
            "POST",
            "/v1/adapters/roll-back",
            roll_back,
            "Return to an earlier champion. Reviews that run go on with the adapter they began with.",
            {200: RegisteredAdapter},
            Role.ADMIN,
            body=RollBack,
            problems=(unknown, conflict),
        ),
        Route(
            "GET",
            "/v1/adapters/history",
            history,
            "List the changes of champion.",
            {200: PromotionList},
            query=_PROJECT,
        ),
        Route(
            "GET",
            "/v1/adapters/{version}",
            show,
            "Show an adapter.",
            {200: RegisteredAdapter},
            query=_PROJECT,
            path_patterns=one,
            problems=(unknown,),
        ),
        Route(
            "GET",
            "/v1/adapters/{version}/curve",
            curve,
            "The loss of an adapter's training by step; without points where it was not recorded.",
            {200: LossCurve},
            query=_PROJECT,
            path_patterns=one,
            problems=(unknown, ProblemKind.INVALID_ADAPTER),
        ),
        Route(
            "GET",
            "/v1/adapters/{version}/files/{name}",
            download,
            "One file of an adapter, to measure another one against it.",
            {200: "application/octet-stream"},
            Role.TRAINER,
            query=_PROJECT,
            path_patterns=one | {"name": _FILE},
            problems=(unknown,),
        ),
        Route(
            "POST",
            "/v1/adapters/{version}/promote",
            promote,
            "Make an adapter champion. Reviews that run go on with the adapter they began with.",
            {200: RegisteredAdapter},
            Role.ADMIN,
            body=ProjectChoice,
            path_patterns=one,
            problems=(unknown, conflict),
        ),
        Route(
            "POST",
            "/v1/adapters/{version}/reject",
            reject,
            "Have an adapter never serve.",
            {200: RegisteredAdapter},
            Role.TRAINER,
            body=ProjectChoice,
            path_patterns=one,
            problems=(unknown, conflict),
        ),
        Route(
            "DELETE",
            "/v1/adapters/{version}",
            delete,
            "Forget an adapter.",
            {200: RegisteredAdapter},
            Role.ADMIN,
            query=_PROJECT,
            path_patterns=one,
            problems=(unknown, conflict),
        ),
    )


def _queried(request: web.Request) -> str:
    return _meant(request, request.query.get("project", ""))


def _meant(request: web.Request, wanted: str) -> str:
    return request[CALLER].project(wanted) or DEFAULT_PROJECT


def _state(name: str) -> AdapterState | None:
    try:
        return AdapterState(name) if name else None
    except ValueError as error:
        raise Problem(ProblemKind.INVALID_REQUEST, f"state: one of {', '.join(AdapterState)}") from error


async def _asked(question: Callable[[], _T], unnamed: str = "") -> _T:
    """Return the registry's answer, given in a thread; its refusals become problems.

    `unnamed` is a path of this machine, which is nobody else's concern.
    """
    with _as_problems(unnamed):
        return await asyncio.to_thread(question)


@contextmanager
def _as_problems(unnamed: str) -> Iterator[None]:
    try:
        yield
    except UnknownAdapter as error:
        raise Problem(ProblemKind.UNKNOWN_ADAPTER, str(error)) from error
    except AdapterConflict as error:
        raise Problem(ProblemKind.CONFLICT, str(error)) from error
    except AdapterError as error:
        text = str(error)
        if unnamed:
            text = text.replace(f"{unnamed}/", "").replace(unnamed, "the upload")
        raise Problem(ProblemKind.INVALID_ADAPTER, text) from error
