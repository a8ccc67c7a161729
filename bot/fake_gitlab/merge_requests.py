"""The fake's operations on merge requests and their diffs."""

from __future__ import annotations

from datetime import datetime

from aiohttp import web

from bot.fake_gitlab import render, shapes
from bot.fake_gitlab.options import OPTIONS, WEBHOOKS
from bot.fake_gitlab.requests import (
    WORLD,
    Failure,
    body_of,
    caller,
    merge_request_of,
    not_found,
    page,
    project_of,
    query,
    require,
)
from bot.fake_gitlab.state import StoredMergeRequest, StoredProject, StoredVersion, ToDo
from bot.gitlab import Access, FileChange

_MR = "/projects/{id}/merge_requests/{iid:\\d+}"


def routes() -> list[web.RouteDef]:
    """Return the operations of this module."""
    return [
        web.get("/projects/{id}/merge_requests", list_merge_requests),
        web.get(_MR, get_merge_request),
        web.put(_MR, edit_merge_request),
        web.get(f"{_MR}/versions", list_versions),
        web.get(f"{_MR}/versions/{{version:\\d+}}", get_version),
        web.get(f"{_MR}/diffs", list_diffs),
        web.get(f"{_MR}/raw_diffs", raw_diffs),
    ]


def _shown(request: web.Request, project: StoredProject, mr: StoredMergeRequest, refs: bool) -> render.Json:
    url = request.app[WEBHOOKS].url_of(project, mr)
    return render.merge_request(project, mr, url, refs)


def _version(mr: StoredMergeRequest) -> StoredVersion:
    """Return the newest version, or the one before where a read is still to find that."""
    if mr.stale_reads and len(mr.versions) > 1:
        mr.stale_reads -= 1
        return mr.versions[-2]
    return mr.version


async def list_merge_requests(request: web.Request) -> web.Response:
    query(request, "state", "updated_after", "order_by", "sort", "scope", "source_branch")
    project = project_of(request)
    wanted = [
        mr
        for mr in project.merge_requests.values()
        if request.query.get("state", "all") in ("all", mr.state)
        and request.query.get("source_branch", mr.source_branch) == mr.source_branch
        and mr.updated_at > _moment(request.query.get("updated_after"))
    ]
    changed = request.query.get("order_by") == "updated_at"
    wanted.sort(
        key=lambda mr: mr.updated_at.timestamp() if changed else mr.iid,
        reverse=request.query.get("sort", "desc") == "desc",
    )
    return page(request, [_shown(request, project, mr, True) for mr in wanted])


async def get_merge_request(request: web.Request) -> web.Response:
    project, mr = merge_request_of(request)
    with_refs = not mr.late_refs
    mr.late_refs = max(0, mr.late_refs - 1)
    return web.json_response(_shown(request, project, mr, with_refs))


async def edit_merge_request(request: web.Request) -> web.Response:
    project, mr = merge_request_of(request)
    require(request, project, Access.DEVELOPER)
    edit = await body_of(request, shapes.MergeRequestEdit)
    changes: dict[str, object] = {}
    if edit.title is not None:
        changes["title"] = {"previous": mr.title, "current": edit.title}
        mr.title = edit.title
    if edit.description is not None:
        changes["description"] = {"previous": mr.description, "current": edit.description}
        mr.description = edit.description
    if edit.reviewer_ids is not None:
        changes["reviewers"] = _set_reviewers(request, project, mr, edit.reviewer_ids)
    action = "update"
    if edit.state_event is not None:
        action = edit.state_event
        mr.state = "closed" if action == "close" else "opened"
    mr.updated_at = request.app[WORLD].now()
    request.app[WEBHOOKS].merge_request(project, mr, caller(request), action, changes=changes)
    return web.json_response(_shown(request, project, mr, True))


def _set_reviewers(
    request: web.Request, project: StoredProject, mr: StoredMergeRequest, ids: list[int]
) -> dict[str, object]:
    world = request.app[WORLD]
    before, mr.reviewers = mr.reviewers, [person for person in world.people if person.id in ids]
    for person in mr.reviewers:
        if person not in before:
            world.todos.append(
                ToDo(
                    next(world.ids),
                    person,
                    caller(request),
                    "review_requested",
                    project.id,
                    mr.iid,
                    None,
                    mr.title,
                    world.now(),
                )
            )
    return {
        "previous": [render.account(person) for person in before],
        "current": [render.account(person) for person in mr.reviewers],
    }


async def list_versions(request: web.Request) -> web.Response:
    query(request)
    _, mr = merge_request_of(request)
    versions = mr.versions[: mr.versions.index(_version(mr)) + 1]
    return page(request, [render.version(version, mr) for version in reversed(versions)])


async def get_version(request: web.Request) -> web.Response:
    query(request, "unidiff")
    _, mr = merge_request_of(request)
    wanted = int(request.match_info["version"])
    version = next((version for version in mr.versions if version.id == wanted), None)
    if version is None:
        raise not_found()
    return web.json_response(
        {**render.version(version, mr), "diffs": [_change(request, each) for each in version.changes]}
    )


async def list_diffs(request: web.Request) -> web.Response:
    query(request, "unidiff")
    _, mr = merge_request_of(request)
    return page(request, [_change(request, change) for change in _version(mr).changes])


def _change(request: web.Request, change: FileChange) -> render.Json:
    return render.change(change, newest_fields=request.app[OPTIONS].newest_diff_fields)


async def raw_diffs(request: web.Request) -> web.Response:
    _, mr = merge_request_of(request)
    text = "".join(
        f"diff --git a/{change.old_path} b/{change.new_path}\n"
        f"--- {'/dev/null' if change.new_file else 'a/' + change.old_path}\n"
        f"+++ {'/dev/null' if change.deleted_file else 'b/' + change.new_path}\n{change.diff}"
        for change in mr.version.changes
        if change.diff.startswith("@@")
    )
    return web.Response(text=text, content_type="text/plain")


def _moment(text: str | None) -> datetime:
    try:
        return datetime.fromisoformat(text or "1970-01-01T00:00:00+00:00")
    except ValueError as error:
        raise Failure(400, {"error": "updated_after is invalid"}) from error
