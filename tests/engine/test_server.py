"""The engine over HTTP: exact answers, streams, cancellation, shares, shutdown."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Event

import aiohttp
import pytest
from aiohttp import ClientConnectionResetError, web
from serving import Serve, Served, diff_of, finding_evals

from engine.api.admission import ReviewLimits
from engine.api.problems import ProblemKind, titles
from engine.api.routes import Route
from engine.errors import AdapterError, RunnerError
from engine.server import ServerOptions
from engine.tokens import Role, TokenFile
from engine.wire import Answer, Review, ReviewState, ReviewStatus

REVIEW = {"diff": diff_of()}
SMALL = ServerOptions(limits=ReviewLimits(files=3), max_body=20_000, drain_seconds=0.2)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def wait_for(served: Served, open_reviews: int) -> None:
    """Wait until so many reviews are open; a test that hangs here fails by its timeout."""
    while served.engine.device.load()[0] != open_reviews:
        time.sleep(0.005)


def test_a_review_is_the_pipelines_own(serve: Serve) -> None:
    """The body is the Review, and its Location shows it again."""
    served = serve(finding_evals())
    answer = served.call("POST", "/v1/reviews", REVIEW)
    review = Review.model_validate_json(answer.body)
    assert (answer.status, [finding.line for finding in review.findings]) == (200, [2])
    status = ReviewStatus.model_validate_json(served.call("GET", answer.headers["Location"]).body)
    assert (status.state, status.review) == (ReviewState.DONE, review)


def test_a_stream_tells_findings_before_the_review(serve: Serve) -> None:
    """Progress, each finding, then the review; each event is one JSON line."""
    served = serve(finding_evals())
    answer = served.call("POST", "/v1/reviews", REVIEW, {"Accept": "text/event-stream"})
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = [block.split("\n") for block in answer.body.decode().strip().split("\n\n")]
    assert [lines[0] for lines in events] == ["event: progress", "event: finding", "event: review"]
    assert all(json.loads(lines[1].removeprefix("data: ")) for lines in events)


def test_a_review_can_go_on_without_its_caller(serve: Serve) -> None:
    """With respond-async the answer comes at once; the review is asked for, and stopped, by its address."""
    hold = Event()
    served = serve(finding_evals(hold=hold))
    accepted = served.call("POST", "/v1/reviews", REVIEW, {"Prefer": "respond-async"})
    assert (accepted.status, accepted.json["state"]) == (202, "running")
    where = accepted.headers["Location"]
    assert served.call("GET", where).json["review"] is None
    assert served.call("DELETE", where).status == 202
    wait_for(served, 0)
    while (answer := served.call("GET", where).json)["state"] == "running":
        time.sleep(0.005)
    review = Review.model_validate(answer["review"])
    assert review.partial


QUESTION = {"question": "What does it do?", "path": "a.py", "code": "y = eval(x)\n"}


def test_a_question_is_answered(serve: Serve) -> None:
    """As one body, or as an event."""
    served = serve(finding_evals())
    answer = Answer.model_validate_json(served.call("POST", "/v1/ask", QUESTION).body)
    assert (answer.text, answer.base_model) == ("It adds up.", "fake-base")
    stream = served.call("POST", "/v1/ask", QUESTION, {"Accept": "text/event-stream"})
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.body.decode() == f"event: answer\ndata: {answer.model_dump_json()}\n\n"
    assert 'tenken_question_seconds_count{outcome="done"} 2.0' in served.call("GET", "/metrics").body.decode()


def test_a_question_without_an_answer_is_a_problem(serve: Serve) -> None:
    """As a status, or as the last event of a stream that had begun; in the question's language."""
    served = serve(finding_evals(replies="null"))
    asked = {**QUESTION, "language": "ja"}
    answer = served.call("POST", "/v1/ask", asked)
    assert (answer.status, answer.json["type"]) == (500, "urn:tenken:problem:engine-failed")
    stream = served.call("POST", "/v1/ask", asked, {"Accept": "text/event-stream"})
    name, data = stream.body.decode().strip().split("\n")
    assert (stream.status, name) == (200, "event: problem")
    assert json.loads(data.removeprefix("data: ")) == answer.json
    assert answer.json["title"] == "モデルの実行に失敗しました。"
    assert served.engine.device.load() == (0, 0)


