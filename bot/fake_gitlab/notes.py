"""The fake's operations on discussions, notes, drafts and emoji."""

from __future__ import annotations

from aiohttp import web

from bot.fake_gitlab import render, shapes
from bot.fake_gitlab.options import OPTIONS, WEBHOOKS
from bot.fake_gitlab.requests import (
    WORLD,
    Failure,
    body_of,
    caller,
    created,
    merge_request_of,
    not_found,
    nothing,
    page,
    query,
)
from bot.fake_gitlab.state import Draft, StoredNote, Thread
from bot.fake_gitlab.threads import OnlyActions, Writing

_MR = "/projects/{id}/merge_requests/{iid:\\d+}"
_DISCUSSION = f"{_MR}/discussions/{{discussion:[0-9a-f]{{40}}}}"
_NOTE = f"{_MR}/notes/{{note:\\d+}}"


def routes() -> list[web.RouteDef]:
    """Return the operations of this module."""
    return [
        web.get(f"{_MR}/discussions", list_discussions),
        web.post(f"{_MR}/discussions", create_discussion),
        web.get(_DISCUSSION, get_discussion),
        web.put(_DISCUSSION, resolve_discussion),
        web.post(f"{_DISCUSSION}/notes", reply),
        web.put(f"{_DISCUSSION}/notes/{{note:\\d+}}", edit_thread_note),
        web.delete(f"{_DISCUSSION}/notes/{{note:\\d+}}", delete_note),
        web.get(f"{_MR}/notes", list_notes),
        web.post(f"{_MR}/notes", create_note),
        web.get(_NOTE, get_note),
        web.put(_NOTE, edit_note),
        web.delete(_NOTE, delete_note),
        web.get(f"{_NOTE}/award_emoji", list_awards),
        web.post(f"{_NOTE}/award_emoji", award),
        web.delete(f"{_NOTE}/award_emoji/{{award:\\d+}}", revoke),
        web.get(f"{_MR}/draft_notes", list_drafts),
        web.post(f"{_MR}/draft_notes", create_draft),
        web.post(f"{_MR}/draft_notes/bulk_publish", publish_drafts),
        web.delete(f"{_MR}/draft_notes/{{draft:\\d+}}", delete_draft),
    ]


def writing(request: web.Request) -> Writing:
    """Return the caller's pen in the merge request of the path."""
    project, mr = merge_request_of(request)
    options = request.app[OPTIONS]
    return Writing(
        request.app[WORLD],
        request.app[WEBHOOKS],
        project,
        mr,
        caller(request),
        files_can_be_named=options.file_positions,
    )


def _thread(request: web.Request, pen: Writing) -> Thread:
    wanted = request.match_info["discussion"]
    thread = next((thread for thread in pen.mr.threads if thread.id == wanted), None)
    if thread is None:
        raise not_found("404 Discussion Not Found")
    return thread


def _note(request: web.Request, pen: Writing) -> tuple[Thread, StoredNote]:
    return pen.thread_of(int(request.match_info["note"]))


def _own_note(request: web.Request, pen: Writing) -> tuple[Thread, StoredNote]:
    thread, note = _note(request, pen)
    if note.author is not pen.author:
        raise Failure(403, {"message": "403 Forbidden"})
    return thread, note


def _shown(pen: Writing, note: StoredNote) -> render.Json:
    return render.note(note, pen.project.id, pen.mr)


async def list_discussions(request: web.Request) -> web.Response:
    query(request)
    pen = writing(request)
    return page(request, [render.thread(thread, pen.project.id, pen.mr) for thread in pen.mr.threads])


async def get_discussion(request: web.Request) -> web.Response:
    pen = writing(request)
    return web.json_response(render.thread(_thread(request, pen), pen.project.id, pen.mr))


async def create_discussion(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.NewDiscussion)
    try:
        thread, _ = pen.discussion(body.body, body.position)
    except OnlyActions as error:
        raise Failure(400, {"message": '400 Bad request - Note {:note=>["can\'t be blank"]}'}) from error
    return created(render.thread(thread, pen.project.id, pen.mr))


async def resolve_discussion(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.Resolution)
    thread = _thread(request, pen)
    pen.resolve(thread, body.resolved)
    return web.json_response(render.thread(thread, pen.project.id, pen.mr))


async def reply(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.NewReply)
    try:
        return created(_shown(pen, pen.reply(_thread(request, pen), body.body)))
    except OnlyActions as only:
        return _accepted(only)


