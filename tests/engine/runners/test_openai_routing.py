"""Who gets a call: sticky, spread when full, elsewhere after a failure, and rested before another try."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from engine.connecting import Address, Connect
from engine.errors import AdapterError, ModelError, RunnerError
from engine.runners.openai_calls import Abandoned, Hangup
from engine.runners.openai_routing import Fleet, Forgotten, RoutingLimits, ranked
from engine.runners.openai_server import Busy, OpenAIServer, Unusable

URLS = ("http://a:1", "http://b:1", "http://c:1")
HURRIED = RoutingLimits(calls=2, attempts=4, first_rest=0.01)


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fleet(
    urls: tuple[str, ...] = URLS,
    greet: Callable[[OpenAIServer, Hangup], None] = lambda server, hangup: None,
    limits: RoutingLimits = HURRIED,
    clock: Clock | None = None,
) -> Fleet:
    servers = [OpenAIServer(Connect(Address.parse(url))) for url in urls]
    return Fleet(servers, greet, limits, clock) if clock else Fleet(servers, greet, limits)


def url_of(server: OpenAIServer) -> str:
    return server.url


def test_every_adapter_has_its_own_order() -> None:
    """All servers are in it, and adapters are spread evenly."""
    first = Counter(ranked(f"adapter-{number}", URLS)[0] for number in range(300))
    assert set(first) == set(URLS)
    assert min(first.values()) > 60
    assert sorted(ranked("x", URLS)) == list(URLS)


def test_only_a_lost_servers_adapters_move() -> None:
    """When a server goes, every adapter that was elsewhere stays where it was."""
    for number in range(100):
        before = ranked(f"adapter-{number}", URLS)
        after = ranked(f"adapter-{number}", URLS[:2])
        assert after == [url for url in before if url != URLS[2]]


def test_calls_with_one_adapter_go_to_one_server() -> None:
    """While it has a place."""
    servers = fleet()
    assert {servers.call("team", url_of, Hangup()) for _ in range(5)} == {ranked("team", URLS)[0]}


def test_calls_spill_over_when_a_server_is_full() -> None:
    """The third of three calls at once goes to the next in the adapter's order."""
    servers, order = fleet(), ranked("team", URLS)
    found = []

    def job(server: OpenAIServer, depth: int = 0) -> None:
        found.append(server.url)
        if depth < 2:
            servers.call("team", lambda inner: job(inner, depth + 1), Hangup())

    servers.call("team", job, Hangup())
    assert found == [order[0], order[0], order[1]]


def test_calls_that_compute_nothing_take_no_place() -> None:
    """Tokens are counted while every place is taken."""
    servers = fleet(URLS[:1], limits=RoutingLimits(calls=1))
    inner = lambda server: servers.call("team", url_of, Hangup(), counted=False)  # noqa: E731
    assert servers.call("team", inner, Hangup()) == URLS[0]


def test_a_prompt_goes_where_it_was_read() -> None:
    """Even with an adapter whose own server is another one."""
    servers = fleet()
    score, write = next(
        (a, b) for a in "abcdef" for b in "abcdef" if ranked(a, URLS)[0] != ranked(b, URLS)[0]
    )
    where = servers.call(score, url_of, Hangup(), prompt="prompt")
    assert servers.call(write, url_of, Hangup(), prompt="prompt") == where
    assert servers.call(write, url_of, Hangup(), prompt="another") == ranked(write, URLS)[0]


def test_a_failed_call_goes_elsewhere_and_its_server_rests() -> None:
    """The next call does not try it again before its rest is over; then it is greeted anew."""
    clock, greeted = Clock(), list[str]()
    servers = fleet(greet=lambda server, hangup: greeted.append(server.url), clock=clock)
    first, second, _ = ranked("team", URLS)

    def job(server: OpenAIServer) -> str:
        if server.url == first:
            raise Unusable("broke off")
        return server.url

    assert servers.call("team", job, Hangup()) == second
    assert servers.call("team", url_of, Hangup()) == second
    clock.now += 1
    assert servers.call("team", url_of, Hangup()) == first
    assert greeted == [first, second, first]


def test_the_next_attempt_is_elsewhere_even_if_the_rest_is_over() -> None:
    """Who failed this call gets it again only after the others."""
    servers, tried = fleet(limits=RoutingLimits(attempts=4, first_rest=0)), list[str]()

    def job(server: OpenAIServer) -> None:
        tried.append(server.url)
        raise Unusable("broke off")

    with pytest.raises(RunnerError):
        servers.call("team", job, Hangup())
    assert tried[:3] == ranked("team", URLS)


def test_rests_grow_with_every_failure_in_a_row() -> None:
    """Between half and all of a limit that doubles; one success starts over."""
    clock = Clock()
    servers = fleet(URLS[:1], limits=RoutingLimits(attempts=1, first_rest=4), clock=clock)

    def fail(server: OpenAIServer) -> None:
        raise Unusable("broke off")

    def rest() -> float:
        with pytest.raises(RunnerError, match="broke off"):
            servers.call("team", fail, Hangup())
        return servers._posts[URLS[0]].rests_until - clock.now

    for limit in (4, 8, 16, 32, 60, 60):
        seconds = rest()
        assert limit / 2 <= seconds <= limit
        clock.now += seconds
    servers.call("team", url_of, Hangup())
    assert rest() <= 4


