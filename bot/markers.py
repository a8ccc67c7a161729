"""Hidden markers: how the bot knows its own notes again. Pure.

A marker is an HTML comment in the last line of a note, where text of a model or a repository never stands.
It counts only in notes whose author is the bot: anybody can write one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote

from bot.gitlab import Discussion

_MARKER = re.compile(r"<!-- tenken:([a-z]+) ([\w.%~-]+)((?: [a-z]+=[\w.%~-]*)*) -->", re.ASCII)


class MarkerKind(StrEnum):
    """What a note of the bot is."""

    FINDING = "finding"  # id: the fingerprint
    SUMMARY = "summary"  # id: "review"; one for each merge request, edited in place
    TRAINING = "training"  # id: the job, or the job and "result"; the first is edited in place
    REPLY = "reply"  # id: the asking note and the command, e.g. 123-ask


@dataclass(frozen=True, slots=True)
class Marker:
    """Two markers are of the same note if kind and id agree; `info` may change."""

    kind: MarkerKind
    id: str
    info: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        info = "".join(f" {key}={quote(value, safe='')}" for key, value in self.info.items())
        return f"<!-- tenken:{self.kind} {quote(self.id, safe='')}{info} -->"


SUMMARY = Marker(MarkerKind.SUMMARY, "review")


def marked(body: str, marker: Marker) -> str:
    """Return `body` with the marker as its last line."""
    return f"{body.rstrip()}\n\n{marker}"


def marker_of(body: str) -> Marker | None:
    """Return the marker in the last line of a note, or None."""
    match = _MARKER.fullmatch(body.rstrip().rpartition("\n")[2])
    if match is None or match[1] not in list(MarkerKind):
        return None
    pairs = (pair.partition("=") for pair in match[3].split())
    info = {key: unquote(value) for key, _, value in pairs}
    return Marker(MarkerKind(match[1]), unquote(match[2]), info)


def marker_of_discussion(discussion: Discussion, me: int) -> Marker | None:
    """Return the marker of a discussion that the bot, whose id is `me`, has opened."""
    first = discussion.notes[0] if discussion.notes else None
    return marker_of(first.body) if first is not None and first.author_id == me else None
