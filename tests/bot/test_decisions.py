"""What is done about an event, and that the same wish has the same key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from payloads import BOT, BOT_USER, USER, emoji_payload, mr_payload, note_payload

from bot.commands import Grammar
from bot.decisions import Action, Decision, Identity, Rules, decide, errands_of
from bot.errands import CommandErrand, Errand, HintErrand, ReactionErrand, ReviewErrand, read_errand
from bot.events import Event, read_event
from bot.jobs import Reason
from bot.markers import Marker, MarkerKind, marked

RULES = Rules(BOT, Grammar(("review", "ask", "help", "retrain")), frozenset({"renovate"}))
FINDING = marked("Mutable default.", Marker(MarkerKind.FINDING, "0123456789abcdef", {"adapter": "a-1"}))
READY = {"draft": {"previous": True, "current": False}}
NOT_READY = {"draft": {"previous": False, "current": True}}
OTHER_BOT = USER | {"username": "project_1_bot_0123abc"}


def event_of(payload: dict[str, Any]) -> Event:
    names = {"note": "Note Hook", "merge_request": "Merge Request Hook", "emoji": "Emoji Hook"}
    event = read_event(names[payload["object_kind"]], payload)
    assert event is not None
    return event


def decision(payload: dict[str, Any], rules: Rules = RULES) -> Decision:
    return decide(event_of(payload), rules)


def errands(payload: dict[str, Any]) -> tuple[Errand, ...]:
    event = event_of(payload)
    return errands_of(event, decide(event, RULES), 1_000)


def without(payload: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the payload less one key."""
    head, *rest = path
    if not rest:
        return {key: value for key, value in payload.items() if key != head}
    return payload | {head: without(payload[head], *rest)}


IGNORED = {
    "the bot's own note": (note_payload(user=BOT_USER), "itself"),
    "own note after a change of name": (note_payload(user=BOT_USER | {"username": "robot"}), "itself"),
    "another bot's note": (note_payload(user=OTHER_BOT), "another bot"),
    "a user who is ignored": (note_payload(user=USER | {"username": "Renovate"}), "BOT_IGNORED_USERS"),
    "marked note": (note_payload(marked("/review", Marker(MarkerKind.REPLY, "1-help"))), "marked"),
    "system note": (note_payload(system=True), "GitLab itself"),
    "note on an issue": (note_payload(noteable_type="Issue"), "Issue"),
    "note on a commit": (without(note_payload(noteable_type="Commit"), "merge_request"), "Commit"),
    "deleted note": (note_payload(action="destroy"), "destroy"),
    "no command": (note_payload("well done"), "no line"),
    "quoted command": (note_payload("> /review"), "no line"),
    "command in a fence": (note_payload("```\n/review\n```"), "code"),
    "command in HTML": (note_payload("<details>\n\n/review\n\n</details>"), "HTML"),
    "draft opened": (mr_payload("open", draft=True), "draft"),
    "push to a draft of an old server": (mr_payload(oldrev="f" * 40, work_in_progress=True), "draft"),
    "draft again": (mr_payload(changes=NOT_READY), "nothing that starts"),
    "title changed": (
        mr_payload(changes={"title": {"previous": "a", "current": "b"}}),
        "nothing that starts",
    ),
    "approved": (mr_payload("approved"), "nothing that starts"),
    "closed": (mr_payload("close", state="closed"), "closed"),
    "merged": (mr_payload("merge", state="merged"), "merged"),
    "push to a closed one": (mr_payload(oldrev="f" * 40, state="closed"), "closed"),
    "approval reset by GitLab": (mr_payload(oldrev="f" * 40, system=True), "GitLab itself"),
    "opened from a fork": (mr_payload("open", source_project_id=77), "fork"),
    "push to a fork": (mr_payload(oldrev="f" * 40, source_project_id=77), "fork"),
    "another reviewer": (
        mr_payload(changes={"reviewers": {"previous": [], "current": [USER]}}),
        "nothing that starts",
    ),
    "bot stays a reviewer": (
        mr_payload(changes={"reviewers": {"previous": [BOT_USER], "current": [BOT_USER, USER]}}),
        "nothing that starts",
    ),
    "bot is a reviewer no more": (
        mr_payload(changes={"reviewers": {"previous": [BOT_USER], "current": []}}),
        "nothing that starts",
    ),
    "another emoji": (emoji_payload("rocket", note=FINDING), "neither"),
    "reaction on a person's note": (emoji_payload(note="thanks", author_id=7), "not on a finding"),
    "reaction on a forged finding": (emoji_payload(note=FINDING, author_id=7), "not on a finding"),
    "reaction taken back": (emoji_payload(note=FINDING, action="revoke"), "taken back"),
    "reaction on an issue": (without(emoji_payload(note=FINDING), "merge_request"), "merge request"),
    "the bot's own reaction": (emoji_payload("eyes", user=BOT_USER), "itself"),
}


