"""The service's log: JSON lines without what was under review."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from engine.logs import log_json


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Log to memory, and as before afterwards."""
    stream, handlers = io.StringIO(), logging.getLogger().handlers
    log_json(stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers


def test_an_event_is_a_line_of_json(log: io.StringIO) -> None:
    """With its level and time; what is below the level is left out."""
    structlog.get_logger().info("review.ended", findings=2, project="点検\n")
    structlog.get_logger().debug("request.answered")
    [line] = log.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["level"], event["findings"], event["project"]) == (
        "review.ended",
        "info",
        2,
        "点検\n",
    )
    assert event["timestamp"].endswith("Z")


def test_an_errors_text_stays_out(log: io.StringIO) -> None:
    """Its type and place are logged; its text may quote code."""
    try:
        raise ValueError("password = 'hunter2'")
    except ValueError:
        structlog.get_logger().exception("batch.failed", kind="score")
    event = json.loads(log.getvalue())
    assert (event["error"], event["kind"]) == ("ValueError", "score")
    assert "test_logs.py" in event["where"][0]
    assert "hunter2" not in log.getvalue()


def test_what_libraries_say_stays_out(log: io.StringIO) -> None:
    """Where they said it is logged, as JSON like the rest; once, however often logging was set up."""
    log_json(stream=log)
    try:
        raise ValueError("Authorization: Bearer hunter2")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("cannot read %s", "hunter2")
    logging.getLogger("aiohttp.server").info("hello")
    [line] = log.getvalue().splitlines()
    event = json.loads(line)
    assert (event["event"], event["library"], event["level"]) == ("library.said", "aiohttp.server", "error")
    assert (event["error"], "test_logs.py" in event["place"]) == ("ValueError", True)
    assert "hunter2" not in line
