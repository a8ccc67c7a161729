"""Both clients keep one contract; the one over HTTP survives what networks do."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from certificates import self_signed
from serving import diff_of, finding_evals, serving

from engine.client import HttpOptions, HttpReviewClient, LocalReviewClient, ReviewClient
from engine.errors import (
    AccessRefused,
    ConfigError,
    DiffError,
    InputError,
    QueueFull,
    RunnerError,
    UnknownAdapter,
    Unreachable,
)
from engine.findings import Finding
from engine.review import Progress
from engine.runners import Cancellation, WriteRequest
from engine.server import ServerOptions, tls_context
from engine.testing import CANNED_REPLY, FakeRunner
from engine.tokens import Role, TokenFile
from engine.wire import Answer, Language, Question, Review, ReviewRequest

MakeClient = Callable[[FakeRunner], ReviewClient]
REQUEST = ReviewRequest(diff=diff_of())
HURRIED = HttpOptions(attempts=3, first_pause=0.01, connect_seconds=60, silence_seconds=60)


@pytest.fixture(params=["local", "http"])
def client_of(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Make a client of each kind around a fake model."""
    with ExitStack() as stack:

        def make(runner: FakeRunner) -> ReviewClient:
            if request.param == "local":
                return LocalReviewClient(runner)
            return HttpReviewClient(stack.enter_context(serving(runner)).url, HURRIED)

        yield make


def test_review_finding_and_progress_arrive(client_of: MakeClient) -> None:
    """What the callbacks were told is what the review holds."""
    findings: list[Finding] = []
    progress: list[Progress] = []
    review = client_of(finding_evals()).review(
        REQUEST, on_finding=findings.append, on_progress=progress.append
    )
    assert [(finding.path, finding.line) for finding in review.findings] == [("a.py", 2)]
    assert tuple(findings) == review.findings
    assert (progress[-1].lines_done, progress[-1].lines) == (2, 2)
    assert (review.partial, review.base_model) == (False, "fake-base")


def test_both_say_the_same(client_of: MakeClient) -> None:
    """Findings and coverage do not depend on where the model is."""
    request = ReviewRequest(
        diff="".join(diff_of(f"{n}.py") for n in range(6)),
        language=Language.JA,
        exclude=("5.py",),
        max_findings=3,
        sources={"0.py": "x = 1\ny = eval(x)\n"},
    )
    review = client_of(finding_evals()).review(request)
    expected = LocalReviewClient(finding_evals()).review(request)
    assert (review.findings, review.coverage) == (expected.findings, expected.coverage)
    assert (review.language, review.suppressed) == (Language.JA, expected.suppressed)


def test_a_diff_without_code_needs_no_model(client_of: MakeClient) -> None:
    """A deleted file is covered, and nothing is read."""
    runner = finding_evals()
    deleted = "--- a/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n"
    review = client_of(runner).review(ReviewRequest(diff=deleted))
    assert ([entry.reviewed for entry in review.coverage], runner.scored) == ([False], [])


def test_a_bad_diff_names_its_line(client_of: MakeClient) -> None:
    """The same error with the same text and line."""
    broken = diff_of() + "@@ -5,2 +5,2 @@\n x\n"
    with pytest.raises(DiffError) as caught:
        client_of(finding_evals()).review(ReviewRequest(diff=broken))
    with pytest.raises(DiffError) as expected:
        LocalReviewClient(finding_evals()).review(ReviewRequest(diff=broken))
    assert (str(caught.value), caught.value.line) == (str(expected.value), expected.value.line)


def test_guidelines_that_leave_no_room_are_refused(client_of: MakeClient) -> None:
    """They are the caller's to shorten."""
    with pytest.raises(InputError, match="shorten them"):
        client_of(finding_evals()).review(ReviewRequest(diff=diff_of(), guidelines="a b " * 1999))


def test_a_failing_model_is_an_engine_error(client_of: MakeClient) -> None:
    """With the model's own words."""
    with pytest.raises(RunnerError, match="no memory"):
        client_of(finding_evals(error=RunnerError("no memory"))).review(REQUEST)


def test_a_cancelled_review_keeps_what_it_has(client_of: MakeClient) -> None:
    """Cancelled at its first finding, it returns that one, marked partial."""
    cancellation = Cancellation()
    hold = Event()
    hold.set()

    def reply_and_wait(request: WriteRequest) -> str:
        hold.clear()  # here, not where it arrives: over HTTP the model would be far ahead by then
        return CANNED_REPLY

    request = ReviewRequest(diff="".join(diff_of(f"{n}.py") for n in range(400)))
    review = client_of(finding_evals(hold=hold, replies=reply_and_wait)).review(
        request, on_finding=lambda finding: cancellation.cancel(), cancellation=cancellation
    )
    assert review.partial
    assert len(review.findings) == 1


QUESTION = Question(question="What does it do?", path="a.py", code="x = 1\ny = eval(x)\n", lines=(2, 2))


def test_a_question_is_answered(client_of: MakeClient) -> None:
    """The answer does not depend on where the model is."""
    answer = client_of(finding_evals()).ask(QUESTION)
    assert answer is not None
    assert (answer.text, answer.base_model, answer.truncated) == ("It adds up.", "fake-base", False)


