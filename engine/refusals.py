"""An engine's refusal, as it stands on the wire -> the error that the same engine raises in process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message

from pydantic import ValidationError

from engine.api.problems import TYPE_PREFIX, ProblemBody, ProblemKind
from engine.errors import (
    AccessRefused,
    AdapterConflict,
    AdapterError,
    DiffError,
    InputError,
    NotReady,
    QueueFull,
    RunnerError,
    TenkenError,
    UnknownAdapter,
    Unreachable,
)

_RETRIED = {429, 502, 503}
_DEFAULT_WAIT = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an engine said instead of a review."""

    error: TenkenError
    may_retry: bool
    retry_after: float = 0


def refusal_of(status: int, headers: Message, body: bytes) -> Refusal:
    """Return what a response that is no review means."""
    retry_after = _seconds(headers.get("Retry-After"))
    try:
        problem = ProblemBody.model_validate_json(body)
        kind = ProblemKind(problem.type.removeprefix(TYPE_PREFIX))
    except (ValidationError, ValueError):
        return Refusal(
            Unreachable(f"the engine's address answers {status}, and not as an engine would"),
            status in _RETRIED,
            retry_after,
        )
    text = problem.detail or problem.title
    if kind is ProblemKind.INVALID_DIFF:
        error: TenkenError = DiffError(text, problem.line)
    elif kind in (ProblemKind.QUEUE_FULL, ProblemKind.TOO_MANY_OPEN_REVIEWS):
        error = QueueFull(round(retry_after) or _DEFAULT_WAIT)
    elif kind is ProblemKind.NOT_READY:
        error = NotReady(text, round(retry_after) or _DEFAULT_WAIT)
    else:
        error = _ERRORS.get(kind, Unreachable)(text)
    return Refusal(error, problem.status in _RETRIED, retry_after)


_ERRORS: Mapping[ProblemKind, Callable[[str], TenkenError]] = {
    ProblemKind.INVALID_REQUEST: InputError,
    ProblemKind.TOO_MANY_FILES: InputError,
    ProblemKind.BODY_TOO_LARGE: InputError,
    ProblemKind.UNKNOWN_ADAPTER: UnknownAdapter,
    ProblemKind.CONFLICT: AdapterConflict,
    ProblemKind.INVALID_ADAPTER: AdapterError,
    ProblemKind.UNAUTHENTICATED: AccessRefused,
    ProblemKind.FORBIDDEN: AccessRefused,
    ProblemKind.ENGINE_FAILED: RunnerError,
    ProblemKind.INTERNAL: RunnerError,
}


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; its other form, a date, is not used by engines and counts as none."""
    return min(float(text), 3600.0) if text and text.isascii() and text.isdigit() else 0.0
