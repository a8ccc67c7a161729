"""What all of a session comes to, as one status."""

from __future__ import annotations

from collections.abc import Sequence

from lsp.desk import Desk
from lsp.outages import State
from lsp.reviewer import Reviewer
from lsp.status import Status


def overview(
    desk: Desk,
    reviewers: Sequence[Reviewer],
    *,
    problems: Sequence[str] = (),
    thread_problems: Sequence[str] = (),
    ready: bool = True,
) -> Status:
    """Return what is being done. `problems` are those of settings; `ready`: what is open was looked at."""
    runs = [reviewer.run for reviewer in reviewers if reviewer.run is not None]
    state, reason = _state(desk, reviewers, problems, ready)
    counts = desk.board.counts()
    return Status(
        state=state,
        reason=reason,
        findings=counts.total(),
        worst=max(counts, default=None),
        engine=desk.care.name,
        adapter=desk.adapter,
        pending_feedback=sum(said.count() for said in desk.verdicts.values()),
        retry_in=desk.care.retry_in,
        done=sum(run.done for run in runs) if runs else None,
        total=sum(len(run.files) for run in runs) if runs else None,
        left_out=sum(reviewer.left_out for reviewer in reviewers),
        unknown=sum(reviewer.unknown for reviewer in reviewers),
        threads=desk.threads.count(),
        threads_problem=" ".join(thread_problems),
    )


def _state(
    desk: Desk, reviewers: Sequence[Reviewer], problems: Sequence[str], ready: bool
) -> tuple[State, str]:
    """Return the state and the reason for it, which may be empty."""
    troubled = next((reviewer for reviewer in reviewers if reviewer.problem), None)
    if not desk.settings.enabled:
        return State.OFF, ""
    if any(reviewer.run for reviewer in reviewers):
        return (State.LOADING if desk.care.is_loading else State.REVIEWING), ""
    if problems:
        return State.MISCONFIGURED, problems[0]
    if troubled is not None:
        return troubled.problem_state, troubled.problem
    if desk.care.state is not State.IDLE:
        return desk.care.state, desk.care.reason
    if not ready:
        return State.STARTING, ""
    if not reviewers:
        return State.EXCLUDED, desk.texts.excluded_no_repository
    if all(reviewer.all_excluded for reviewer in reviewers):
        return State.EXCLUDED, desk.texts.excluded_all
    return State.IDLE, ""