def test_a_question_that_does_not_fit_is_refused(client_of: MakeClient) -> None:
    """It is the asker's to shorten."""
    long = Question(question="What is it?", code="value = [1, 2, 3]\n" * 2000)
    with pytest.raises(InputError, match="ask about fewer lines"):
        client_of(finding_evals()).ask(long)


def test_a_model_without_an_answer_is_an_engine_error(client_of: MakeClient) -> None:
    """Nothing is made up in its place."""
    with pytest.raises(RunnerError, match="no answer"):
        client_of(finding_evals(replies="null")).ask(QUESTION)


def test_a_cancelled_question_has_no_answer(client_of: MakeClient) -> None:
    """Whoever asked is free at once."""
    runner = finding_evals(hold=Event())
    cancellation = Cancellation()
    threading.Thread(target=lambda: (runner.started.wait(60), cancellation.cancel())).start()
    assert client_of(runner).ask(QUESTION, cancellation=cancellation) is None


def test_closing_twice_does_no_harm(client_of: MakeClient) -> None:
    """Close is idempotent."""
    client = client_of(finding_evals())
    client.close()
    client.close()


class Script:
    """An HTTP server that answers from a script and keeps what it was asked."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        script = iter(answers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append((self.command, self.path, dict(self.headers)))
                self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, body = next(script)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Script:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


REVIEW = Review.model_validate({"verdict": "clean", "findings": [], "coverage": []})
DONE: tuple[int, dict[str, str], bytes] = (
    200,
    {},
    b"event: review\ndata: " + REVIEW.model_dump_json().encode() + b"\n\n",
)
BUSY = (503, {"Retry-After": "0"}, b"<html>busy</html>")


def problem(kind: str, status: int, **headers: str) -> tuple[int, dict[str, str], bytes]:
    body = f'{{"type":"urn:tenken:problem:{kind}","title":"t","status":{status},"detail":"said so"}}'
    return status, headers, body.encode()


def test_it_comes_again_when_told_to() -> None:
    """503 and 429 are tried again, from a gateway as well as from the engine."""
    with Script(BUSY, problem("queue-full", 429), DONE) as script:
        assert HttpReviewClient(script.url, HURRIED).review(REQUEST) == REVIEW
    assert len(script.asked) == 3


def test_it_gives_up_after_some_attempts() -> None:
    """The last refusal is what is raised."""
    with Script(BUSY, BUSY, problem("queue-full", 429)) as script, pytest.raises(QueueFull):
        HttpReviewClient(script.url, HURRIED).review(REQUEST)
    assert len(script.asked) == 3


def test_it_waits_as_long_as_it_is_asked_to() -> None:
    """Retry-After is a lower bound of the pause."""
    with Script(problem("queue-full", 429, **{"Retry-After": "1"}), DONE) as script:
        started = time.monotonic()
        HttpReviewClient(script.url, HURRIED).review(REQUEST)
    assert time.monotonic() - started >= 1


def test_a_cancelled_client_does_not_wait() -> None:
    """A pause ends at once when the caller gives up."""
    cancellation = Cancellation()
    cancellation.cancel()
    refusal = problem("queue-full", 429, **{"Retry-After": "60"})
    with Script(refusal) as script, pytest.raises(QueueFull):
        HttpReviewClient(script.url, HURRIED).review(REQUEST, cancellation=cancellation)


def test_an_engine_that_cannot_be_stopped_is_left() -> None:
    """Cancelled while nobody answers any more, the client breaks off before the silence ends it."""
    cancellation = Cancellation()
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer_once() -> None:
            peer, _ = server.accept()
            server.close()
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nLocation: /v1/reviews/1\r\n\r\n: still here\n\n")
            cancellation.cancel()
            peers.append(peer)

        peers: list[socket.socket] = []
        thread = threading.Thread(target=answer_once)
        thread.start()
        with pytest.raises(Unreachable):
            HttpReviewClient(url, HttpOptions(connect_seconds=0.2)).review(REQUEST, cancellation=cancellation)
        thread.join()
        peers[0].close()


def test_who_leaves_hangs_up() -> None:
    """An answer without a length is broken off at once, also while its error is held."""

    def fail(finding: Finding) -> None:
        raise BrokenPipeError

    found = LocalReviewClient(finding_evals()).review(REQUEST).findings[0].model_dump_json()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.settimeout(120)
                peer.sendall(f"HTTP/1.1 200 OK\r\n\r\nevent: finding\ndata: {found}\n\n".encode())
                while peer.recv(65536):
                    """The request, until its end."""

        left = pool.submit(answer)
        with pytest.raises(BrokenPipeError) as raised:
            HttpReviewClient(url, HURRIED).review(REQUEST, on_finding=fail)
        left.result()
        assert raised.value.__traceback__


def test_a_callbacks_error_is_its_own() -> None:
    """A terminal that is gone is not taken for an engine that is gone."""

    def fail(finding: Finding) -> None:
        raise BrokenPipeError

    with serving(finding_evals()) as served, pytest.raises(BrokenPipeError):
        HttpReviewClient(served.url, HURRIED).review(REQUEST, on_finding=fail)


REFUSALS = {
    "unauthenticated": (401, AccessRefused),
    "forbidden": (403, AccessRefused),
    "unknown-adapter": (404, UnknownAdapter),
    "body-too-large": (413, InputError),
    "invalid-request": (422, InputError),
    "too-many-files": (422, InputError),
    "engine-failed": (500, RunnerError),
    "not-found": (404, Unreachable),
    "never-heard-of": (400, Unreachable),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_not_tried_again(kind: str) -> None:
    """Each kind of problem is an error of its own."""
    status, error = REFUSALS[kind]
    with Script(problem(kind, status)) as script, pytest.raises(error):
        HttpReviewClient(script.url, HURRIED).review(REQUEST)
    assert len(script.asked) == 1


CUT = {
    "nothing": b"",
    "within an event": DONE[2][:-20],
    "after progress": b": still here\n\nevent: later\ndata: {}\n\n",
    "another version's": b'event: review\ndata: {"verdict":"purple"}\n\n',
    "no stream": b"<html>hello</html>",
}


def test_a_question_is_tried_again_and_given_up_alike() -> None:
    """What holds for reviews holds for questions."""
    answer = (200, {}, b'event: answer\ndata: {"text":"Yes."}\n\n')
    with Script(BUSY, answer) as script:
        assert HttpReviewClient(script.url, HURRIED).ask(QUESTION) == Answer(text="Yes.")
    assert [path for _, path, _ in script.asked] == ["/v1/ask"] * 2
    with Script((200, {}, b"")) as script, pytest.raises(Unreachable):
        HttpReviewClient(script.url, HURRIED).ask(QUESTION)


@pytest.mark.parametrize("case", CUT)
def test_a_stream_without_its_end_is_an_error(case: str) -> None:
    """Half a review is never taken for one, and not tried again."""
    with Script((200, {}, CUT[case])) as script, pytest.raises(Unreachable):
        HttpReviewClient(script.url, HURRIED).review(REQUEST)
    assert len(script.asked) == 1


def test_nobody_there_is_an_error_with_the_address() -> None:
    """A connection that is refused is tried again, then told."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"  # nobody else gets it while it is bound
        with pytest.raises(Unreachable, match=f"cannot reach {url}"):
            HttpReviewClient(url, HURRIED).review(REQUEST)


