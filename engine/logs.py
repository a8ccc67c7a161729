"""The log of a service: one JSON object a line on standard error, events with fields.

Callers log names, counts and times. Code, notes, messages and tokens are no fields of any event.
"""

from __future__ import annotations

import logging
import sys

import structlog


def log_json(level: int = logging.INFO) -> None:
    """Send all events from `level` upwards to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
