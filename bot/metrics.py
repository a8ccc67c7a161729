"""Measurements of the bot for Prometheus."""

from __future__ import annotations

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    Histogram,
    generate_latest,
)

_ANSWER_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 10)
_WORK_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """All measurements of one worker."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._answers = Histogram(
            "tenken_bot_answer_seconds",
            "Time of an answer over HTTP.",
            ["route", "status"],
            buckets=_ANSWER_SECONDS,
            registry=registry,
        )
        self._work = Histogram(
            "tenken_bot_work_seconds",
            "Time of a piece of work.",
            ["kind", "outcome"],
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._waiting = Gauge("tenken_bot_waiting", "Work that waits.", ["kind"], registry=registry)
        self._last_delivery = Gauge(
            "tenken_bot_last_delivery_timestamp_seconds",
            "When the last genuine delivery came; 0 before the first.",
            registry=registry,
        )
        self._token_days = Gauge(
            "tenken_bot_token_days", "Days until the GitLab token expires, if it does.", registry=registry
        )

    def text(self) -> bytes:
        """Return all measurements in Prometheus' format."""
        return generate_latest(self._registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Note an answer over HTTP."""
        self._answers.labels(route, str(status)).observe(seconds)
        if route == "/webhook" and status == 200:
            self._last_delivery.set(time.time())

    def ended(self, kind: str, outcome: str, seconds: float) -> None:
        """Note a piece of work that ended."""
        self._work.labels(kind, outcome).observe(seconds)

    def waiting(self, kind: str, count: int) -> None:
        """Note how much of a kind waits."""
        self._waiting.labels(kind).set(count)

    def token_expires(self, days: int) -> None:
        """Note for how long the bot's token is good."""
        self._token_days.set(days)
