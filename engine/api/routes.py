"""What a route is: the handler, who may call it, and all that the OpenAPI description says of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from engine.api.callers import Caller
from engine.api.problems import MEDIA_TYPE, Problem, ProblemBody, ProblemKind, invalid
from engine.tokens import Role
from engine.wire import Language

MAX_QUERY = 255
"""Characters of one parameter of the query."""

CALLER = web.RequestKey("caller", Caller)
"""Where a handler finds who calls."""

_Model = TypeVar("_Model", bound=BaseModel)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of the API."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: Mapping[int, type[BaseModel] | str]  # status -> body, or the media type of what is no model
    role: Role | None = Role.REVIEWER  # None: anyone, without a token
    body: type[BaseModel] | None = None
    problems: tuple[ProblemKind, ...] = ()
    path_patterns: Mapping[str, str] = field(default_factory=dict)  # parameter of the path -> its pattern
    query: Mapping[str, str] = field(default_factory=dict)  # parameter after the ? -> what it is
    files: Mapping[str, bool] = field(default_factory=dict)  # part of a form -> whether it has to be there
    streams: tuple[type[BaseModel], ...] = ()  # what it also tells as server-sent events, if asked to


def check_address(request: web.Request, route: Route) -> None:
    """Raise Problem 404 or 422 unless path and query are as the route describes them."""
    for name, pattern in route.path_patterns.items():
        if not re.fullmatch(pattern, request.match_info[name]):
            raise Problem(ProblemKind.NOT_FOUND)
    for name, value in request.query.items() if route.query else ():
        if name not in route.query:
            raise Problem(ProblemKind.INVALID_REQUEST, f"the query takes {', '.join(route.query)}")
        if len(value) > MAX_QUERY:
            raise Problem(ProblemKind.INVALID_REQUEST, f"{name}: at most {MAX_QUERY} characters")


async def read_body(request: web.Request, model: type[_Model]) -> _Model:
    """Return the body; raises Problem 400, 413, 415 or 422."""
    if request.content_type != "application/json":
        raise Problem(ProblemKind.UNSUPPORTED_MEDIA_TYPE, "application/json")
    try:
        data = await request.read()
    except web.RequestPayloadError as error:
        raise Problem(ProblemKind.BAD_REQUEST, "the body cannot be decoded") from error
    try:
        return model.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise invalid(error) from error


def answer(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON response."""
    return web.Response(
        body=model.model_dump_json().encode(),
        status=status,
        headers=headers,
        content_type=MEDIA_TYPE if isinstance(model, ProblemBody) else "application/json",
    )


def wants_events(request: web.Request) -> bool:
    """Tell whether the caller would rather have events than one body."""
    return "text/event-stream" in request.headers.get("Accept", "")


def preferred_language(request: web.Request) -> Language:
    """Return the first language of Accept-Language that we speak, English for none."""
    for entry in request.headers.get("Accept-Language", "").split(","):
        tag = entry.split(";")[0].strip().lower().split("-")[0]
        if tag in set(Language):
            return Language(tag)
    return Language.EN
