"""The embedded engine's process: reviews and answers what comes as JSON lines on standard input.

It is a process of its own so that the model's memory, threads and faults are not the editor's. It ends when
its input does, that is with the server, or after a while with nothing to do: then the memory is free again.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from engine.adapters import Adapter
from engine.client import LocalReviewClient, ReviewClient
from engine.errors import InputError, TenkenError
from engine.feedback import Feedback
from engine.opening import OpenRunner, calibration_of, choose_adapter, open_runner
from engine.runners import Cancellation, Runner
from engine.settings import EngineSettings, load_settings
from engine.store.opening import open_store, store_exists
from engine.wire import Question, ReviewRequest

IDLE_SECONDS = 900.0
_NICENESS = 10


class Worker:
    """Answers one request after the other; a cancellation reaches the one that runs."""

    def __init__(self, out: TextIO, settings: EngineSettings, open_with: OpenRunner = open_runner) -> None:
        self._out = out
        self._settings = settings
        self._open = open_with
        self._cancellation = Cancellation()
        self._waiting: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._runner: tuple[Adapter | None, Runner] | None = None

    def read(self, lines: TextIO) -> None:
        """Take requests from `lines` until they end."""
        for line in lines:
            message = json.loads(line)
            if message["kind"] == "cancel":
                self._cancellation.cancel()
            else:
                self._cancellation = message["cancellation"] = Cancellation()
                self._waiting.put(message)
        self._cancellation.cancel()
        self._waiting.put(None)

    def work(self, idle_seconds: float = IDLE_SECONDS) -> None:
        """Do what is asked until nobody asks any more."""
        with suppress(queue.Empty):
            while (message := self._waiting.get(timeout=idle_seconds)) is not None:
                try:
                    self._answer(message["kind"], message["body"], message["cancellation"])
                except TenkenError as error:
                    self._say("error", {"input": isinstance(error, InputError), "text": str(error)})

    def _answer(self, kind: str, body: Any, cancellation: Cancellation) -> None:
        match kind:
            case "review":
                request = ReviewRequest.model_validate(body)
                review = self._client(request.project).review(
                    request,
                    on_progress=lambda progress: self._say("progress", asdict(progress)),
                    on_finding=lambda finding: self._say("finding", finding.model_dump(mode="json")),
                    cancellation=cancellation,
                )
                self._say("review", review.model_dump(mode="json"))
            case "ask":
                question = Question.model_validate(body)
                answer = self._client(question.project).ask(question, cancellation=cancellation)
                self._say("answer", answer.model_dump(mode="json") if answer else None)
            case "feedback":
                with open_store(self._settings) as store:
                    store.feedback.record(Feedback.model_validate(body))
                self._say("recorded", None)

    def _client(self, project: str) -> ReviewClient:
        adapter, suppressed = self._remembered(project)
        if self._runner is None or self._runner[0] != adapter:
            self._say("loading", None)
            if self._runner is not None:
                self._runner[1].close()
            self._runner = None
            self._runner = adapter, self._open(self._settings, adapter)
        return LocalReviewClient(self._runner[1], calibration_of(adapter), self._settings.context, suppressed)

    def _remembered(self, project: str) -> tuple[Adapter | None, Collection[str]]:
        """Return the project's adapter, and what it dismissed."""
        chosen = choose_adapter(None, self._settings)
        if not store_exists(self._settings):
            return chosen, ()
        from engine.store.projects import StoredProjects

        with open_store(self._settings) as store:
            projects = StoredProjects(store, chosen)
            named = chosen if self._settings.adapter_dir else projects.adapter(project)
            return named, projects.suppressed(project)

    def _say(self, kind: str, body: object) -> None:
        self._out.write(json.dumps({"kind": kind, "body": body}) + "\n")
        self._out.flush()


def main(open_with: OpenRunner = open_runner) -> int:
    """Work until standard input ends. Whatever else writes to standard output writes to standard error."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    worker = Worker(out, load_settings(), open_with)
    threading.Thread(target=worker.read, args=(sys.stdin,), name="requests", daemon=True).start()
    worker.work()
    return 0


if __name__ == "__main__":
    sys.exit(main())
