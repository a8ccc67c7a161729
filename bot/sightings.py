"""What polling finds -> the events that a webhook would have brought. Pure.

So polling decides nothing of its own, and a wish that comes both ways has one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bot.decisions import Identity
from bot.events import (
    MERGE_REQUEST,
    Changes,
    Commit,
    FlagChange,
    MergeRequestAttributes,
    MergeRequestEvent,
    MergeRequestPart,
    NoteEvent,
    NotePart,
    Project,
    ReviewersChange,
    User,
)
from bot.gitlab import MergeRequest, Note, Version


def note_event(mr: MergeRequest, note: Note) -> NoteEvent:
    """Return the event of a note in a merge request."""
    return NoteEvent(
        user=User(id=note.author_id, username=note.author_username),
        project_id=mr.project_id,
        project=Project(id=mr.project_id),
        object_attributes=NotePart(
            id=note.id,
            note=note.body,
            noteable_type=MERGE_REQUEST,
            discussion_id=note.discussion_id,
            system=note.system,
            internal=note.internal,
            author_id=note.author_id,
        ),
        merge_request=MergeRequestPart(**_parts(mr)),
    )


def code_event(mr: MergeRequest, versions: Sequence[Version], since: datetime) -> MergeRequestEvent | None:
    """Return the event of new code since a moment: the first version is the merge request's opening.

    `versions` are the newest first.
    """
    if not versions or versions[0].created_at is None or versions[0].created_at < since:
        return None
    opened = len(versions) == 1
    return _mr_event(
        mr,
        actor=mr.author_id,
        action="open" if opened else "update",
        oldrev="" if opened else versions[1].refs.head_sha,
    )


def ready_event(mr: MergeRequest) -> MergeRequestEvent:
    """Return the event of a draft that is none any more. GitLab keeps no time of it: it has to be seen."""
    changes = Changes(draft=FlagChange(previous=True, current=False))
    return _mr_event(mr, actor=mr.author_id, action="update", oldrev="", changes=changes)


def request_event(mr: MergeRequest, actor: int, me: Identity) -> MergeRequestEvent:
    """Return the event that makes the bot a reviewer."""
    changes = Changes(reviewers=ReviewersChange(current=(User(id=me.id, username=me.username),)))
    return _mr_event(mr, actor=actor, action="update", oldrev="", changes=changes)


def _mr_event(
    mr: MergeRequest,
    *,
    actor: int,
    action: str,
    oldrev: str,
    changes: Changes = Changes(),  # noqa: B008 - frozen
) -> MergeRequestEvent:
    return MergeRequestEvent(
        user=User(id=actor),
        project_id=mr.project_id,
        project=Project(id=mr.project_id),
        object_attributes=MergeRequestAttributes(**_parts(mr), action=action, oldrev=oldrev),
        changes=changes,
    )


def _parts(mr: MergeRequest) -> dict[str, Any]:
    return {
        "iid": mr.iid,
        "title": mr.title,
        "state": mr.state,
        "draft": mr.draft,
        "author_id": mr.author_id,
        "source_branch": mr.source_branch,
        "target_branch": mr.target_branch,
        "source_project_id": mr.source_project_id,
        "target_project_id": mr.target_project_id,
        "last_commit": Commit(id=mr.head_sha),
    }