@pytest.mark.parametrize(("payload", "reason"), IGNORED.values(), ids=IGNORED)
def test_nothing_is_done_and_it_is_said_why(payload: dict[str, Any], reason: str) -> None:
    """The reason is for whoever asks why nothing happened."""
    found = decision(payload)
    assert found.action is Action.IGNORE
    assert reason in found.ignored
    assert errands(payload) == ()


REVIEWED = {
    "opened": (mr_payload("open"), Reason.OPENED),
    "opened again": (mr_payload("reopen"), Reason.OPENED),
    "no draft any more": (mr_payload(changes=READY), Reason.READY),
    "push": (mr_payload(oldrev="f" * 40), Reason.PUSHED),
    "opened with the bot as reviewer": (mr_payload("open", reviewers=[BOT_USER]), Reason.REVIEWER),
    "draft opened with the bot as reviewer": (
        mr_payload("open", draft=True, reviewers=[BOT_USER]),
        Reason.REVIEWER,
    ),
    "bot becomes a reviewer": (
        mr_payload(changes={"reviewers": {"previous": [USER], "current": [USER, BOT_USER]}}),
        Reason.REVIEWER,
    ),
    "review is asked for once more": (
        mr_payload(changes={"reviewers": [[BOT_USER], [BOT_USER | {"re_requested": True}]]}),
        Reason.REVIEWER,
    ),
    "a member asks for a review of a fork": (
        mr_payload(changes={"reviewers": {"previous": [], "current": [BOT_USER]}}, source_project_id=77),
        Reason.REVIEWER,
    ),
}


@pytest.mark.parametrize(("payload", "reason"), REVIEWED.values(), ids=REVIEWED)
def test_events_that_lead_to_a_review(payload: dict[str, Any], reason: Reason) -> None:
    """Each has its reason, which the project's settings are asked about later."""
    assert decision(payload).action is Action.TRIGGER
    (errand,) = errands(payload)
    assert isinstance(errand, ReviewErrand)
    assert (errand.reason, errand.project_id, errand.iid, errand.actor.id) == (reason, 42, 3, 7)


def test_a_command_becomes_an_errand() -> None:
    """It says what, where and who."""
    (errand,) = errands(note_payload("/review src", internal=True))
    assert isinstance(errand, CommandErrand)
    assert errand.command.arguments == ("src",)
    assert (errand.project, errand.iid, errand.actor.username) == ("group/app", 3, "dev")
    assert (errand.place.note_id, errand.place.discussion_id, errand.place.internal) == (555, "d1", True)


def test_edited_note_asks_for_new_commands_alone() -> None:
    """What was there before has the same key, so it is not done again."""
    (before,) = errands(note_payload("/review src"))
    same, new = errands(note_payload("Please:\n/review  src\n/help", action="update"))
    assert same.key == before.key
    assert new.key != before.key


def test_of_two_commands_the_later_line_is_the_newer() -> None:
    """Of two reviews in one note, the last takes the place of the first."""
    first, second = errands(note_payload("/review a\n/review b"))
    assert first.received < second.received


