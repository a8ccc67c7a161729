"""Webhooks of the fake: payloads as GitLab sends them, and their delivery."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot.fake_gitlab import render
from bot.fake_gitlab.render import Json
from bot.fake_gitlab.requests import dumps
from bot.fake_gitlab.state import Account, StoredHook, StoredMergeRequest, StoredNote, StoredProject


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was sent, and the answer to it: 0 for none."""

    event: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    status: int


class Webhooks:
    """Sends events to the hooks of their project, each in a task of its own, once.

    An answer that takes longer than `patience` seconds, GitLab's own unless set otherwise, is none.
    """

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.base_url = ""
        self.patience = 10.0
        self._session: ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def settle(self) -> None:
        """Wait until everything under way is answered, what came of it included."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, project: StoredProject, event: str, flag: str, payload: Json) -> None:
        """Send an event to each hook of the project that wants its kind."""
        for hook in project.hooks:
            if hook.events.get(flag):
                task = asyncio.create_task(self._post(hook, event, dumps(payload)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def again(self, delivery: Delivery) -> int:
        """Send a delivery once more, as GitLab's button does: same body, same Idempotency-Key."""
        return await self._send(delivery.event, delivery.url, delivery.headers, delivery.body)

    async def _post(self, hook: StoredHook, event: str, body: bytes) -> None:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitLab/18.4.0",
            "X-Gitlab-Event": event,
            "X-Gitlab-Instance": self.base_url,
            "X-Gitlab-Event-UUID": str(uuid.uuid4()),
            "X-Gitlab-Webhook-UUID": str(uuid.uuid4()),
            "Idempotency-Key": str(uuid.uuid4()),
        }
        if hook.token:
            headers["X-Gitlab-Token"] = hook.token
        if hook.signing_key:
            headers |= _signature(hook.signing_key, body)
        await self._send(event, hook.url, headers, body)

    async def _send(self, event: str, url: str, headers: Mapping[str, str], body: bytes) -> int:
        self._session = self._session or ClientSession(timeout=ClientTimeout(total=self.patience))
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                status = answer.status
        except (ClientError, TimeoutError):
            status = 0
        self.deliveries.append(Delivery(event, url, headers, body, status))
        return status

    def note(
        self,
        project: StoredProject,
        mr: StoredMergeRequest,
        discussion_id: str,
        note: StoredNote,
        action: str,
    ) -> None:
        """Tell that a note was written or changed."""
        kind = "confidential_note" if note.internal else "note"
        payload = {
            "object_kind": "note",
            "event_type": kind,
            "user": render.account(note.author),
            "project_id": project.id,
            "project": render.event_project(project, self.base_url),
            "object_attributes": self._note_attributes(project, mr, discussion_id, note, action),
            "merge_request": self._merge_request(project, mr),
        }
        name = "Confidential Note Hook" if note.internal else "Note Hook"
        self.send(project, name, f"{kind}_events", payload)

    def emoji(
        self,
        project: StoredProject,
        mr: StoredMergeRequest,
        discussion_id: str,
        note: StoredNote,
        award: tuple[int, str, Account],
        action: str,
    ) -> None:
        """Tell that somebody put an emoji on a note or took it off."""
        number, name, person = award
        payload = {
            "object_kind": "emoji",
            "event_type": action,
            "user": render.account(person),
            "project_id": project.id,
            "project": render.event_project(project, self.base_url),
            "object_attributes": {
                "id": number,
                "user_id": person.id,
                "name": name,
                "awardable_type": "Note",
                "awardable_id": note.id,
                "action": action,
            },
            "note": self._note_attributes(project, mr, discussion_id, note, "create"),
            "merge_request": self._merge_request(project, mr),
        }
        self.send(project, "Emoji Hook", "emoji_events", payload)

    def merge_request(
        self,
        project: StoredProject,
        mr: StoredMergeRequest,
        person: Account,
        action: str,
        *,
        changes: Mapping[str, object] | None = None,
        oldrev: str = "",
    ) -> None:
        """Tell what happened to a merge request."""
        attributes = {**self._merge_request(project, mr), "action": action}
        if oldrev:
            attributes["oldrev"] = oldrev
        payload = {
            "object_kind": "merge_request",
            "event_type": "merge_request",
            "user": render.account(person),
            "project": render.event_project(project, self.base_url),
            "object_attributes": attributes,
            "changes": dict(changes or {}),
            "reviewers": [render.account(reviewer) for reviewer in mr.reviewers],
        }
        self.send(project, "Merge Request Hook", "merge_requests_events", payload)

    def url_of(self, project: StoredProject, mr: StoredMergeRequest) -> str:
        """Return where a merge request is shown."""
        return f"{self.base_url}/{project.path}/-/merge_requests/{mr.iid}"

    def _note_attributes(
        self,
        project: StoredProject,
        mr: StoredMergeRequest,
        discussion_id: str,
        note: StoredNote,
        action: str,
    ) -> Json:
        return {
            "id": note.id,
            "note": note.body,
            "noteable_type": "MergeRequest",
            "noteable_id": project.id * 1000 + mr.iid,
            "discussion_id": discussion_id,
            "type": note.type,
            "action": action,
            "system": note.system,
            "internal": note.internal,
            "line_code": note.line_code,
            "position": note.position,
            "original_position": note.position,
            "author_id": note.author.id,
            "project_id": project.id,
            "commit_id": None,
            "created_at": render.when(note.created_at),
            "updated_at": render.when(note.updated_at),
            "url": f"{self.url_of(project, mr)}#note_{note.id}",
        }

    def _merge_request(self, project: StoredProject, mr: StoredMergeRequest) -> Json:
        return {
            "id": project.id * 1000 + mr.iid,
            "iid": mr.iid,
            "title": mr.title,
            "description": mr.description,
            "state": mr.state,
            "draft": mr.draft,
            "author_id": mr.author.id,
            "source_branch": mr.source_branch,
            "target_branch": mr.target_branch,
            "source_project_id": mr.source_project_id,
            "target_project_id": project.id,
            "last_commit": {"id": mr.version.refs.head_sha},
            "url": self.url_of(project, mr),
            "updated_at": render.when(mr.updated_at),
        }


def _signature(secret: str, body: bytes) -> dict[str, str]:
    """Return the headers of a Standard Webhooks signature."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    number, stamp = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
    digest = hmac.new(key, f"{number}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": number,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
