"""The fake runner does what its tests rely on."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from engine.errors import RunnerError
from engine.prompts import LABELS
from engine.runners import Cancellation, Reply, ScoreRequest, WriteRequest
from engine.testing import FakeRunner, by_keyword

SCORE = ScoreRequest("p", ("\n1 eval(x) =>", "\n2 fine =>"))
WRITE = WriteRequest("p", "s", {}, 10)


def test_keyword_marks_its_line_only() -> None:
    """A keyword gives its label the probability and leaves the rest to ok."""
    runner = FakeRunner(by_keyword({"eval": (" security", 0.75)}))
    [(_, scores)] = runner.score([SCORE], LABELS, Cancellation())
    bad, good = scores.probabilities
    assert bad[LABELS.index(" security")] == 0.75
    assert bad[0] == 0.25
    assert good == (1.0, *[0.0] * 7)
    assert runner.scored == [SCORE]


def test_unknown_label_is_refused() -> None:
    """A script that names no label of the call fails loudly."""
    runner = FakeRunner(by_keyword({"eval": ("security", 0.75)}))
    with pytest.raises(ValueError, match="no such label"):
        list(runner.score([SCORE], LABELS, Cancellation()))


def test_replies_follow_the_script() -> None:
    """A sequence is used up in order; a Reply passes through as it is."""
    runner = FakeRunner(replies=["one", Reply("two", truncated=True)])
    answers = [reply for _, reply in runner.write([WRITE, WRITE], Cancellation())]
    assert [(answer.text, answer.truncated) for answer in answers] == [("one", False), ("two", True)]
    assert runner.written == [WRITE, WRITE]


def test_replies_by_function() -> None:
    """A function sees the request."""
    runner = FakeRunner(replies=lambda request: request.suffix * 2)
    assert [reply.text for _, reply in runner.write([WRITE], Cancellation())] == ["ss"]


def test_held_request_ends_when_cancelled() -> None:
    """While held nothing is answered; a cancellation from another thread ends the wait."""
    runner, cancellation = FakeRunner(hold=Event()), Cancellation()
    answers: list[object] = []
    thread = Thread(target=lambda: answers.extend(runner.score([SCORE], LABELS, cancellation)))
    thread.start()
    assert runner.started.wait(60)
    cancellation.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert answers == []


def test_error_is_raised() -> None:
    """A given error is raised by the first request."""
    runner = FakeRunner(error=RunnerError("no memory"))
    with pytest.raises(RunnerError, match="no memory"):
        list(runner.write([WRITE], Cancellation()))
