"""A reply about one line: its canonical form, its grammar and its reader.

The model is trained on `canonical_reply` and constrained by `reply_schema`, whose grammar has every canonical
reply. `parse_reply` reads what came back and never raises: model text is untrusted.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass

from engine.findings import Severity

MESSAGE_LENGTH = 300
"""Characters a message may have."""
SUGGESTION_LENGTH = 400
"""Characters a suggestion may have, line ends counted."""
MAX_TOKENS = MESSAGE_LENGTH + SUGGESTION_LENGTH + 40
"""Token budget of a reply: one for each character, which only rare scripts exceed, and the keys."""
NOTHING = "null"
"""The canonical reply when there is nothing to say."""

_GUIDANCE = {"whitespace_flexible": False}
_READABLE = 20 * (MESSAGE_LENGTH + SUGGESTION_LENGTH)
_CUT_OFF = re.compile(r'\s*\{\s*"severity"\s*:\s*"(\w+)"\s*,\s*"message"\s*:\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What the model says about a line.

    `suggestion` is written without the indentation of the line it replaces; see `indent_suggestion`.
    """

    severity: Severity
    message: str
    suggestion: str | None = None
    truncated: bool = False  # the token budget ended the reply behind the message


@dataclass(frozen=True, slots=True)
class Nothing:
    """The model took the score back: it has nothing to say about the line."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The text is no reply."""

    reason: str


def reply_schema() -> dict[str, object]:
    """Return the JSON schema of a reply, in the dialect of llguidance; key order is part of it."""
    return {"anyOf": [{"type": "null"}, _remark()], "x-guidance": _GUIDANCE}


def remark_schema() -> dict[str, object]:
    """Return the schema of a reply that says something: to compare what is said, not whether."""
    return {**_remark(), "x-guidance": _GUIDANCE}


def _remark() -> dict[str, object]:
    properties = {
        "severity": {"enum": [severity.value for severity in Severity]},
        "message": {"type": "string", "minLength": 1, "maxLength": MESSAGE_LENGTH},
        "suggestion": {"type": "string", "minLength": 1, "maxLength": SUGGESTION_LENGTH},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": ["severity", "message"],
        "additionalProperties": False,
    }


def canonical_reply(reply: ParsedReply | None) -> str:
    """Return the one text that stands for `reply`; None is "nothing to say".

    Raises ValueError where the message is empty or a text is longer than the grammar allows: what is
    trained on must be what can be written.
    """
    if reply is None:
        return NOTHING
    message, suggestion = clean_message(reply.message), clean_suggestion(reply.suggestion)
    if not 0 < len(message) <= MESSAGE_LENGTH:
        raise ValueError(f"a message has 1 to {MESSAGE_LENGTH} characters, not {len(message)}")
    if suggestion is not None and len(suggestion) > SUGGESTION_LENGTH:
        raise ValueError(f"a suggestion has up to {SUGGESTION_LENGTH} characters, not {len(suggestion)}")
    fields = {"severity": reply.severity.value, "message": message}
    if suggestion is not None:
        fields["suggestion"] = suggestion
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def parse_reply(text: str, truncated: bool = False) -> ParsedReply | Nothing | Malformed:
    """Return what `text` says. A truncated reply keeps its message if that was complete."""
    if len(text) > _READABLE:
        return Malformed(f"{len(text)} characters")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _parse_cut_off(text) if truncated else Malformed("not JSON")
    if value is None:
        return Nothing()
    if not isinstance(value, dict):
        return Malformed("neither null nor an object")
    return _parse_fields(value)


def clean_message(text: str) -> str:
    """Return `text` as one paragraph without control characters."""
    return " ".join(printable(text).split())


def clean_suggestion(text: str | None) -> str | None:
    """Return `text` without control characters and outer blank lines; None for blank text."""
    if text is None:
        return None
    lines = [line if line.strip() else "" for line in printable(text).split("\n")]
    return "\n".join(lines).strip("\n") or None


def dedent_suggestion(suggestion: str, line: str) -> str | None:
    """Return `suggestion` without the indentation of `line`, or None if one of its lines has less."""
    indent = _indentation(line)
    rows = [row if row.strip() else "" for row in suggestion.split("\n")]
    if not all(row.startswith(indent) for row in rows if row):
        return None
    return "\n".join(row[len(indent) :] for row in rows)


def indent_suggestion(suggestion: str, line: str) -> str:
    """Return `suggestion` with the indentation of `line` before each line that is not blank."""
    indent = _indentation(line)
    return "\n".join(indent + row if row.strip() else "" for row in suggestion.split("\n"))


def _indentation(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def printable(text: str) -> str:
    """Return `text` without control characters, but for line ends and tabs."""
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp")
    )


def _parse_fields(fields: dict[str, object]) -> ParsedReply | Malformed:
    severity, message, suggestion = (fields.get(key) for key in ("severity", "message", "suggestion"))
    if severity not in list(Severity):
        return Malformed("unknown severity")
    if not isinstance(message, str) or not clean_message(message):
        return Malformed("no message")
    if suggestion is not None and not isinstance(suggestion, str):
        return Malformed("the suggestion is not text")
    return ParsedReply(Severity(str(severity)), clean_message(message), clean_suggestion(suggestion))


def _parse_cut_off(text: str) -> ParsedReply | Malformed:
    match = _CUT_OFF.match(text)
    if match is None:
        return Malformed("cut off before the message was complete")
    try:
        message = json.loads(match[2])
    except ValueError:
        return Malformed("cut off, and the message is not JSON")
    parsed = _parse_fields({"severity": match[1], "message": message})
    if isinstance(parsed, Malformed):
        return parsed
    return ParsedReply(parsed.severity, parsed.message, truncated=True)
