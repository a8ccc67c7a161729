"""What every handler of the fake needs: who asks, for what, with which body; how GitLab answers. No state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from bot.fake_gitlab.state import Account, StoredMergeRequest, StoredProject, World

WORLD = web.AppKey("world", World)
CALLER = web.RequestKey("caller", Account)
MAX_PAGE = 100
TOKEN_HEADERS = ("PRIVATE-TOKEN", "JOB-TOKEN", "Authorization")

_Model = TypeVar("_Model", bound=BaseModel)


class Failure(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: object) -> None:
        self.status = status
        self.body = body
        super().__init__(f"{status} {body}")


def not_found(what: str = "404 Not found") -> Failure:
    """Return the answer for what is not there."""
    return Failure(404, {"message": what})


def created(value: object) -> web.Response:
    """Return the answer to a POST."""
    return web.json_response(value, status=201)


def nothing() -> web.Response:
    """Return an answer without body and content type: 204."""
    return web.Response(status=204, headers={})


def page(request: web.Request, rows: Sequence[object]) -> web.Response:
    """Return one page of `rows` as the query asks, with GitLab's headers."""
    number = _positive(request, "page", 1)
    size = min(MAX_PAGE, _positive(request, "per_page", 20))
    pages = max(1, -(-len(rows) // size))
    following = str(number + 1) if number < pages else ""
    headers = {
        "X-Page": str(number),
        "X-Per-Page": str(size),
        "X-Next-Page": following,
        "X-Prev-Page": str(number - 1) if number > 1 else "",
        "X-Total": str(len(rows)),
        "X-Total-Pages": str(pages),
    }
    if following:
        url = request.url.update_query({"page": following, "per_page": str(size)})
        headers["Link"] = f'<{url}>; rel="next"'
    return web.json_response(rows[(number - 1) * size : number * size], headers=headers)


async def body_of(request: web.Request, model: type[_Model]) -> _Model:
    """Return the body; Failure 400 in the form of GitLab's parameter checks where it does not fit."""
    text = await request.text()
    if text and request.content_type != "application/json":
        raise Failure(415, {"error": "The provided content-type is not supported."})
    try:
        return model.model_validate_json(text or "{}")
    except ValidationError as error:
        raise Failure(400, {"error": _complaint(error)}) from error


def _complaint(error: ValidationError) -> str:
    first = error.errors()[0]
    head, *rest = (str(part) for part in first["loc"]) if first["loc"] else ("body",)
    name = head + "".join(f"[{part}]" for part in rest)
    return f"{name} is missing" if first["type"] == "missing" else f"{name} is invalid: {first['msg']}"


def query(request: web.Request, *allowed: str) -> None:
    """Raise Failure 400 for a parameter of the query that the operation does not know."""
    for name in request.query:
        if name not in (*allowed, "page", "per_page"):
            raise Failure(400, {"error": f"{name} is not a parameter of this operation"})


def caller(request: web.Request) -> Account:
    """Return who asks."""
    return request[CALLER]


def project_of(request: web.Request) -> StoredProject:
    """Return the project in the path, by id or by path."""
    wanted = request.match_info["id"]
    for project in request.app[WORLD].projects.values():
        if wanted in (str(project.id), project.path):
            return project
    raise not_found("404 Project Not Found")


def merge_request_of(request: web.Request) -> tuple[StoredProject, StoredMergeRequest]:
    """Return the merge request in the path."""
    project = project_of(request)
    mr = project.merge_requests.get(int(request.match_info["iid"]))
    if mr is None:
        raise not_found()
    return project, mr


def require(request: web.Request, project: StoredProject, level: int) -> None:
    """Raise Failure 403 unless the caller has at least this role."""
    if project.members.get(caller(request).id, 0) < level:
        raise Failure(403, {"message": "403 Forbidden"})


def dumps(value: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise Failure(400, {"error": f"{name} does not have a valid value"})
    return int(text)
