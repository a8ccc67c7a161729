"""Payloads of every age are read; what cannot be read names its key."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import EventError
from bot.events import EVENT_NAMES, EmojiEvent, MergeRequestEvent, NoteEvent, Position, parse_event

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
keys = st.sampled_from(
    [
        *(
            "object_attributes",
            "user",
            "project",
            "project_id",
            "merge_request",
            "changes",
            "reviewers",
            "note",
        ),
        *(
            "position",
            "action",
            "id",
            "iid",
            "draft",
            "previous",
            "current",
            "line_range",
            "start",
            "new_line",
        ),
    ]
)
payloads = st.dictionaries(
    keys, st.recursive(values, lambda v: st.dictionaries(keys, v, max_size=4)), max_size=8
)


def note(**attributes: Any) -> NoteEvent:
    event = parse_event("Note Hook", json.dumps({"object_attributes": attributes}))
    assert isinstance(event, NoteEvent)
    return event


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_every_key_may_be_missing(name: str) -> None:
    """An empty payload is read, with defaults."""
    event = parse_event(name, "{}")
    assert event is not None
    assert event.project_number is None


@pytest.mark.parametrize("name", EVENT_NAMES)
def test_every_key_may_be_null(name: str) -> None:
    """Null is as good as missing."""
    empty = parse_event(name, "{}")
    keys = ("user", "project_id", "project", "object_attributes", "merge_request", "changes", "note")
    assert parse_event(name, json.dumps(dict.fromkeys(keys))) == empty


def test_notes_of_old_servers_are_created_ones() -> None:
    """GitLab before 14 does not say what happened to a note: it was written."""
    assert note(note="/review").note.action == "create"


@pytest.mark.parametrize("name", ["Push Hook", "Wiki Page Hook", "Job Hook", "", "note hook"])
def test_other_events_are_none(name: str) -> None:
    """What is not read is None, not an error."""
    assert parse_event(name, "{}") is None


def test_system_hooks_carry_merge_requests() -> None:
    """An instance's hook counts where it is about a merge request, and only there."""
    assert isinstance(parse_event("System Hook", '{"object_kind": "merge_request"}'), MergeRequestEvent)
    assert parse_event("System Hook", '{"event_name": "project_create"}') is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        ('{"object_attributes": []}', "object_attributes: "),
        ('{"object_attributes": {"note": 5}}', "object_attributes.note: "),
        ('{"user": {"id": "me"}}', "user.id: "),
        ('{"merge_request": {"iid": {}}}', "merge_request.iid: "),
        ('{"project_id": 1' + "0" * 5000 + "}", "not JSON"),
    ],
)
def test_what_cannot_be_read_is_named(body: bytes | str, message: str) -> None:
    """The error says which key, or that there is no object at all."""
    with pytest.raises(EventError, match=message):
        parse_event("Note Hook", body)


@pytest.mark.parametrize(
    ("sent", "read"),
    [(5, 5), ("5", 5), (None, None), ("", None), ("x", None), (True, None), ("٣", None), ([], None)],
)
def test_line_numbers_of_every_kind(sent: object, read: int | None) -> None:
    """GitLab sends numbers, digits or null."""
    position = note(position={"new_path": "a", "new_line": sent}).note.position
    assert position is not None
    assert position.new_line == read


def test_a_position_of_nulls_is_nowhere() -> None:
    """A note outside the diff may come with a position that has no value."""
    nulls = dict.fromkeys(
        ("base_sha", "start_sha", "head_sha", "old_path", "new_path", "new_line", "line_range")
    )
    assert note(position=nulls).note.position == Position()
    assert not Position().is_somewhere


@pytest.mark.parametrize(
    ("event_type", "internal", "expected"),
    [("note", False, False), ("confidential_note", False, True), ("note", True, True), (None, None, False)],
)
def test_internal_notes_are_known(event_type: str | None, internal: bool | None, expected: bool) -> None:
    """Either key says so."""
    body = {"event_type": event_type, "object_attributes": {"internal": internal}}
    event = parse_event("Confidential Note Hook", json.dumps(body))
    assert isinstance(event, NoteEvent)
    assert event.is_internal is expected


@pytest.mark.parametrize(
    "reviewers",
    [
        {"previous": [], "current": [{"id": 7, "re_requested": True}]},
        [[], [{"id": 7, "re_requested": True}]],
    ],
)
def test_reviewers_come_in_two_shapes(reviewers: object) -> None:
    """A repeated request is a pair of lists instead of an object."""
    event = parse_event("Merge Request Hook", json.dumps({"changes": {"reviewers": reviewers}}))
    assert isinstance(event, MergeRequestEvent)
    assert event.changes.reviewers is not None
    assert event.changes.reviewers.previous == ()
    assert [(user.id, user.re_requested) for user in event.changes.reviewers.current] == [(7, True)]


@pytest.mark.parametrize("key", ["draft", "work_in_progress"])
def test_a_draft_becomes_ready(key: str) -> None:
    """Old and new servers name the flag differently."""
    change = {"changes": {key: {"previous": True, "current": False}}}
    event = parse_event("Merge Request Hook", json.dumps(change))
    assert isinstance(event, MergeRequestEvent)
    assert event.changes.became_ready


@pytest.mark.parametrize("body", [{"event_type": "revoke"}, {"object_attributes": {"action": "revoke"}}])
def test_a_reaction_is_taken_back(body: dict[str, object]) -> None:
    """Either key says so."""
    event = parse_event("Emoji Hook", json.dumps(body))
    assert isinstance(event, EmojiEvent)
    assert event.is_revoked


@given(st.sampled_from([*EVENT_NAMES, "System Hook", "Push Hook"]), payloads)
def test_any_payload_is_read_or_refused(name: str, payload: dict[str, Any]) -> None:
    """No payload breaks the reader in another way."""
    with suppress(EventError):
        parse_event(name, json.dumps(payload))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    """Nor do bytes."""
    with suppress(EventError):
        parse_event("Note Hook", body)