@pytest.mark.parametrize(
    "url", ["", "engine:8750", "ftp://host", "http://", "http://host:0x", "http://a@h", "http://h?q"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError):
        HttpReviewClient(url)


def test_a_proxy_is_asked_for_the_whole_address() -> None:
    """With its own credentials, and the engine's token for the engine."""
    with Script(DONE) as proxy:
        address = proxy.url.replace("http://", "http://me:p%40ss@")
        options = HttpOptions(token="tenken_1_2", proxy=address)
        HttpReviewClient("http://engine.example:81/base/", options).review(REQUEST)
    [(_, path, headers)] = proxy.asked
    assert path == "http://engine.example:81/base/v1/reviews"
    assert headers["Host"] == "engine.example:81"
    assert headers["Proxy-Authorization"] == "Basic bWU6cEBzcw=="
    assert headers["Authorization"] == "Bearer tenken_1_2"


def test_a_private_certificate_authority_is_trusted_by_file(tmp_path: Path) -> None:
    """Without the file the engine is refused, and the error says which variable names it."""
    certificate, key = self_signed(tmp_path)
    options = ServerOptions(tls=tls_context(certificate, key), drain_seconds=0.2)
    with serving(finding_evals(), options=options) as served:
        url = f"https://localhost:{served.port}"
        trusting = HttpReviewClient(url, HttpOptions(ca_file=certificate))
        assert len(trusting.review(REQUEST).findings) == 1
        with pytest.raises(Unreachable, match="ENGINE_CA_FILE"):
            HttpReviewClient(url, HURRIED).review(REQUEST)
    with pytest.raises(ConfigError, match=r"key\.pem"):
        HttpReviewClient(url, HttpOptions(ca_file=key))


def test_the_token_opens_the_engine_and_shows_nowhere(tmp_path: Path) -> None:
    """It is sent, and is in no text that options or errors have."""
    tokens = TokenFile(tmp_path / "tokens.json")
    token = tokens.create(Role.REVIEWER)
    with serving(finding_evals(), tokens=tokens) as served:
        options = HttpOptions(token=token)
        assert len(HttpReviewClient(served.url, options).review(REQUEST).findings) == 1
        with pytest.raises(AccessRefused) as caught:
            HttpReviewClient(served.url, HttpOptions(token=f"{token}x")).review(REQUEST)
    assert token not in repr(options) + str(caught.value)
    assert token.split("_", 2)[2] not in (tmp_path / "tokens.json").read_text()
    assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0


def test_tls_context_is_a_servers(tmp_path: Path) -> None:
    """A certificate that is none is an error of its own, not a server without TLS."""
    (tmp_path / "x").write_text("")
    with pytest.raises(ssl.SSLError):
        tls_context(tmp_path / "x", tmp_path / "x")
