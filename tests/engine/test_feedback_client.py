"""Feedback reaches the engine, and what the engine says to it reaches the caller."""

from __future__ import annotations

import socket
from email.message import Message
from pathlib import Path

import pytest
from serving import serving

from engine.api import feedback
from engine.errors import AccessRefused, NotReady, Unreachable
from engine.exchange import HttpOptions
from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.feedback_client import HttpFeedbackClient
from engine.refusals import refusal_of
from engine.settings import EngineSettings
from engine.store.opening import open_store
from engine.tokens import Role, TokenFile

SAID = Feedback(
    fingerprint="0123456789abcdef",
    verdict=FeedbackVerdict.WRONG,
    project="group/app",
    source=FeedbackSource.EDITOR,
    reason="notTrue",
)
ONCE = HttpOptions(attempts=1, connect_seconds=60, silence_seconds=60)


def test_feedback_is_recorded(tmp_path: Path) -> None:
    """What was said is in the store afterwards."""
    with (
        open_store(EngineSettings(data_dir=tmp_path)) as store,
        serving(more_routes=feedback.routes(store.feedback)) as served,
    ):
        HttpFeedbackClient(served.url, ONCE).record(SAID)
        assert [entry.reason for entry in store.feedback.list_feedback(None, None, 10)] == ["notTrue"]
        assert store.feedback.suppressed("group/app") == {SAID.fingerprint}


def test_refusals_are_told_apart(tmp_path: Path) -> None:
    """A token that is refused, and an engine that is not there, are errors of their own."""
    tokens = TokenFile(tmp_path / "tokens.json")
    other = tokens.create(Role.REVIEWER, projects=("group/other",))
    with (
        open_store(EngineSettings(data_dir=tmp_path)) as store,
        serving(tokens=tokens, more_routes=feedback.routes(store.feedback)) as served,
    ):
        for token in ("", other):
            with pytest.raises(AccessRefused):
                HttpFeedbackClient(served.url, HttpOptions(token, attempts=1)).record(SAID)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unreachable):
            HttpFeedbackClient(url, ONCE).record(SAID)


def test_an_engine_that_loads_is_not_ready() -> None:
    """A client can tell a model that loads from an engine that is away, and knows when to ask again."""
    body = b'{"type":"urn:tenken:problem:not-ready","title":"t","status":503,"detail":"the model loads"}'
    headers = Message()
    headers["Retry-After"] = "7"
    refusal = refusal_of(503, headers, body)
    assert isinstance(refusal.error, NotReady)
    assert (refusal.error.retry_after, str(refusal.error), refusal.may_retry) == (7, "the model loads", True)
