"""The log of a service: one JSON object a line on standard error, events with fields.

Callers log names, counts and times. Code, notes, messages and tokens are no fields of any event, and of an
error that nobody foresaw only its type and place are: its text may quote what was under review.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger


def log_json(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """Send all events from `level` upwards to `stream`, standard error if not given."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _place_of_error,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


@contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """While inside, send warnings to standard error: standard output belongs to a command's result."""
    log_json(logging.WARNING)
    try:
        yield
    finally:
        structlog.reset_defaults()


def _place_of_error(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace the error being handled by its type and the lines it went through."""
    if not event.pop("exc_info", None):
        return event
    kind, _, trace = sys.exc_info()
    frames = traceback.extract_tb(trace)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {**event, "error": kind.__name__ if kind else "", "where": where}