def test_a_busy_server_rests_as_long_as_it_asks() -> None:
    """Retry-After is kept to, and a busy server need not be greeted again."""
    clock, greeted = Clock(), list[str]()
    servers = fleet(
        URLS[:1],
        lambda server, hangup: greeted.append(server.url),
        RoutingLimits(attempts=1, first_rest=1),
        clock,
    )

    def busy(server: OpenAIServer) -> None:
        raise Busy(7)

    with pytest.raises(RunnerError, match="takes on nothing more"):
        servers.call("team", busy, Hangup())
    assert 7.5 <= servers._posts[URLS[0]].rests_until - clock.now <= 8
    clock.now += 8
    servers.call("team", url_of, Hangup())
    assert greeted == [URLS[0]]


def test_a_server_that_forgot_the_adapter_is_greeted_again_at_once() -> None:
    """It was started anew: no rest, and the same call goes through."""
    greeted = list[str]()
    servers = fleet(URLS[:1], lambda server, hangup: greeted.append(server.url))

    def job(server: OpenAIServer) -> str:
        if len(greeted) == 1:
            raise Forgotten("no such model")
        return server.url

    assert servers.call("team", job, Hangup()) == URLS[0]
    assert len(greeted) == 2
    assert servers._posts[URLS[0]].rests_until == 0


def test_attempts_are_bounded_and_all_faults_are_named() -> None:
    """The error lists what every server had against it."""
    servers, tried = fleet(), list[str]()

    def job(server: OpenAIServer) -> None:
        tried.append(server.url)
        raise Unusable(f"{server.url[7]} is gone")

    with pytest.raises(RunnerError, match=r"a is gone.*b is gone|b is gone.*a is gone") as raised:
        servers.call("team", job, Hangup())
    assert len(tried) == HURRIED.attempts
    assert set(tried) == set(URLS)
    assert "c is gone" in str(raised.value)


def test_other_errors_are_not_tried_again() -> None:
    """A request that is at fault fails once."""
    tried = list[str]()

    def job(server: OpenAIServer) -> None:
        tried.append(server.url)
        raise RunnerError("too long")

    with pytest.raises(RunnerError, match="too long"):
        fleet().call("team", job, Hangup())
    assert len(tried) == 1


def test_greeting_all_needs_one_that_answers() -> None:
    """One server down is left to rest; all down is an error that lists them."""

    def greet(server: OpenAIServer, hangup: Hangup) -> None:
        if server.url != URLS[1]:
            raise Unusable("connection refused")

    servers = fleet(greet=greet)
    servers.greet()
    assert [server.url for server in servers.greeted] == [URLS[1]]
    with pytest.raises(RunnerError, match=r"http://a:1: connection refused; http://c:1"):
        fleet((URLS[0], URLS[2]), greet).greet()


def test_a_server_set_up_wrongly_is_an_error_at_the_start() -> None:
    """Later on it is only left out, so that the others go on."""
    wrong = set[str]()

    def greet(server: OpenAIServer, hangup: Hangup) -> None:
        if server.url in wrong:
            raise ModelError("serves another model")

    servers, first = fleet(greet=greet), ranked("team", URLS)[0]
    wrong.add(first)
    assert servers.call("team", url_of, Hangup()) != first
    with pytest.raises(ModelError, match="another model"):
        fleet(greet=greet).greet()


def test_one_thread_greets_and_the_others_wait() -> None:
    """A server that many calls meet at once is looked at once."""
    greeted, together = list[str](), threading.Barrier(2)

    def greet(server: OpenAIServer, hangup: Hangup) -> None:
        greeted.append(server.url)
        time.sleep(0.1)

    servers = fleet(URLS[:1], greet)

    def call() -> None:
        together.wait()
        servers.call("team", url_of, Hangup())

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert greeted == [URLS[0]]


def test_waiting_for_a_place_ends_with_a_hangup() -> None:
    """Nobody waits on behalf of a call that was given up."""
    servers, hangup = fleet(URLS[:1], limits=RoutingLimits(calls=1)), Hangup()

    def job(server: OpenAIServer) -> None:
        threading.Timer(0.05, hangup.hang_up).start()
        servers.call("team", url_of, hangup)

    with pytest.raises(Abandoned):
        servers.call("team", job, Hangup())


def test_adapter_errors_at_the_start_are_not_swallowed() -> None:
    """An adapter without effect on one server is told, whatever the others do."""

    def greet(server: OpenAIServer, hangup: Hangup) -> None:
        if server.url == URLS[2]:
            raise AdapterError("no effect")

    with pytest.raises(AdapterError, match="no effect"):
        fleet(greet=greet).greet()
