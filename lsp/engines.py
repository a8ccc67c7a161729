"""The engine that settings name: one elsewhere, the embedded one, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from engine.client import HttpReviewClient, OnFinding, OnProgress
from engine.connecting import Address, proxy_for
from engine.exchange import HttpOptions
from engine.feedback import Feedback
from engine.feedback_client import HttpFeedbackClient
from engine.runners import Cancellation
from engine.wire import Answer, Question, Review, ReviewRequest
from lsp.embedded import EmbeddedEngine, is_installed
from lsp.errors import NoEngine
from lsp.settings import LspSettings


class Engine(Protocol):
    """Reviews, answers, and takes feedback down. Its calls block; any thread may make them."""

    name: str
    one_at_a_time: bool
    loading: bool

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = ...,
        on_finding: OnFinding = ...,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`; see `engine.client.ReviewClient`."""

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return the answer to `question`, or None where it was cancelled."""

    def record(self, feedback: Feedback) -> None:
        """Have it recorded; see `engine.feedback_client.FeedbackClient`."""

    def close(self) -> None:
        """Free what the engine holds. Idempotent."""


class RemoteEngine(HttpReviewClient):
    """An engine elsewhere. It is tried once: when to try again is the server's decision, and shown."""

    one_at_a_time = False
    loading = False

    def __init__(self, url: str, token: str, ca_file: Path | None, proxy: str) -> None:
        self.name = str(Address.parse(url))
        options = HttpOptions(
            token=token,
            ca_file=ca_file,
            ca_setting="caFile",
            proxy=proxy or proxy_for(url),
            connect_seconds=5,
            attempts=1,
        )
        super().__init__(url, options)
        self._feedback = HttpFeedbackClient(url, options)

    def record(self, feedback: Feedback) -> None:
        """Have it recorded there."""
        self._feedback.record(feedback)


def open_engine(settings: LspSettings) -> Engine:
    """Return the engine; raises ConfigError for an address or file that cannot be used, NoEngine for none."""
    if settings.engine_url:
        return RemoteEngine(settings.engine_url, settings.token(), settings.ca_file, settings.proxy)
    if settings.embedded and is_installed():
        return EmbeddedEngine()
    raise NoEngine("no engineUrl is set, and the embedded engine is not installed or switched off")