def test_a_question_takes_a_place_like_a_review(serve: Serve) -> None:
    """It counts for the token and the queue, and whoever leaves gives it back."""
    options = ServerOptions(limits=ReviewLimits(open_per_token=1), drain_seconds=0.2)
    served = serve(finding_evals(hold=Event()), options=options)

    async def ask_and_leave() -> None:
        async with aiohttp.ClientSession() as session:
            task = asyncio.ensure_future(session.post(f"{served.url}/v1/ask", json=QUESTION).__aenter__())
            await asyncio.to_thread(wait_for, served, 1)
            refused = await asyncio.to_thread(served.call, "POST", "/v1/reviews", REVIEW)
            assert (refused.status, refused.json["type"]) == (429, "urn:tenken:problem:too-many-open-reviews")
            task.cancel()
            with suppress(asyncio.CancelledError):
                (await task).close()

    asyncio.run(ask_and_leave())
    wait_for(served, 0)


def test_a_question_ends_with_the_engine_or_its_time(serve: Serve) -> None:
    """Nobody waits for an answer that will not come."""
    for seconds, drain, kind in ((0.1, 5.0, "engine-failed"), (600.0, 0.1, "shutting-down")):
        options = ServerOptions(limits=ReviewLimits(seconds=seconds), drain_seconds=drain)
        served = serve(finding_evals(hold=Event()), options=options)
        answers = []
        caller = threading.Thread(target=lambda: answers.append(served.call("POST", "/v1/ask", QUESTION)))  # noqa: B023
        caller.start()
        if kind == "shutting-down":
            wait_for(served, 1)
            served.stop()
        caller.join(120)
        assert answers[0].json["type"] == f"urn:tenken:problem:{kind}"


BAD_QUESTIONS = {
    "no JSON": ("{", 400, "malformed-body", "Invalid JSON: EOF while parsing an object at line 1 column 1"),
    "no question": ({"code": "x"}, 422, "invalid-request", "question: Field required"),
    "blank question": ({**QUESTION, "question": " "}, 422, "invalid-request", "question: it is blank"),
    "nothing to ask about": (
        {"question": "Why?"},
        422,
        "invalid-request",
        "code or diff: there is nothing to ask about",
    ),
    "lines that are not there": (
        {**QUESTION, "lines": [1, 2]},
        422,
        "invalid-request",
        "lines: not within 1 to 1, where `code` is",
    ),
    "too many lines": (
        {**QUESTION, "code": "x\n" * 1500},
        422,
        "invalid-request",
        "the question and its lines are 2421 tokens too long: ask about fewer lines, or raise ENGINE_CONTEXT",
    ),
    "unknown adapter": (
        {**QUESTION, "adapter": "nobody-0123"},
        404,
        "unknown-adapter",
        "no adapter nobody-0123",
    ),
    "oversized": ({**QUESTION, "code": "x" * 20_001}, 413, "body-too-large", ""),
}


@pytest.mark.parametrize("case", BAD_QUESTIONS)
def test_bad_questions_are_answered_exactly(serve: Serve, case: str) -> None:
    """As bad reviews are."""
    body, status, kind, detail = BAD_QUESTIONS[case]
    answer = serve(options=SMALL).call("POST", "/v1/ask", body)
    problem = answer.json
    assert (answer.status, problem["status"]) == (status, status)
    assert (problem["type"], problem["detail"]) == (f"urn:tenken:problem:{kind}", detail)


