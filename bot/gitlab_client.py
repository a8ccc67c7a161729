"""GitLab as the bot sees it: `PythonGitLab`, which knows paths and fields. Requests are `bot.gitlab_rest`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import quote

from bot import gitlab_json as shape
from bot.errors import GitLabRefused, NotFound
from bot.gitlab import (
    Access,
    CommitStatus,
    Discussion,
    DraftNote,
    FileChange,
    Hook,
    MergeRequest,
    MergeRequestRef,
    Note,
    Position,
    Project,
    Reaction,
    StillCurrent,
    Todo,
    Token,
    User,
    Version,
)
from bot.gitlab_connection import Connection, ConnectionOptions, Find, always
from bot.gitlab_json import Json
from bot.gitlab_rest import Rest
from bot.markers import marker_of

_T = TypeVar("_T")
_OPEN = {"state": "opened", "order_by": "updated_at", "sort": "asc"}
_INSTANT = timedelta(milliseconds=1)  # GitLab shows no less


class PythonGitLab:
    """A GitLab server. See `bot.gitlab.GitLab` for what the methods do."""

    def __init__(self, connection: Connection, still_current: StillCurrent = always) -> None:
        self._connection = connection
        self._still_current = still_current
        self._rest = Rest(connection, still_current)

    @classmethod
    def connect(
        cls, options: ConnectionOptions, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> PythonGitLab:
        """Return a client; nothing is sent yet."""
        return cls(Connection(options, sleep))

    def guarded(self, still_current: StillCurrent) -> PythonGitLab:
        async def both() -> bool:
            return await self._still_current() and await still_current()

        return PythonGitLab(self._connection, both)

    async def close(self) -> None:
        self._connection.close()

    async def me(self) -> User:
        return shape.read_user(await self._rest.get("/user"))

    async def version(self) -> str:
        return str((await self._rest.get("/version")).get("version", ""))

    async def token(self) -> Token:
        return shape.read_token(await self._rest.get("/personal_access_tokens/self"))

    async def user(self, username: str) -> User:
        found = [user async for user in self._rest.list("/users", shape.read_user, username=username)]
        if not found:
            raise NotFound(HTTPStatus.NOT_FOUND, f"no user is called {username}")
        return found[0]

    async def project(self, project: int | str) -> Project:
        return shape.read_project(await self._rest.get(f"/projects/{_part(project)}"))

    def group_projects(self, group: str) -> AsyncIterator[Project]:
        return self._rest.list(
            f"/groups/{_part(group)}/projects",
            shape.read_project,
            include_subgroups="true",
            archived="false",
            with_shared="false",
        )

    async def access_level(self, project_id: int, user_id: int) -> int:
        try:
            return int(
                (await self._rest.get(f"/projects/{project_id}/members/all/{user_id}"))["access_level"]
            )
        except NotFound:
            return Access.NONE

    async def merge_request(self, ref: MergeRequestRef) -> MergeRequest:
        return shape.read_merge_request(await self._rest.get(_mr(ref)))

    async def open_merge_requests(
        self, project_id: int, updated_after: datetime | None = None
    ) -> AsyncIterator[MergeRequest]:
        url, since, number = f"/projects/{project_id}/merge_requests", updated_after, 1
        known: set[tuple[int, datetime | None]] = set()
        more = True
        while more:
            query = _OPEN | ({"updated_after": since.isoformat()} if since else {})
            found, more = await self._rest.page(url, shape.read_merge_request, number, **query)
            for mr in found:
                if (mr.iid, mr.updated_at) not in known:
                    known.add((mr.iid, mr.updated_at))
                    yield mr
            since, number = _next(since, number, found[-1].updated_at if found else None)

    async def versions(self, ref: MergeRequestRef) -> tuple[Version, ...]:
        return await self._rest.all(f"{_mr(ref)}/versions", shape.read_version)

    async def diffs(self, ref: MergeRequestRef) -> tuple[FileChange, ...]:
        return await self._rest.all(f"{_mr(ref)}/diffs", shape.read_change)

    async def raw_file(self, project_id: int, path: str, ref: str, max_bytes: int | None = None) -> bytes:
        url = f"/projects/{project_id}/repository/files/{_part(path)}/raw"
        return await self._rest.download(url, {"ref": ref}, max_bytes)

    def discussions(self, ref: MergeRequestRef) -> AsyncIterator[Discussion]:
        return self._rest.list(f"{_mr(ref)}/discussions", shape.read_discussion)

    async def discussion(self, ref: MergeRequestRef, discussion_id: str) -> Discussion:
        return shape.read_discussion(await self._rest.get(_discussion(ref, discussion_id)))

    def notes(self, ref: MergeRequestRef) -> AsyncIterator[Note]:
        return self._rest.list(
            f"{_mr(ref)}/notes",
            shape.read_note,
            activity_filter="only_comments",
            order_by="updated_at",
            sort="desc",
        )

    async def note(self, ref: MergeRequestRef, note_id: int) -> Note:
        return shape.read_note(await self._rest.get(f"{_mr(ref)}/notes/{note_id}"))

    async def create_note(self, ref: MergeRequestRef, body: str, *, internal: bool = False) -> Note:
        fields: dict[str, object] = {"body": body, "internal": True} if internal else {"body": body}
        find = self._finder(ref, body, _as_note)
        return await self._rest.post(f"{_mr(ref)}/notes", fields, _read_written, find)

    async def edit_note(self, ref: MergeRequestRef, note_id: int, body: str) -> Note:
        return shape.read_note(await self._rest.put(f"{_mr(ref)}/notes/{note_id}", {"body": body}))

    async def delete_note(self, ref: MergeRequestRef, note_id: int) -> None:
        await self._rest.delete(f"{_mr(ref)}/notes/{note_id}")

    async def reply(self, ref: MergeRequestRef, discussion_id: str, body: str) -> Note:
        async def find() -> Note | None:
            thread = await self.discussion(ref, discussion_id)
            return await self._mine_with(body, thread.notes)

        url = f"{_discussion(ref, discussion_id)}/notes"
        return await self._rest.post(url, {"body": body}, _read_written, find if marker_of(body) else None)

    async def create_discussion(
        self, ref: MergeRequestRef, body: str, position: Position | None = None
    ) -> Discussion:
        fields: dict[str, object] = {"body": body}
        if position is not None:
            fields["position"] = shape.write_position(position)
        find = self._finder(ref, body, _as_thread)
        return await self._rest.post(f"{_mr(ref)}/discussions", fields, shape.read_discussion, find)

    async def resolve(self, ref: MergeRequestRef, discussion_id: str, resolved: bool = True) -> None:
        await self._rest.put(_discussion(ref, discussion_id), {"resolved": resolved})

    async def drafts(self, ref: MergeRequestRef) -> tuple[DraftNote, ...]:
        return await self._rest.all(f"{_mr(ref)}/draft_notes", shape.read_draft)

    async def create_draft(
        self, ref: MergeRequestRef, body: str, position: Position | None = None
    ) -> DraftNote:
        marker = marker_of(body)

        async def find() -> DraftNote | None:
            return next((draft for draft in await self.drafts(ref) if marker_of(draft.body) == marker), None)

        fields: dict[str, object] = {"note": body}
        if position is not None:
            fields["position"] = shape.write_position(position)
        url = f"{_mr(ref)}/draft_notes"
        return await self._rest.post(url, fields, shape.read_draft, find if marker else None)

    async def delete_draft(self, ref: MergeRequestRef, draft_id: int) -> None:
        await self._rest.delete(f"{_mr(ref)}/draft_notes/{draft_id}")

    async def publish_drafts(self, ref: MergeRequestRef) -> None:
        url = f"{_mr(ref)}/draft_notes/bulk_publish"
        await self._rest.act(url)

    async def react(self, ref: MergeRequestRef, note_id: int, name: str) -> None:
        url = f"{_mr(ref)}/notes/{note_id}/award_emoji"
        # GitLab answers 404 where the emoji is there already.
        with suppress(NotFound):
            await self._rest.act(url, {"name": name}, repeatable=True)

    async def unreact(self, ref: MergeRequestRef, note_id: int, name: str) -> None:
        me = await self.me()
        for reaction in await self.reactions(ref, note_id):
            if reaction.name == name and reaction.user_id == me.id:
                await self._rest.delete(f"{_mr(ref)}/notes/{note_id}/award_emoji/{reaction.id}")

    async def reactions(self, ref: MergeRequestRef, note_id: int) -> tuple[Reaction, ...]:
        return await self._rest.all(f"{_mr(ref)}/notes/{note_id}/award_emoji", shape.read_reaction)

    async def set_status(self, project_id: int, sha: str, status: CommitStatus) -> None:
        url, fields = f"/projects/{project_id}/statuses/{sha}", shape.write_status(status)

        async def send() -> None:
            await self._rest.act(url, fields, repeatable=True)

        try:
            await send()
        except GitLabRefused as refused:
            if refused.status == HTTPStatus.CONFLICT:
                await send()
            elif "Cannot transition status" not in refused.message:
                raise

    async def upload(self, project_id: int, name: str, data: bytes) -> str:
        return await self._rest.upload(f"/projects/{project_id}/uploads", name, data)

    def todos(self) -> AsyncIterator[Todo]:
        return self._rest.list("/todos", shape.read_todo, state="pending", type="MergeRequest")

    async def mark_todo_done(self, todo_id: int) -> None:
        url = f"/todos/{todo_id}/mark_as_done"
        with suppress(NotFound):
            await self._rest.act(url, repeatable=True)

    async def hooks(self, project_id: int) -> tuple[Hook, ...]:
        return await self._rest.all(f"/projects/{project_id}/hooks", shape.read_hook)

    async def create_hook(
        self, project_id: int, url: str, secret: str, events: Mapping[str, bool], *, verify_tls: bool = True
    ) -> Hook:
        async def find() -> Hook | None:
            return next((hook for hook in await self.hooks(project_id) if hook.url == url), None)

        fields = {"url": url, "token": secret, "enable_ssl_verification": verify_tls, **events}
        return await self._rest.post(f"/projects/{project_id}/hooks", fields, shape.read_hook, find)

    def _finder(self, ref: MergeRequestRef, body: str, take: Callable[[Discussion], _T]) -> Find[_T] | None:
        """Return what looks for a discussion that begins with this body's marker, None without a marker."""
        if marker_of(body) is None:
            return None

        async def find() -> _T | None:
            async for thread in self.discussions(ref):
                if await self._mine_with(body, thread.notes[:1]):
                    return take(thread)
            return None

        return find

    async def _mine_with(self, body: str, notes: Sequence[Note]) -> Note | None:
        """Return the bot's own note with the same marker."""
        marker, me = marker_of(body), await self.me()
        return next(
            (note for note in notes if note.author_id == me.id and marker_of(note.body) == marker), None
        )


def _next(since: datetime | None, number: int, last: datetime | None) -> tuple[datetime | None, int]:
    """Return from when, and which page of that, to read on.

    By time and not by number: what is updated meanwhile goes to the end, and the first of the next page
    would slip into the one that was read.
    """
    later = last - _INSTANT if last is not None else since
    return (since, number + 1) if later == since else (later, 1)


def _as_note(thread: Discussion) -> Note:
    return thread.notes[0]


def _as_thread(thread: Discussion) -> Discussion:
    return thread


def _read_written(data: Json) -> Note:
    """Return the note that was written; a text of quick actions alone makes none."""
    if "id" not in data:
        raise GitLabRefused(HTTPStatus.ACCEPTED, "the text held nothing but quick actions")
    return shape.read_note(data)


def _part(name: int | str) -> str:
    return quote(str(name), safe="")


def _mr(ref: MergeRequestRef) -> str:
    return f"/projects/{ref.project_id}/merge_requests/{ref.iid}"


def _discussion(ref: MergeRequestRef, discussion_id: str) -> str:
    return f"{_mr(ref)}/discussions/{_part(discussion_id)}"
