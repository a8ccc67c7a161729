"""Reviews that no command asked for, and opinions that are a thumb up or down."""

from __future__ import annotations

import structlog

from bot.errands import ReactionErrand, ReviewErrand
from bot.freshness import merge_request_of
from bot.gitlab import MergeRequest
from bot.handlers.findings import at
from bot.jobs import Reason, ReviewJob
from bot.permissions import role_of
from bot.registry import Ports, Registry
from engine.config import AutoReview
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict

_log = structlog.get_logger()
_SETTING = {
    Reason.OPENED: AutoReview.OPEN,
    Reason.READY: AutoReview.READY,
    Reason.PUSHED: AutoReview.PUSH,
}
"""What the project has to have set; a review for another reason was asked for."""


async def start_review(errand: ReviewErrand, ports: Ports, registry: Registry) -> None:
    """Submit a review if the project wants it unasked, or a member asked for it without a command."""
    mr = await merge_request_of(errand, ports.gitlab)
    if mr is None:
        return _left(errand, "gone")
    refusal = await _refusal(errand, mr, ports, registry)
    if refusal:
        return _left(errand, refusal)
    await ports.jobs.submit_review(
        ReviewJob(
            project_id=errand.project_id,
            iid=errand.iid,
            key=errand.key,
            received=errand.received,
            reason=errand.reason,
        )
    )


async def take_opinion(errand: ReactionErrand, ports: Ports, registry: Registry) -> None:
    """Record what a thumb says, if it is of somebody who may use /feedback. Nobody is answered."""
    access = await ports.gitlab.access_level(errand.project_id, errand.actor.id)
    if access < registry.access("feedback"):
        return _left(errand, "access")
    await ports.engine.record(
        Feedback(
            fingerprint=errand.fingerprint,
            verdict=FeedbackVerdict.ACCEPTED if errand.good else FeedbackVerdict.WRONG,
            project=errand.project or (await ports.gitlab.project(errand.project_id)).path,
            adapter=errand.adapter,
            source=FeedbackSource.MR,
            role=role_of(access),
            created=at(errand),
        )
    )


async def _refusal(errand: ReviewErrand, mr: MergeRequest, ports: Ports, registry: Registry) -> str:
    """Return why there is no review, or ""."""
    if not mr.is_open:
        return "not open"
    setting = _SETTING.get(errand.reason)
    if setting is not None:
        if mr.draft:
            return "draft"
        if mr.is_from_fork:
            return "fork"
        if setting not in (await ports.projects.config(errand.project_id, mr.target_branch)).auto_review:
            return "not set"
    access = await ports.gitlab.access_level(errand.project_id, errand.actor.id)
    return "" if access >= registry.access("review") else "access"


def _left(errand: ReviewErrand | ReactionErrand, why: str) -> None:
    _log.info("trigger.left", project=errand.project_id, mr=errand.iid, kind=errand.kind, why=why)
