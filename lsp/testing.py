"""The language server's fakes: an editor that keeps what it is shown, and an engine that waits to be told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Semaphore
from typing import Any

from engine.client import OnFinding, OnProgress
from engine.feedback import Feedback
from engine.findings import Category, Finding, Severity, fingerprint, verdict_of
from engine.parsing import parse_diff
from engine.review import Progress as EngineProgress
from engine.runners import Cancellation
from engine.wire import Answer, FileCoverage, Question, Review, ReviewRequest, SkipReason
from lsp.client import Tone

_POLL_SECONDS = 0.002


@dataclass(slots=True)
class FakeProgress:
    """Progress that keeps what it was told."""

    cancelled: Callable[[], None]
    said: list[str] = field(default_factory=list)

    def report(self, message: str, percent: int | None) -> None:
        """Keep it."""
        self.said.append(message)

    def end(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)


@dataclass(slots=True)
class FakeClient:
    """An editor that keeps what it is shown."""

    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: list[Mapping[str, object]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    works: list[FakeProgress] = field(default_factory=list)
    refreshed: int = 0

    def send(self, notification: str) -> None:
        """Keep what is published, by its address."""
        params = json.loads(notification)["params"]
        self.shown[params["uri"]] = params

    def status(self, status: Mapping[str, object]) -> None:
        """Keep it."""
        self.statuses.append(status)

    def message(self, tone: Tone, text: str) -> None:
        """Keep it."""
        self.messages.append(text)

    def progress(self, title: str, cancelled: Callable[[], None]) -> FakeProgress:
        """Return progress that is kept."""
        self.works.append(FakeProgress(cancelled))
        return self.works[-1]

    async def choose(self, text: str, choices: Sequence[str]) -> int | None:
        """Choose the first."""
        return 0

    async def show(self, title: str, markdown: str) -> None:
        """Keep it with the messages."""
        self.messages.append(markdown)

    async def open(self, url: str) -> bool:
        """Keep it with the messages."""
        self.messages.append(url)
        return True

    def refresh(self) -> None:
        """Count it."""
        self.refreshed += 1


class FakeEngine:
    """Finds every added line with `keyword`; each finding, and each end, waits for a permit."""

    name = "fake"
    one_at_a_time = False
    loading = False

    def __init__(self, keyword: str = "eval", *, gated: bool = True) -> None:
        self.permits = Semaphore(0 if gated else 1_000_000)
        self.requests: list[ReviewRequest] = []
        self.recorded: list[Feedback] = []
        self.found: list[Finding] = []
        self._short = Event()  # of permits
        self._keyword = keyword

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = lambda progress: None,
        on_finding: OnFinding = lambda finding: None,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return what is in the diff, as far as permits went."""
        self.requests.append(request)
        cancellation = cancellation or Cancellation()
        found: list[Finding] = []
        coverage: list[FileCoverage] = []
        files = parse_diff(request.diff)
        for number, file in enumerate(files):
            whole = True
            for finding in find_all(request.diff, file.new_path, self._keyword):
                if whole := self._permitted(cancellation):
                    found.append(finding)
                    on_finding(finding)
                    self.found.append(finding)
            whole = whole and self._permitted(cancellation)
            reason = None if whole else SkipReason.CANCELLED
            coverage.append(FileCoverage(path=file.new_path, reviewed=whole, reason=reason))
            on_progress(EngineProgress(file.new_path, number + 1, len(files), number + 1, len(files), 0))
        return Review(verdict=verdict_of(found), findings=tuple(found), coverage=tuple(coverage))

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return an answer."""
        return Answer(text="Because.")

    def record(self, feedback: Feedback) -> None:
        """Keep it."""
        self.recorded.append(feedback)

    def close(self) -> None:
        """Nothing to free."""

    @property
    def waits(self) -> bool:
        """Tell whether a review does nothing until there is another permit."""
        return self.permits._value == 0 and self._short.is_set()

    def _permitted(self, cancellation: Cancellation) -> bool:
        while not cancellation.cancelled:
            self._short.clear()  # before the last permit is taken, or `waits` would be true of who has it
            if self.permits.acquire(blocking=False):
                return not cancellation.cancelled
            self._short.set()
            time.sleep(_POLL_SECONDS)
        self._short.clear()
        return False


def find_all(diff: str, path: str, keyword: str) -> list[Finding]:
    """Return a finding on each added line of a file that holds `keyword`; its message is the line."""
    (file,) = (file for file in parse_diff(diff) if file.new_path == path)
    lines = [
        line for hunk in file.hunks for line in hunk.lines if line.is_commentable and keyword in line.text
    ]
    return [
        Finding(
            path=path,
            line=line.new_number or 0,
            end_line=line.new_number or 0,
            severity=Severity.MAJOR,
            category=Category.BUG,
            message=line.text,
            confidence=0.9,
            code=line.text,
            fingerprint=fingerprint(path, line.text, Category.BUG),
        )
        for line in lines
    ]
