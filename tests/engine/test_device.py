"""The device's thread, and the runner that each review sees of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from engine.adapters import Adapter
from engine.batching import Limits, Scheduler, Ticket
from engine.device import Device, ScheduledRunner
from engine.errors import RunnerError
from engine.prompts import LABELS
from engine.residents import Residents, version_of
from engine.runners import Cancellation, ScoreRequest, WriteRequest
from engine.testing import FakeRunner

SCORE = ScoreRequest("p", ("\n1 x =>", "\n2 y =>"))
WRITE = WriteRequest("p", "s", {}, 10)


@contextmanager
def running(runner: FakeRunner, **limits: Any) -> Iterator[Device]:
    device = Device(Residents(lambda adapter: runner, None), Scheduler(Limits(**limits)))
    device.start()
    while not device.ready:
        time.sleep(0.001)
    try:
        yield device
    finally:
        device.stop()


def opened(device: Device, name: str = "a", seconds: float = 100.0) -> ScheduledRunner:
    return device.open(Ticket(name, name, ""), None, time.monotonic() + seconds)


def test_it_answers_as_the_runner_itself() -> None:
    """Scores, replies, tokens and names pass through."""
    with running(FakeRunner()) as device:
        runner, real, tokens = opened(device), FakeRunner(), list[int]()
        scores = list(runner.score([SCORE, SCORE], LABELS, Cancellation(), tokens.append))
        assert scores == list(real.score([SCORE, SCORE], LABELS, Cancellation()))
        assert sum(tokens) == sum(score.prompt_tokens for _, score in scores)
        assert list(runner.write([WRITE] * 5, Cancellation())) == list(
            real.write([WRITE] * 5, Cancellation())
        )
        assert (runner.base_model, runner.count_tokens("a b")) == ("fake-base", 3)
        assert list(runner.score([], LABELS, Cancellation())) == []


def test_writes_of_several_reviews_share_a_call() -> None:
    """While one batch runs, those that come wait; then they go together."""

    class Counting(FakeRunner):
        calls: list[int]

        def write(self, requests: Any, cancellation: Cancellation) -> Any:
            self.calls.append(len(requests))
            return super().write(requests, cancellation)

    fake = Counting(hold=(hold := Event()))
    fake.calls = []
    with running(fake, write=8) as device:
        runners = [opened(device, name) for name in "abc"]
        threads = [
            threading.Thread(target=lambda r=r: list(r.write([WRITE] * 2, Cancellation()))) for r in runners
        ]
        threads[0].start()
        assert fake.started.wait(60)
        for thread in threads[1:]:
            thread.start()
        while device.load()[1] != 4:
            time.sleep(0.001)
        hold.set()
        for thread in threads:
            thread.join(60)
    assert fake.calls == [2, 4]


def test_a_deadline_cancels() -> None:
    """From then on the caller's cancellation is set, and the running batch ends."""
    cancellation = Cancellation()
    with running(FakeRunner(hold=Event())) as device:
        assert list(opened(device, seconds=0.05).score([SCORE], LABELS, cancellation)) == []
        assert cancellation.cancelled


def test_a_consumer_that_stops_early_leaves_nothing() -> None:
    """Abandoned answers are withdrawn."""
    with running(FakeRunner()) as device:
        runner = opened(device)
        for _ in runner.score([SCORE] * 50, LABELS, Cancellation()):
            break
        while device.load()[1]:
            time.sleep(0.001)
        runner.close()
        runner.close()
        assert device.load() == (0, 0)


def test_an_error_reaches_the_review_it_belongs_to() -> None:
    """Others go on: the fault is the batch's, not the engine's."""

    def scribe(request: WriteRequest) -> str:
        if request.suffix == "bad":
            raise RunnerError("no memory")
        return "fine"

    with running(FakeRunner(replies=scribe), write=1) as device:
        with pytest.raises(RunnerError, match="no memory"):
            list(opened(device).write([WriteRequest("p", "bad", {}, 1)], Cancellation()))
        [(_, reply)] = opened(device, "b").write([WRITE], Cancellation())
        assert reply.text == "fine"