BAD_BODIES = {
    "no JSON": (
        "{",
        {},
        400,
        "malformed-body",
        "Invalid JSON: EOF while parsing an object at line 1 column 1",
    ),
    "not UTF-8": (b"\xff", {}, 400, "malformed-body", "Invalid JSON: expected value at line 1 column 1"),
    "not compressed": (
        "{}",
        {"Content-Encoding": "gzip"},
        400,
        "bad-request",
        "the body cannot be decoded",
    ),
    "another type": ("x", {"Content-Type": "text/plain"}, 415, "unsupported-media-type", "application/json"),
    "no diff": ({}, {}, 422, "invalid-request", "diff: Field required"),
    "unknown field": (
        {**REVIEW, "colour": 1},
        {},
        422,
        "invalid-request",
        "colour: Extra inputs are not permitted",
    ),
    "wrong type": ({"diff": 7}, {}, 422, "invalid-request", "diff: Input should be a valid string"),
    "out of range": (
        {**REVIEW, "max_findings": 0},
        {},
        422,
        "invalid-request",
        "max_findings: Input should be greater than or equal to 1",
    ),
    "no such language": (
        {**REVIEW, "language": "fr"},
        {},
        422,
        "invalid-request",
        "language: Input should be 'en' or 'ja'",
    ),
    "text for a diff": (
        {"diff": "hello"},
        {},
        422,
        "invalid-diff",
        "no file header ('diff --git' or '---' and '+++') found in this text",
    ),
    "too many files": (
        {"diff": "".join(diff_of(f"{n}.py") for n in range(4))},
        {},
        422,
        "too-many-files",
        "4 files; at most 3 are reviewed at once",
    ),
    "unknown adapter": (
        {**REVIEW, "adapter": "nobody-0123"},
        {},
        404,
        "unknown-adapter",
        "no adapter nobody-0123",
    ),
    "oversized": ({"diff": "x" * 20_001}, {}, 413, "body-too-large", ""),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_are_answered_exactly(serve: Serve, case: str) -> None:
    """Status, type and detail are what the table says, and the body is problem+json."""
    body, headers, status, kind, detail = BAD_BODIES[case]
    answer = serve(options=SMALL).call("POST", "/v1/reviews", body, headers)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert (answer.status, problem["status"]) == (status, status)
    assert (problem["type"], problem["detail"]) == (f"urn:tenken:problem:{kind}", detail)
    assert problem["title"] == titles()[ProblemKind(kind)][0]


BAD_REQUESTS = {
    "unknown route": ("GET", "/v2/reviews", 404, "not-found"),
    "unknown review": ("GET", "/v1/reviews/" + "0" * 24, 404, "not-found"),
    "odd review": ("GET", "/v1/reviews/%00%2e%2e", 404, "not-found"),
    "wrong method": ("PUT", "/v1/reviews", 405, "method-not-allowed"),
    "odd method": ("OPTIONS", "/v1/reviews", 405, "method-not-allowed"),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_bad_requests_are_answered_exactly(serve: Serve, case: str) -> None:
    """What is not there is said to be not there."""
    method, path, status, kind = BAD_REQUESTS[case]
    answer = serve().call(method, path)
    assert (answer.status, answer.json["type"]) == (status, f"urn:tenken:problem:{kind}")
    if status == 405:
        assert answer.headers["Allow"] == "POST"


def test_tokens_decide_who_may_what(serve: Serve, tokens: TokenFile) -> None:
    """No token, a wrong one and another project's are refused; removing one holds at once."""
    good, other = tokens.create(Role.REVIEWER, ("app",)), tokens.create(Role.REVIEWER)
    served = serve(finding_evals(), tokens=tokens)

    def status(headers: dict[str, str], body: object = REVIEW) -> int:
        return served.call("POST", "/v1/reviews", body, headers).status

    refused = served.call("POST", "/v1/reviews", REVIEW)
    assert (refused.status, refused.json["type"]) == (401, "urn:tenken:problem:unauthenticated")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="tenken"'
    wrong = ("", "Bearer", "Bearer x", f"Basic {good}", f"Bearer {good}x", f"Bearer {good[:-1]}", "Bearer é")
    for header in wrong:
        assert status({"Authorization": header.encode().decode("latin-1")}) == 401, header
    assert status(bearer(good)) == 200
    assert status(bearer(good), {**REVIEW, "project": "app"}) == 200
    assert status(bearer(good), {**REVIEW, "project": "other"}) == 403
    assert status(bearer(other), {**REVIEW, "project": "other"}) == 200
    assert [served.call("GET", path).status for path in ("/healthz", "/readyz", "/openapi.json")] == [200] * 3
    assert served.call("GET", "/metrics").status == 401
    tokens.remove(good.split("_")[1])
    assert status(bearer(good)) == 401


BAD_TOKENS = {
    "none": ({}, "POST", "/v1/ask", 401, "unauthenticated", ""),
    "of another scheme": ({"Authorization": "Basic eDp5"}, "POST", "/v1/ask", 401, "unauthenticated", ""),
    "unknown": (bearer("tenken_0123456789ab_x"), "POST", "/v1/reviews", 401, "unauthenticated", ""),
    "of a lower role": (
        None,
        "POST",
        "/v1/secret",
        403,
        "forbidden",
        "this needs the role admin; the token's is reviewer",
    ),
    "for another project": (None, "POST", "/v1/ask", 403, "forbidden", "the token is for app"),
}


@pytest.mark.parametrize("case", BAD_TOKENS)
def test_bad_tokens_are_answered_exactly(serve: Serve, tokens: TokenFile, case: str) -> None:
    """Before the body is looked at; 401 says how to do better."""
    headers, method, path, status, kind, detail = BAD_TOKENS[case]

    async def secret(request: web.Request) -> web.StreamResponse:
        raise AssertionError("nobody gets here")

    guarded = Route("POST", "/v1/secret", secret, "For admins.", {}, Role.ADMIN)
    served = serve(finding_evals(), tokens=tokens, more_routes=(guarded,))
    mine = bearer(tokens.create(Role.REVIEWER, ("app",)))
    body = {**QUESTION, "project": "other"} if headers is None else "{"
    answer = served.call(method, path, body, mine if headers is None else headers)
    problem = answer.json
    assert (answer.status, problem["status"], problem["detail"]) == (status, status, detail)
    assert (problem["type"], problem["title"]) == (
        f"urn:tenken:problem:{kind}",
        titles()[ProblemKind(kind)][0],
    )
    assert answer.headers.get("WWW-Authenticate") == ('Bearer realm="tenken"' if status == 401 else None)


def test_a_review_is_its_tokens_alone(serve: Serve, tokens: TokenFile) -> None:
    """Another token gets 404, as for a review that never was."""
    mine, other = tokens.create(Role.REVIEWER), tokens.create(Role.ADMIN)
    served = serve(finding_evals(), tokens=tokens)
    where = served.call("POST", "/v1/reviews", REVIEW, bearer(mine)).headers["Location"]
    assert [served.call("GET", where, headers=bearer(token)).status for token in (mine, other)] == [200, 404]


def test_a_token_has_so_many_reviews_open(serve: Serve) -> None:
    """The next is refused with 429 and a time to come again, and let in when one has ended."""
    hold = Event()
    options = ServerOptions(limits=ReviewLimits(open_per_token=2), drain_seconds=0.2)
    served = serve(finding_evals(hold=hold), options=options)
    for _ in range(2):
        assert served.call("POST", "/v1/reviews", REVIEW, {"Prefer": "respond-async"}).status == 202
    refused = served.call("POST", "/v1/reviews", REVIEW)
    assert (refused.status, refused.json["type"]) == (429, "urn:tenken:problem:too-many-open-reviews")
    assert int(refused.headers["Retry-After"]) > 0
    hold.set()
    wait_for(served, 0)
    assert served.call("POST", "/v1/reviews", REVIEW).status == 200


def test_a_full_queue_refuses(serve: Serve) -> None:
    """Over all tokens there is a bound too; the text is in the request's language."""
    hold = Event()
    options = ServerOptions(limits=ReviewLimits(open_reviews=1), drain_seconds=0.2)
    served = serve(finding_evals(hold=hold), options=options)
    served.call("POST", "/v1/reviews", REVIEW, {"Prefer": "respond-async"})
    refused = served.call("POST", "/v1/reviews", {**REVIEW, "language": "ja"})
    assert (refused.status, refused.json["type"]) == (429, "urn:tenken:problem:queue-full")
    assert refused.json["title"] == "エンジンが混み合っています。"
    assert int(refused.headers["Retry-After"]) > 0
    hold.set()


def test_problems_speak_the_callers_language(serve: Serve) -> None:
    """Before a body is read, Accept-Language decides."""
    served = serve()
    title = served.call("GET", "/nowhere", headers={"Accept-Language": "fr, ja-JP;q=0.9"}).json["title"]
    assert title == "見つかりません。"


@pytest.mark.parametrize("kind", ProblemKind)
def test_every_problem_has_two_languages_and_a_status(kind: ProblemKind) -> None:
    """No title is missing, none is the same in both."""
    english, japanese = titles()[kind]
    assert english.isascii()
    assert not japanese.isascii()
    assert 400 <= kind.status < 600


@pytest.mark.parametrize("error", [RunnerError("no memory"), ValueError("secret detail")])
def test_a_failing_model_is_a_problem(serve: Serve, error: Exception) -> None:
    """The engine's own error is told; what nobody foresaw is not, and the next review is served."""
    answer = serve(finding_evals(error=error)).call("POST", "/v1/reviews", REVIEW)
    assert (answer.status, answer.json["type"]) == (500, "urn:tenken:problem:engine-failed")
    assert "secret" not in answer.body.decode()


def test_an_engine_without_its_model_is_not_ready(serve: Serve) -> None:
    """It lives, says why it is not ready, and refuses reviews."""

    def load(adapter: object) -> object:
        raise AdapterError("the adapter is damaged")

    served = serve(load, wait=False)
    while served.engine.device.failure is None:
        time.sleep(0.005)
    answers = [
        served.call("GET", "/healthz"),
        served.call("GET", "/readyz"),
        served.call("POST", "/v1/reviews", REVIEW),
    ]
    assert [answer.status for answer in answers] == [200, 503, 503]
    assert answers[2].json["detail"] == "the adapter is damaged"
    assert int(answers[2].headers["Retry-After"]) > 0


def test_a_caller_that_leaves_as_it_is_written_to_is_no_fault(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is noted as one that left, and nothing is logged as an error."""
    served = serve(finding_evals())

    async def write(self: web.StreamResponse, data: bytes) -> None:
        raise ClientConnectionResetError("Cannot write to closing transport")

    with monkeypatch.context() as patched:
        patched.setattr(web.StreamResponse, "write", write)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            served.call("POST", "/v1/reviews", REVIEW, {"Accept": "text/event-stream"})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    counted = 'tenken_http_requests_total{route="/v1/reviews",status="499"} 1.0'
    assert counted in served.call("GET", "/metrics").body.decode()


def test_a_caller_that_leaves_cancels_its_review(serve: Serve) -> None:
    """Neither a waiting nor a streaming caller leaves work behind."""
    served = serve(runner := finding_evals(hold=Event()))

    async def leave(accept: str) -> None:
        async with aiohttp.ClientSession() as session:
            call = session.post(f"{served.url}/v1/reviews", json=REVIEW, headers={"Accept": accept})
            task = asyncio.ensure_future(call.__aenter__())
            await asyncio.to_thread(wait_for, served, 1)
            task.cancel()
            with suppress(asyncio.CancelledError):
                (await task).close()

    for accept in ("application/json", "text/event-stream"):
        asyncio.run(leave(accept))
        wait_for(served, 0)
    assert runner.written == []
    left = 'tenken_http_requests_total{route="/v1/reviews",status="499"} 2.0'
    assert left in served.call("GET", "/metrics").body.decode()


def test_a_thousand_cancelled_reviews_leak_nothing(serve: Serve) -> None:
    """After 1,000 callers left midway no slot, work or thread is held, and the next review is whole."""
    options = ServerOptions(limits=ReviewLimits(open_reviews=64, open_per_token=64), drain_seconds=0.2)
    served = serve(finding_evals(hold=(hold := Event())), options=options)

    async def leave(session: aiohttp.ClientSession, turn: asyncio.Semaphore) -> None:
        async with turn:
            headers = {"Accept": "text/event-stream"}
            async with session.post(f"{served.url}/v1/reviews", json=REVIEW, headers=headers) as answer:
                assert answer.status in (200, 429)
                left.append(answer.status)

    async def all_leave() -> None:
        turn = asyncio.Semaphore(40)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            while left.count(200) < 1000:
                await asyncio.gather(*(leave(session, turn) for _ in range(min(50, 1000 - left.count(200)))))

    left: list[int] = []
    asyncio.run(all_leave())
    wait_for(served, 0)
    assert served.engine.device.load() == (0, 0)
    assert threading.active_count() < 64 + 20
    hold.set()
    answer = served.call("POST", "/v1/reviews", REVIEW)
    assert [finding.line for finding in Review.model_validate_json(answer.body).findings] == [2]


def test_200_reviews_of_20_clients_share_fairly(serve: Serve, tokens: TokenFile) -> None:
    """All are done; halfway, the client that was served most has at most 1.5 times what the least got."""
    options = ServerOptions(limits=ReviewLimits(open_per_token=10), drain_seconds=0.2)
    clients = [tokens.create(Role.REVIEWER) for _ in range(20)]
    served = serve(runner := finding_evals(hold=(hold := Event())), options=options, tokens=tokens)
    line = f"z = '{'x' * 60}'"

    def all_wait() -> None:
        while served.engine.device.load() != (200, 799):  # one of all their chunks is on the device
            time.sleep(0.01)

    async def one(session: aiohttp.ClientSession, number: int) -> int:
        diff = "".join(diff_of(f"client{number}/{n}.py", *[line] * 40) for n in range(4))
        headers = bearer(clients[number])
        async with session.post(f"{served.url}/v1/reviews", json={"diff": diff}, headers=headers) as answer:
            return answer.status

    async def all_of_them() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            calls = [asyncio.create_task(one(session, number)) for number in range(20) for _ in range(10)]
            await asyncio.to_thread(all_wait)
            hold.set()
            return await asyncio.gather(*calls)

    assert asyncio.run(all_of_them()) == [200] * 200
    half = [request.prompt for request in runner.scored[:400]]
    counts = [sum(f"client{number}/" in prompt for prompt in half) for number in range(20)]
    assert max(counts) <= 1.5 * min(counts), counts


def test_shutdown_finishes_what_is_open_and_refuses_what_is_new(serve: Serve) -> None:
    """An open review is waited for; meanwhile the engine is not ready and says so."""
    hold = Event()
    served = serve(finding_evals(hold=hold), options=ServerOptions(drain_seconds=120))
    answers = []
    caller = threading.Thread(target=lambda: answers.append(served.call("POST", "/v1/reviews", REVIEW)))
    caller.start()
    wait_for(served, 1)
    served.stop()
    while served.call("GET", "/readyz").status == 200:
        time.sleep(0.005)
    refused = served.call("POST", "/v1/reviews", REVIEW)
    assert (refused.status, refused.json["type"]) == (503, "urn:tenken:problem:shutting-down")
    hold.set()
    caller.join(120)
    review = Review.model_validate_json(answers[0].body)
    assert (answers[0].status, review.partial, len(review.findings)) == (200, False, 1)


def test_shutdown_does_not_wait_for_ever(serve: Serve) -> None:
    """After the drain time an open review is answered with what it has."""
    served = serve(finding_evals(hold=Event()), options=ServerOptions(drain_seconds=0.1))
    answers = []
    caller = threading.Thread(target=lambda: answers.append(served.call("POST", "/v1/reviews", REVIEW)))
    caller.start()
    wait_for(served, 1)
    served.stop()
    caller.join(120)
    assert (answers[0].status, answers[0].json["partial"]) == (200, True)


def test_a_deadline_ends_a_review_with_what_it_has(serve: Serve) -> None:
    """The answer is a partial review, not an error."""
    options = ServerOptions(limits=ReviewLimits(seconds=0.2), drain_seconds=0.2)
    answer = serve(finding_evals(hold=Event()), options=options).call("POST", "/v1/reviews", REVIEW)
    assert (answer.status, answer.json["partial"]) == (200, True)


def test_metrics_count_what_happened(serve: Serve) -> None:
    """Batches, tokens, reviews and requests are there, by the routes' patterns."""
    served = serve(finding_evals())
    served.call("POST", "/v1/reviews", REVIEW)
    served.call("GET", "/v1/reviews/" + "0" * 24)
    lines = (
        'tenken_batch_seconds_count{kind="score"} 1.0',
        'tenken_batch_seconds_count{kind="write"} 1.0',
        'tenken_review_seconds_count{outcome="done"} 1.0',
        "tenken_first_finding_seconds_count 1.0",
        "tenken_adapter_load_seconds_count 1.0",
        'tenken_http_requests_total{route="/v1/reviews/{id}",status="404"} 1.0',
        "tenken_open_reviews 0.0",
        "tenken_queue_works 0.0",
    )
    ends = time.monotonic() + 60  # a batch is counted after its answers are out, so perhaps after the review
    while (missing := _missing(served, lines)) and time.monotonic() < ends:
        time.sleep(0.005)
    assert missing == []


def _missing(served: Served, lines: Iterable[str]) -> list[str]:
    text = served.call("GET", "/metrics").body.decode()
    return [line for line in lines if line not in text]
