"""Event -> what the bot does about it, and why. Pure, so that the same rules explain themselves.

What needs a question to GitLab comes later (`bot.dispatch`): who may do it, and what the project has set.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, assert_never

from bot.commands import Command, Grammar, Parsed, Unknown, parse_note
from bot.errands import Actor, CommandErrand, Errand, HintErrand, Place, ReactionErrand, ReviewErrand
from bot.events import (
    MERGE_REQUEST,
    EmojiEvent,
    Event,
    MergeRequestEvent,
    NoteEvent,
    User,
)
from bot.jobs import Reason
from bot.markers import MarkerKind, marker_of
from engine.config import AutoReview

_BOT_ACCOUNT = re.compile(r"(?:project|group)_\d+_bot(?:_\w+)?", re.ASCII)  # of access tokens
_GOOD_OR_BAD = {"thumbsup": True, "thumbsdown": False}


class Action(StrEnum):
    """What the bot does."""

    COMMAND = "command"
    TRIGGER = "trigger"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is, as far as is known; its id tells it even after it was renamed."""

    id: int | None = None
    username: str = ""

    def is_user(self, user: User) -> bool:
        """Tell whether the bot itself is meant."""
        if self.id is not None and user.id is not None:
            return self.id == user.id
        return bool(self.username) and user.username.lower() == self.username.lower()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a decision depends on besides the event."""

    me: Identity
    grammar: Grammar
    ignored_users: frozenset[str] = frozenset()  # names, lower case


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody thinks of a finding."""

    fingerprint: str
    adapter: str
    good: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about an event, and why: commands, a hint, a review, an opinion or nothing."""

    action: Action
    reason: str
    commands: tuple[Command, ...] = ()
    hint: Unknown | None = None  # ignored but for a word about it
    review: Reason | None = None
    asked_again: bool = False  # for a review, by somebody who knows of the one before
    opinion: Opinion | None = None

    @property
    def ignored(self) -> str:
        """Why nothing at all is done, or "" where something is."""
        return self.reason if self.action is Action.IGNORE and self.hint is None else ""


def decide(event: Event, rules: Rules) -> Decision:
    """Return what is done about `event`."""
    if rules.me.is_user(event.user):
        return _ignore("the bot did this itself")
    if event.user.username.lower() in rules.ignored_users:
        return _ignore("BOT_IGNORED_USERS names this user")
    match event:
        case NoteEvent():
            return _decide_note(event, rules)
        case MergeRequestEvent():
            return _decide_merge_request(event, rules.me)
        case EmojiEvent():
            return _decide_emoji(event, rules.me)
    assert_never(event)


def errands_of(event: Event, decision: Decision, received: int) -> tuple[Errand, ...]:
    """Return what is to be done; nothing where GitLab did not say of what merge request, or who asks."""
    mr, project_id = event.merge_request, event.project_number
    user_id = event.user.id
    if user_id is None and isinstance(event, NoteEvent):
        user_id = event.note.author_id
    if mr is None or mr.iid is None or project_id is None or user_id is None:
        return ()
    common: dict[str, Any] = {
        "project_id": project_id,
        "project": event.project.path_with_namespace,
        "iid": mr.iid,
        "actor": Actor(id=user_id, username=event.user.username),
        "received": received,
    }
    if decision.review is not None:
        key = _key("mr", project_id, mr.iid, decision.review, mr.last_commit.id)
        if decision.review is Reason.REVIEWER:
            key = _key(key, user_id)  # who may not ask must not keep others from it
        if decision.asked_again:
            key = _key(key, mr.updated_at)  # at the same commit it is another wish
        return (ReviewErrand(key=key, reason=decision.review, **common),)
    if decision.opinion is not None and isinstance(event, EmojiEvent):
        key = _key("emoji", project_id, event.emoji.id or event.emoji.awardable_id, user_id, event.emoji.name)
        return (ReactionErrand(key=key, **asdict(decision.opinion), **common),)
    return _note_errands(event, decision, common) if isinstance(event, NoteEvent) else ()


def _note_errands(event: NoteEvent, decision: Decision, common: dict[str, Any]) -> tuple[Errand, ...]:
    note = event.note
    if note.id is None:
        return ()
    place = Place(note_id=note.id, discussion_id=note.discussion_id, internal=event.is_internal)
    prefix = _key("note", common["project_id"], note.id)
    if decision.hint is not None:
        return (HintErrand(key=f"{prefix}-hint", unknown=decision.hint, place=place, **common),)
    return tuple(
        CommandErrand(
            key=f"{prefix}-{command.key}",
            command=command,
            place=place,
            **common | {"received": common["received"] + later},
        )
        for later, command in enumerate(decision.commands)  # of two reviews the last line counts
    )


def _decide_note(event: NoteEvent, rules: Rules) -> Decision:
    note = event.note
    if event.merge_request is None or note.noteable_type not in ("", MERGE_REQUEST):
        return _ignore(f"the note is not on a merge request but on: {note.noteable_type or 'nothing'}")
    if note.system:
        return _ignore("GitLab itself wrote the note")
    if note.action not in ("create", "update"):
        return _ignore(f"nothing is done about a note's {note.action}")
    if _BOT_ACCOUNT.fullmatch(event.user.username):
        return _ignore("another bot wrote the note: bots that answer bots never end")
    if marker_of(note.note) is not None:
        return _ignore("the note is marked as one of this kind of bot")
    parsed = parse_note(note.note, rules.grammar, rules.me.username)
    if parsed.commands:
        edited = "; those that this note has run before do not run again" if note.action == "update" else ""
        return Decision(Action.COMMAND, f"commands at the start of a line{edited}", parsed.commands)
    return _decide_no_command(parsed)


def _decide_no_command(parsed: Parsed) -> Decision:
    if parsed.unknown:
        unknown = parsed.unknown[0]
        meant = f"the answer names /{unknown.guess}" if unknown.guess else "the answer names /help"
        return Decision(Action.IGNORE, f"no such command: {unknown.name or 'none'}; {meant}", hint=unknown)
    if parsed.unheard:
        unheard = parsed.unheard[0]
        return _ignore(f"/{unheard.name} is part of {unheard.hidden}, not said")
    return _ignore("no line of the note starts with a command")


def _decide_merge_request(event: MergeRequestEvent, me: Identity) -> Decision:
    mr = event.merge_request
    if mr.system:
        return _ignore("GitLab itself changed the merge request")
    if mr.state not in ("", "opened"):
        return _ignore(f"the merge request is {mr.state}")
    if _is_asked_again(event, me):
        asked = "the bot is asked to review again"
        return Decision(Action.TRIGGER, asked, review=Reason.REVIEWER, asked_again=True)
    if _is_asked(event, me):
        return Decision(Action.TRIGGER, "the bot is asked to review", review=Reason.REVIEWER)
    reason, setting = _automatic(event)
    if reason is None:
        return _ignore(f"nothing that starts a review: {mr.action or 'no action'}")
    if mr.is_draft:
        return _ignore("the merge request is a draft")
    if mr.is_from_fork:
        return _ignore("the changes come from a fork: a member has to ask for the review")
    explained = f'{reason}: reviewed if auto_review in .tenken.toml of the target branch has "{setting}"'
    return Decision(Action.TRIGGER, explained, review=reason)


def _is_asked_again(event: MergeRequestEvent, me: Identity) -> bool:
    change = event.changes.reviewers
    return change is not None and any(user.re_requested and me.is_user(user) for user in change.current)


def _is_asked(event: MergeRequestEvent, me: Identity) -> bool:
    if event.merge_request.action == "open":
        return any(map(me.is_user, event.reviewers))
    change = event.changes.reviewers
    if change is None:
        return False
    return any(map(me.is_user, change.current)) and not any(map(me.is_user, change.previous))


def _automatic(event: MergeRequestEvent) -> tuple[Reason | None, str]:
    """Return why the merge request may be reviewed unasked, and the project's word for it."""
    match event.merge_request.action:
        case "open" | "reopen":
            return Reason.OPENED, AutoReview.OPEN
        case "update" if event.changes.became_ready:
            return Reason.READY, AutoReview.READY
        case "update" if event.merge_request.oldrev:
            return Reason.PUSHED, AutoReview.PUSH
    return None, ""


def _decide_emoji(event: EmojiEvent, me: Identity) -> Decision:
    emoji, note = event.emoji, event.note
    good = _GOOD_OR_BAD.get(emoji.name.partition("_tone")[0])
    if good is None:
        return _ignore("the reaction is neither thumbsup nor thumbsdown")
    if note is None or event.merge_request is None:
        return _ignore("the reaction is not on a merge request's note")
    if event.is_revoked:
        return _ignore("a reaction was taken back; what was said of the finding stands")
    marker = marker_of(note.note)
    by_bot = me.id in (None, note.author_id)  # without an id, the marker has to do
    if marker is None or marker.kind is not MarkerKind.FINDING or not by_bot:
        return _ignore("the reaction is not on a finding of the bot")
    opinion = Opinion(marker.id, marker.info.get("adapter", ""), good)
    return Decision(Action.TRIGGER, f"a finding was called {'good' if good else 'wrong'}", opinion=opinion)


def _ignore(reason: str) -> Decision:
    return Decision(Action.IGNORE, reason)


def _key(*parts: object) -> str:
    return "-".join(map(str, parts))
