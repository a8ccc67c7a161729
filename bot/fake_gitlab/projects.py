"""The fake's operations on projects, people and what else belongs to a project."""

from __future__ import annotations

import hashlib
import re

from aiohttp import web

from bot.fake_gitlab import render, shapes
from bot.fake_gitlab.options import OPTIONS, WEBHOOKS
from bot.fake_gitlab.requests import (
    WORLD,
    Failure,
    body_of,
    caller,
    created,
    not_found,
    page,
    project_of,
    query,
    require,
)
from bot.fake_gitlab.state import StoredHook, StoredProject
from bot.fake_gitlab.trees import Tree
from bot.gitlab import Access

_SHA = "{sha:[0-9a-f]{40}}"
_LEVELS = (Access.MINIMAL, 10, 15, 20, 25, 30, 40, 50)


def routes() -> list[web.RouteDef]:
    """Return the operations of this module."""
    return [
        web.get("/user", me),
        web.get("/users", find_users),
        web.get("/version", version),
        web.get("/personal_access_tokens/self", token),
        web.get("/projects/{id}", get_project),
        web.get("/groups/{group}/projects", group_projects),
        web.get("/projects/{id}/members/all/{user:\\d+}", member),
        web.post(f"/projects/{{id}}/statuses/{_SHA}", set_status),
        web.get(f"/projects/{{id}}/repository/commits/{_SHA}/statuses", list_statuses),
        web.get("/projects/{id}/repository/files/{path}/raw", raw_file),
        web.get("/projects/{id}/repository/tree", tree),
        web.get("/projects/{id}/wikis", wikis),
        web.get("/projects/{id}/hooks", list_hooks),
        web.post("/projects/{id}/hooks", create_hook),
        web.get("/todos", todos),
        web.post("/todos/{todo:\\d+}/mark_as_done", mark_todo_done),
        web.post("/projects/{id}/uploads", upload),
    ]


async def me(request: web.Request) -> web.Response:
    return web.json_response(render.account(caller(request)))


async def find_users(request: web.Request) -> web.Response:
    query(request, "username")
    wanted = request.query.get("username", "").lower()
    people = request.app[WORLD].people
    return page(request, [render.account(each) for each in people if each.username.lower() == wanted])


async def version(request: web.Request) -> web.Response:
    return web.json_response({"version": request.app[OPTIONS].version, "revision": "0000000"})


async def token(request: web.Request) -> web.Response:
    person = caller(request)
    expires = person.expires_at.isoformat() if person.expires_at else None
    return web.json_response(
        {
            "id": person.id,
            "name": f"{person.username}'s token",
            "scopes": list(person.scopes),
            "expires_at": expires,
            "active": True,
            "revoked": False,
        }
    )


async def get_project(request: web.Request) -> web.Response:
    return web.json_response(render.project(project_of(request), request.app[WEBHOOKS].base_url))


async def group_projects(request: web.Request) -> web.Response:
    query(request, "include_subgroups", "archived", "order_by", "sort", "with_shared")
    prefix = f"{request.match_info['group']}/"
    found = [each for each in request.app[WORLD].projects.values() if each.path.startswith(prefix)]
    if not found:
        raise not_found("404 Group Not Found")
    return page(request, [render.project(each, request.app[WEBHOOKS].base_url) for each in found])


async def member(request: web.Request) -> web.Response:
    project, number = project_of(request), int(request.match_info["user"])
    person = next((each for each in request.app[WORLD].people if each.id == number), None)
    if person is None or number not in project.members:
        raise not_found()
    level = project.members[number]
    assert level in _LEVELS, level
    return web.json_response({**render.account(person), "access_level": level})