async def edit_thread_note(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.EditedThreadNote)
    if body.body is not None:
        thread, note = _own_note(request, pen)
        return web.json_response(_shown(pen, pen.edit(thread, note, body.body)))
    thread, note = _note(request, pen)
    pen.resolve(thread, bool(body.resolved))
    return web.json_response(_shown(pen, note))


async def list_notes(request: web.Request) -> web.Response:
    query(request, "order_by", "sort", "activity_filter")
    pen = writing(request)
    comments = request.query.get("activity_filter") == "only_comments"
    notes = [note for note in pen.mr.notes if not (comments and note.system)]
    changed = request.query.get("order_by") == "updated_at"
    notes.sort(
        key=lambda note: note.updated_at if changed else note.created_at,
        reverse=request.query.get("sort", "desc") == "desc",
    )
    return page(request, [_shown(pen, note) for note in notes])


async def create_note(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.NewNote)
    try:
        _, note = pen.note(body.body, internal=body.internal)
    except OnlyActions as only:
        return _accepted(only)
    return created(_shown(pen, note))


async def get_note(request: web.Request) -> web.Response:
    pen = writing(request)
    return web.json_response(_shown(pen, _note(request, pen)[1]))


async def edit_note(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.EditedNote)
    thread, note = _own_note(request, pen)
    return web.json_response(_shown(pen, pen.edit(thread, note, body.body)))


async def delete_note(request: web.Request) -> web.Response:
    pen = writing(request)
    thread, note = _own_note(request, pen)
    thread.notes.remove(note)
    if not thread.notes:
        pen.mr.threads.remove(thread)
    return nothing()


async def list_awards(request: web.Request) -> web.Response:
    pen = writing(request)
    _, note = _note(request, pen)
    return page(request, [render.award(each, note.id) for each in note.awards])


async def award(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.Award)
    thread, note = _note(request, pen)
    if any(name == body.name and person is pen.author for _, name, person in note.awards):
        raise not_found("404 Award Emoji Name has already been taken Not Found")
    entry = (next(pen.world.ids), body.name, pen.author)
    note.awards.append(entry)
    pen.webhooks.emoji(pen.project, pen.mr, thread.id, note, entry, "award")
    return created(render.award(entry, note.id))


async def revoke(request: web.Request) -> web.Response:
    pen = writing(request)
    thread, note = _note(request, pen)
    wanted = int(request.match_info["award"])
    entry = next((each for each in note.awards if each[0] == wanted), None)
    if entry is None:
        raise not_found()
    if entry[2] is not pen.author:
        raise Failure(403, {"message": "403 Forbidden"})
    note.awards.remove(entry)
    pen.webhooks.emoji(pen.project, pen.mr, thread.id, note, entry, "revoke")
    return nothing()


async def list_drafts(request: web.Request) -> web.Response:
    query(request)
    pen = writing(request)
    return page(request, [render.draft(draft) for draft in pen.mr.drafts if draft.author is pen.author])


async def create_draft(request: web.Request) -> web.Response:
    pen, body = writing(request), await body_of(request, shapes.NewDraft)
    position = body.position.model_dump(exclude_unset=True) if body.position else None
    draft = Draft(
        next(pen.world.ids),
        pen.author,
        body.note.replace("\r", ""),
        position,
        body.in_reply_to_discussion_id,
        body.resolve_discussion,
    )
    pen.mr.drafts.append(draft)
    return created(render.draft(draft))


async def publish_drafts(request: web.Request) -> web.Response:
    pen = writing(request)
    await body_of(request, shapes.Nothing)
    drafts, options = list(pen.mr.drafts), request.app[OPTIONS]
    pen.publish()
    if options.half_publishes:
        options.half_publishes -= 1
        pen.mr.drafts = drafts
        raise Failure(500, {"message": "500 Internal Server Error"})
    return nothing()


async def delete_draft(request: web.Request) -> web.Response:
    pen = writing(request)
    wanted = int(request.match_info["draft"])
    draft = next((each for each in pen.mr.drafts if each.id == wanted and each.author is pen.author), None)
    if draft is None:
        raise not_found()
    pen.mr.drafts.remove(draft)
    return nothing()


def _accepted(only: OnlyActions) -> web.Response:
    changes = {action.name: True for action in only.actions}
    return web.json_response({"commands_changes": changes, "summary": ["Commands applied"]}, status=202)
