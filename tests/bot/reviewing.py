"""Reviews for tests: the real pipeline without a model, and work that nobody keeps."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bot.reviewer import OnProgress
from bot.work import Failure, StepFailed
from engine.client import LocalReviewClient
from engine.findings import Category
from engine.prompts import CATEGORY_LABELS
from engine.testing import FakeRunner, by_keyword
from engine.wire import Review, ReviewRequest

_T = TypeVar("_T")
REPLY = json.dumps({"severity": "major", "message": "This is bad."}, separators=(",", ":"))


class KeywordReviewer:
    """Finds fault with lines that hold a word; `before` runs ahead of each review."""

    def __init__(self, word: str = "bad", reply: str = REPLY) -> None:
        self.requests: list[ReviewRequest] = []
        self.before: Callable[[ReviewRequest], Awaitable[object]] | None = None
        self._word = word
        self._reply = reply

    async def review(self, request: ReviewRequest, on_progress: OnProgress) -> Review:
        self.requests.append(request)
        if self.before is not None:
            await self.before(request)
        runner = FakeRunner(
            by_keyword({self._word: (CATEGORY_LABELS[Category.BUG], 0.97)}), self._reply, adapter="team-1"
        )
        return LocalReviewClient(runner).review(request, on_progress=on_progress)


@dataclass(slots=True)
class PlainWork:
    """Work whose steps are done at once; `current` may be changed at any time.

    What a step gives goes through JSON, as it does when it is kept.
    """

    payload: Mapping[str, Any]
    id: str = "work-1"
    current: bool = True
    steps: list[str] = field(default_factory=list)
    asked: int = 0

    async def step(
        self,
        name: str,
        act: Callable[[], Awaitable[_T]],
        *,
        seconds: float | None = None,
        abort: bool = False,
    ) -> _T:
        self.steps.append(name)
        try:
            value: _T = json.loads(json.dumps(await act()))
        except StepFailed:
            raise
        except Exception as error:
            raise StepFailed(Failure.of(error)) from error
        return value

    async def still_current(self) -> bool:
        self.asked += 1
        return self.current
