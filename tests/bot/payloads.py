"""Webhook payloads for tests, as GitLab 18 sends them."""

from __future__ import annotations

from typing import Any

from bot.decisions import Identity

BOT = Identity(99, "tenken")
BOT_USER = {"id": 99, "username": "tenken", "name": "Tenken"}
USER = {"id": 7, "username": "dev", "name": "A Developer"}
PROJECT = {"id": 42, "path_with_namespace": "group/app", "web_url": "https://gitlab.example/group/app"}
MERGE_REQUEST = {
    "id": 1000,
    "iid": 3,
    "title": "Add orders",
    "state": "opened",
    "draft": False,
    "author_id": 7,
    "source_branch": "orders",
    "target_branch": "main",
    "source_project_id": 42,
    "target_project_id": 42,
    "last_commit": {"id": "a" * 40},
    "updated_at": "2026-11-27 10:00:00 UTC",
}
POSITION = {
    "base_sha": "b" * 40,
    "start_sha": "c" * 40,
    "head_sha": "a" * 40,
    "old_path": "shop/orders.py",
    "new_path": "shop/orders.py",
    "position_type": "text",
    "old_line": None,
    "new_line": 19,
    "line_range": None,
}


def note_payload(text: str = "/review", *, user: dict[str, Any] = USER, **attributes: Any) -> dict[str, Any]:
    """Return a Note Hook's payload; `attributes` go into `object_attributes`."""
    return {
        "object_kind": "note",
        "event_type": "note",
        "user": user,
        "project_id": 42,
        "project": PROJECT,
        "object_attributes": {
            "id": 555,
            "note": text,
            "noteable_type": "MergeRequest",
            "discussion_id": "d1",
            "type": "DiscussionNote",
            "action": "create",
            "system": False,
            "internal": False,
            "author_id": user.get("id"),
            "position": None,
            **attributes,
        },
        "merge_request": MERGE_REQUEST,
    }


def mr_payload(
    action: str = "update",
    *,
    user: dict[str, Any] = USER,
    changes: dict[str, Any] | None = None,
    reviewers: list[dict[str, Any]] | None = None,
    **attributes: Any,
) -> dict[str, Any]:
    """Return a Merge Request Hook's payload; `attributes` go into `object_attributes`."""
    return {
        "object_kind": "merge_request",
        "event_type": "merge_request",
        "user": user,
        "project": PROJECT,
        "object_attributes": {**MERGE_REQUEST, "action": action, **attributes},
        "changes": changes or {},
        "reviewers": reviewers or [],
    }


def emoji_payload(
    name: str = "thumbsup",
    *,
    note: str = "",
    author_id: int | None = 99,
    user: dict[str, Any] = USER,
    action: str = "award",
) -> dict[str, Any]:
    """Return an Emoji Hook's payload for a reaction on a note."""
    return {
        "object_kind": "emoji",
        "event_type": action,
        "user": user,
        "project_id": 42,
        "project": PROJECT,
        "object_attributes": {
            "id": 8,
            "name": name,
            "action": action,
            "awardable_type": "Note",
            "awardable_id": 555,
        },
        "note": {"id": 555, "note": note, "author_id": author_id, "noteable_type": "MergeRequest"},
        "merge_request": MERGE_REQUEST,
    }
