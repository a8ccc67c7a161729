"""The log of a service: one JSON object a line on standard error, events with fields.

Callers log names, counts and times. Code, notes, messages and tokens are no fields of any event, and of an
error that nobody foresaw only its type and place are: its text may quote what was under review. So may what a
library has to say; of that the place is logged.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
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
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)]
    root.addHandler(_Libraries(logging.WARNING))


class _Libraries(logging.Handler):
    """Takes what libraries log by the standard library, which would otherwise be printed as it is."""

    def emit(self, record: logging.LogRecord) -> None:
        error = _place(record.exc_info[0], record.exc_info[2]) if record.exc_info else {}
        place = f"{record.pathname}:{record.lineno}"
        structlog.get_logger().log(record.levelno, "library.said", library=record.name, place=place, **error)


def _place_of_error(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace the error being handled by its type and the lines it went through."""
    if not event.pop("exc_info", None):
        return event
    kind, _, trace = sys.exc_info()
    return {**event, **_place(kind, trace)}


def _place(kind: type[BaseException] | None, trace: TracebackType | None) -> dict[str, object]:
    frames = traceback.extract_tb(trace)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": kind.__name__ if kind else "", "where": where}