async def set_status(request: web.Request) -> web.Response:
    project, sha = project_of(request), request.match_info["sha"]
    require(request, project, Access.DEVELOPER)
    status = await body_of(request, shapes.Status)
    if sha not in project.commits:
        raise not_found("404 Commit Not Found")
    stored = project.statuses[sha]
    last = next((each for each in reversed(stored) if each["name"] == status.name), None)
    if last is not None and last["status"] == status.state:
        message = f"Cannot transition status via :{status.state} from :{status.state}"
        raise Failure(400, {"message": message})
    number = next(request.app[WORLD].ids)
    stored.append({"id": number, "sha": sha, "status": status.state, **status.model_dump(exclude={"state"})})
    return created(stored[-1])


async def list_statuses(request: web.Request) -> web.Response:
    return page(request, project_of(request).statuses[request.match_info["sha"]])


async def raw_file(request: web.Request) -> web.Response:
    query(request, "ref", "lfs")
    files = _tree(project_of(request), request.query.get("ref"))
    path = request.match_info["path"]
    if path not in files:
        raise not_found("404 File Not Found")
    return web.Response(body=files[path], content_type="text/plain")


async def tree(request: web.Request) -> web.Response:
    query(request, "ref", "path", "recursive", "pagination", "page_token")
    files = _tree(project_of(request), request.query.get("ref"))
    prefix = request.query.get("path", "")
    rows = [
        {"id": hashlib.sha1(data).hexdigest(), "name": path.rpartition("/")[2], "type": "blob", "path": path}
        for path, data in sorted(files.items())
        if path.startswith(prefix)
    ]
    return page(request, rows)


async def wikis(request: web.Request) -> web.Response:
    query(request, "with_content")
    rows = [
        {"slug": slug, "title": slug, "format": "markdown", "content": content}
        for slug, content in project_of(request).wiki.items()
    ]
    return page(request, rows)


async def list_hooks(request: web.Request) -> web.Response:
    project = project_of(request)
    require(request, project, Access.MAINTAINER)
    return page(request, [render.hook(each, project.id) for each in project.hooks])


async def create_hook(request: web.Request) -> web.Response:
    project = project_of(request)
    require(request, project, Access.MAINTAINER)
    wanted = await body_of(request, shapes.NewHook)
    events = {name: value for name, value in wanted.model_dump().items() if name.endswith("_events")}
    hook = StoredHook(next(request.app[WORLD].ids), wanted.url, wanted.token, events)
    project.hooks.append(hook)
    return created(render.hook(hook, project.id))


async def todos(request: web.Request) -> web.Response:
    query(request, "action", "type", "state", "project_id")
    world, webhooks = request.app[WORLD], request.app[WEBHOOKS]
    rows = []
    for todo in reversed(world.todos):
        if todo.owner is caller(request):
            project = world.projects[todo.project_id]
            mr = project.merge_requests[todo.iid]
            rows.append(render.todo(todo, project, webhooks.url_of(project, mr), mr))
    return page(request, rows)


async def mark_todo_done(request: web.Request) -> web.Response:
    world, number = request.app[WORLD], int(request.match_info["todo"])
    todo = next((each for each in world.todos if each.id == number and each.owner is caller(request)), None)
    if todo is None:
        raise not_found()
    world.todos.remove(todo)
    return created({"id": number, "state": "done"})


async def upload(request: web.Request) -> web.Response:
    project = project_of(request)
    file = (await request.post()).get("file")
    if not isinstance(file, web.FileField):
        raise Failure(400, {"error": "file is missing"})
    data = file.file.read()
    name = re.sub(r"[^\w.-]", "_", file.filename)
    url = f"/uploads/{hashlib.md5(data, usedforsecurity=False).hexdigest()}/{name}"
    project.uploads[url] = data
    return created(
        {"alt": name, "url": url, "full_path": f"/{project.path}{url}", "markdown": f"[{name}]({url})"}
    )


def _tree(project: StoredProject, ref: str | None) -> Tree:
    sha = project.branches.get(ref or project.default_branch, ref or "")
    if sha not in project.commits:
        raise not_found("404 Commit Not Found")
    return project.commits[sha]
