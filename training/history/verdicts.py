"""What a team made of a remark: accepted, rejected, or nobody can tell. Pure.

What somebody said goes before what somebody did: words about the finding, then thumbs, then the code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from engine.feedback import Feedback, FeedbackVerdict
from training.history.records import Remark
from training.jsonl import read_lines
from training.records import line_error

_ORDER = re.compile(r"\s*(?:/|@[\w.\[\]-]+\s+)(?P<name>dismiss|feedback)\b[ \t]*(?P<rest>[^\n]*)", re.I)
_REFUSAL = re.compile(
    r"\b(?:won'?t fix|wontfix|not a bug|false positive|by design|works as intended|as intended|disagree"
    r"|not needed)\b"
    r"|仕様です|誤検知|対応不要|修正しません",
    re.I,
)


class Label(StrEnum):
    """What became of a remark."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


def read_feedback(path: Path) -> dict[str, FeedbackVerdict]:
    """Return the latest verdict of each fingerprint in an export of `tenken feedback`.

    Raises DataError naming file, line and field.
    """
    latest: dict[str, Feedback] = {}
    for number, raw in read_lines(path):
        try:
            feedback = Feedback.model_validate_json(raw)
        except ValidationError as error:
            raise line_error(path, number, error) from error
        known = latest.get(feedback.fingerprint)
        if known is None or known.created <= feedback.created:
            latest[feedback.fingerprint] = feedback
    return {fingerprint: feedback.verdict for fingerprint, feedback in latest.items()}


def label_of(remark: Remark, feedback: Mapping[str, FeedbackVerdict], min_role: int) -> tuple[Label, str]:
    """Return the label of a remark, and by what it was decided."""
    outcome = remark.outcome
    if (said := _said(remark, feedback, min_role)) is not None:
        return said
    if outcome.thumbs_up != outcome.thumbs_down:
        return (Label.ACCEPTED if outcome.thumbs_up > outcome.thumbs_down else Label.REJECTED), "reactions"
    if outcome.suggestion_applied:
        return Label.ACCEPTED, "suggestion applied"
    if outcome.line_changed:
        return Label.ACCEPTED, "line changed"
    if outcome.near_changed and outcome.resolved:
        return Label.ACCEPTED, "resolved with a change beside it"
    if any(_REFUSAL.search(reply.body) for reply in remark.replies) and outcome.resolved:
        return Label.REJECTED, "refused in a reply"
    return Label.UNKNOWN, ""


def _said(remark: Remark, feedback: Mapping[str, FeedbackVerdict], min_role: int) -> tuple[Label, str] | None:
    verdict = feedback.get(remark.mark.fingerprint) if remark.mark else None
    if verdict is not None:
        return (Label.REJECTED if verdict.suppresses else Label.ACCEPTED), "feedback"
    for reply in reversed(remark.replies):
        order = _ORDER.match(reply.body)
        if order is None or reply.author.bot or (reply.author.role or 0) < min_role:
            continue
        good = order["name"].lower() == "feedback" and order["rest"].lower().startswith("good")
        return (Label.ACCEPTED if good else Label.REJECTED), "command"
    return None
