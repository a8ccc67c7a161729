"""Where feedback goes: an engine elsewhere. Blocks, as `engine.client` does, and for the same reason."""

from __future__ import annotations

from typing import Protocol

from engine.exchange import Exchange, HttpOptions
from engine.feedback import Feedback


class FeedbackClient(Protocol):
    """Takes down what people did with findings."""

    def record(self, feedback: Feedback) -> None:
        """Have it recorded. InputError: never as it is; EngineError: perhaps later."""


class HttpFeedbackClient:
    """Tells an engine elsewhere; see `engine.exchange` for what is tried again."""

    def __init__(self, url: str, options: HttpOptions = HttpOptions()) -> None:  # noqa: B008 - frozen
        self._exchange = Exchange(url, options)

    def record(self, feedback: Feedback) -> None:
        """Post it."""
        self._exchange.post("/v1/feedback", feedback.model_dump_json().encode())
