"""What the bot would do with a payload, and why. Pure: the same decision that the webhook makes, shown."""

from __future__ import annotations

from typing import Any

from bot.decisions import Action, Decision, Rules, decide
from bot.events import EVENT_NAMES, SYSTEM_HOOK, Event, NotePart, parse_event


def explain(name: str, body: bytes, rules: Rules) -> dict[str, Any]:
    """Return what is done about the event called `name`, as JSON; raises EventError for a bad payload."""
    event = parse_event(name, body)
    if event is None:
        names = ", ".join((*EVENT_NAMES, SYSTEM_HOOK))
        reason = (
            f"{name or 'an event without a name'} is not read, or not of a merge request; read are: {names}"
        )
        return _shown(Decision(Action.IGNORE, reason), None)
    return _shown(decide(event, rules), event)


def _shown(decision: Decision, event: Event | None) -> dict[str, Any]:
    mr = event.merge_request if event else None
    note: NotePart | None = getattr(event, "note", None)
    position = note.position if note else None
    return {
        "action": decision.action,
        "reason": decision.reason,
        "commands": [
            {"name": command.name, "arguments": list(command.arguments)} for command in decision.commands
        ],
        "project": event.project_number if event else None,
        "iid": mr.iid if mr else None,
        "note": note.id if note else None,
        "discussion": (note.discussion_id or None) if note else None,
        "position": position.model_dump() if position and position.is_somewhere else None,
    }