def test_stopping_answers_whoever_waits() -> None:
    """Nobody waits for a device that is gone, and its models are freed."""
    fake = FakeRunner(hold=Event())
    errors: list[str] = []
    with running(fake) as device:

        def wait(name: str) -> None:
            try:
                list(opened(device, name).score([SCORE], LABELS, Cancellation()))
            except RunnerError as error:
                errors.append(str(error))

        threads = [threading.Thread(target=wait, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        while device.load() != (3, 2):
            time.sleep(0.001)
        device.stop()
        for thread in threads:
            thread.join(60)
    assert errors == ["the engine is shutting down"] * 3
    assert fake.closed
    with pytest.raises(RunnerError):
        opened(device, "late")


class Mixing(FakeRunner):
    """Says which runners a call was for, and lets each answer its own request."""

    def __init__(self, name: str, calls: list[list[str]], **more: Any) -> None:
        super().__init__(adapter=name, **more)
        self.calls = calls

    def score_with(self, runners: Any, requests: Any, labels: Any, cancellation: Cancellation) -> Any:
        self.calls.append([runner.adapter for runner in runners])
        for index, (runner, request) in enumerate(zip(runners, requests, strict=True)):
            ((_, scores),) = runner.score([request], labels, cancellation)
            yield index, scores


def adapter_called(name: str) -> Adapter:
    return Adapter(Path(name), cast(Any, None), name)


def test_reviews_with_different_adapters_share_a_call() -> None:
    """While one batch runs, works of two adapters come; each is answered by its own runner, in one call."""
    calls: list[list[str]] = []
    hold = Event()
    runners = {name: Mixing(name, calls, hold=hold if name == "a" else None) for name in ("", "a", "b", "c")}
    residents = Residents(lambda adapter: runners[version_of(adapter)], None, capacity=4)
    device = Device(residents, Scheduler(Limits(score=8, adapters=3)))
    device.start()
    while not device.ready:
        time.sleep(0.001)
    opened_ = [device.open(Ticket(n, n, n), adapter_called(n)) for n in ("a", "b", "c")]
    threads = [
        threading.Thread(target=lambda r=r: list(r.score([SCORE], LABELS, Cancellation()))) for r in opened_
    ]
    threads[0].start()
    assert runners["a"].started.wait(60)
    for thread in threads[1:]:
        thread.start()
    while device.load()[1] != 2:
        time.sleep(0.001)
    hold.set()
    for thread in threads:
        thread.join(60)
    device.stop()
    assert [sorted(call) for call in calls] == [["b", "c"]]
    assert [len(runners[name].scored) for name in ("a", "b", "c")] == [1, 1, 1]


def test_a_review_that_leaves_takes_only_its_own_works_along() -> None:
    """Two reviews wait for one batch; the first is let out as it begins, the second is answered."""
    loading, go_on = Event(), Event()
    fake = FakeRunner()

    def load(adapter: Adapter | None) -> FakeRunner:
        if adapter is not None:
            loading.set()
            assert go_on.wait(60)
        return fake

    device = Device(Residents(load, None, capacity=3), Scheduler(Limits(score=8)))
    device.start()
    while not device.ready:
        time.sleep(0.001)
    blocker = device.open(Ticket("blocker", "z", "x"), adapter_called("x"))
    leaving, staying = (device.open(Ticket(n, n, ""), None) for n in "ab")
    answers: list[Any] = []
    waits = threading.Thread(target=lambda: answers.extend(staying.score([SCORE], LABELS, Cancellation())))
    leaves = threading.Thread(target=lambda: list(leaving.score([SCORE], LABELS, cancellation)))
    cancellation = Cancellation()
    blocks = threading.Thread(target=lambda: list(blocker.score([SCORE], LABELS, Cancellation())))
    blocks.start()
    assert loading.wait(60)
    leaves.start()
    while device.load()[1] != 1:
        time.sleep(0.001)
    waits.start()
    while device.load()[1] != 2:
        time.sleep(0.001)
    cancellation.cancel()
    leaving.close()
    go_on.set()
    for thread in (waits, leaves, blocks):
        thread.join(60)
    device.stop()
    assert len(answers) == 1