def test_the_same_event_has_the_same_keys() -> None:
    """An event that is delivered twice asks for the same."""
    for payload in (note_payload("/review\n/help"), mr_payload("open"), emoji_payload(note=FINDING)):
        assert [one.key for one in errands(payload)] == [one.key for one in errands(payload)] != []


def test_other_wishes_have_other_keys() -> None:
    """Another note, commit, reason or time of asking is another wish."""
    requested = {"reviewers": {"previous": [], "current": [BOT_USER]}}
    again = {"reviewers": [[BOT_USER], [BOT_USER | {"re_requested": True}]]}
    payloads = [
        note_payload(),
        note_payload(id=556),
        note_payload() | {"project_id": 43},
        mr_payload("open"),
        mr_payload(oldrev="f" * 40),
        mr_payload(oldrev="f" * 40, last_commit={"id": "e" * 40}),
        mr_payload(changes=requested),
        mr_payload(changes=requested, user=USER | {"id": 8}),
        mr_payload(changes=again),
        mr_payload(changes=again, updated_at="2026-11-27 11:00:00 UTC"),
        emoji_payload(note=FINDING),
        emoji_payload("thumbsdown", note=FINDING),
    ]
    keys = [errand.key for payload in payloads for errand in errands(payload)]
    assert len(set(keys)) == len(payloads)


@pytest.mark.parametrize(("text", "guess"), [("/reveiw", "review"), ("@tenken what?", None)])
def test_a_slip_is_answered_with_a_hint(text: str, guess: str | None) -> None:
    """Nothing runs, but it is not passed over in silence."""
    found = decision(note_payload(text))
    assert (found.action, found.commands, found.ignored) == (Action.IGNORE, (), "")
    (errand,) = errands(note_payload(text))
    assert isinstance(errand, HintErrand)
    assert errand.unknown.guess == guess


@pytest.mark.parametrize(("emoji", "good"), [("thumbsup", True), ("thumbsdown_tone3", False)])
def test_a_reaction_is_an_opinion(emoji: str, good: bool) -> None:
    """A thumb on a finding of the bot says what the finding was worth."""
    (errand,) = errands(emoji_payload(emoji, note=FINDING))
    assert isinstance(errand, ReactionErrand)
    assert (errand.fingerprint, errand.adapter, errand.good) == ("0123456789abcdef", "a-1", good)


MISSING = [
    ("object_attributes", "id"),
    ("merge_request", "iid"),
    ("merge_request",),
    ("object_attributes",),
]


@pytest.mark.parametrize("path", MISSING, ids=".".join)
def test_what_cannot_be_answered_is_left(path: tuple[str, ...]) -> None:
    """Without note, merge request or project nothing can be done, and nothing breaks."""
    assert errands(without(note_payload(), *path)) == ()


def test_old_servers_say_less() -> None:
    """Without action, kind of noteable, user's id and discussion, a command is still one."""
    payload = note_payload()
    for path in (
        *(("object_attributes", key) for key in ("action", "noteable_type", "discussion_id", "internal")),
        ("user", "id"),
        ("project_id",),
    ):
        payload = without(payload, *path)
    (errand,) = errands(payload)
    assert (errand.project_id, errand.actor.id) == (42, 7)


def test_a_bot_without_an_id_knows_itself_by_name() -> None:
    """Enough to explain a payload from the command line."""
    rules = Rules(Identity(username="Tenken"), RULES.grammar)
    assert "itself" in decision(note_payload(user={"username": "tenken"}), rules).ignored
    assert decision(emoji_payload(note=FINDING), rules).opinion is not None


@pytest.mark.parametrize(
    "payload",
    [
        note_payload("/ask why"),
        note_payload("/reveiw"),
        mr_payload("open"),
        emoji_payload(note=FINDING),
    ],
)
def test_errands_survive_storage(payload: dict[str, Any]) -> None:
    """What is read back is what was stored."""
    (errand,) = errands(payload)
    assert read_errand(json.loads(json.dumps(errand.model_dump(mode="json")))) == errand
