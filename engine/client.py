"""Where reviews come from: an engine elsewhere, or the model in this process. One Protocol for both.

The HTTP client is made of the standard library alone, and blocks: a laptop needs nothing more installed, and
a service calls it through `asyncio.to_thread`, as it does all that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from engine.asking import ask
from engine.errors import EngineError, Unreachable
from engine.exchange import Exchange, HttpOptions
from engine.findings import Finding
from engine.review import Progress, review
from engine.runners import Cancellation, Runner
from engine.scores import Calibration
from engine.wire import Answer, Question, Review, ReviewProgress, ReviewRequest
from engine.workload import require_room

__all__ = ["HttpOptions", "HttpReviewClient", "LocalReviewClient", "OnFinding", "OnProgress", "ReviewClient"]

OnProgress = Callable[[Progress], None]
OnFinding = Callable[[Finding], None]

_Model = TypeVar("_Model", bound=BaseModel)


def _unheard(_: object) -> None:
    """For callers that want the review alone."""


class ReviewClient(Protocol):
    """Reviews changes and answers questions. One at a time for each client."""

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = ...,
        on_finding: OnFinding = ...,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`; cancelled, what is done until then, marked partial.

        Raises InputError for a request that cannot be reviewed, EngineError where the engine cannot work.
        """

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return the answer to `question`, or None where it was cancelled before that; raises as `review`."""

    def close(self) -> None:
        """Free what the client holds. Idempotent."""


class LocalReviewClient:
    """Reviews with a runner in this process; closes it in the end."""

    def __init__(
        self,
        runner: Runner,
        calibration: Calibration = Calibration(),  # noqa: B008 - frozen
        context: int = 4096,
        suppressed: Collection[str] = (),
    ) -> None:
        self._suppressed = suppressed
        self._runner = runner
        self._calibration = calibration
        self._context = context

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = _unheard,
        on_finding: OnFinding = _unheard,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`."""
        require_room(request, self._runner.count_tokens, self._context)
        return review(
            request,
            self._runner,
            self._calibration,
            on_progress=on_progress,
            on_finding=on_finding,
            cancellation=cancellation,
            suppressed=self._suppressed,
        )

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return the answer to `question`."""
        return ask(question, self._runner, self._context, cancellation)

    def close(self) -> None:
        """Free the model."""
        self._runner.close()


class HttpReviewClient:
    """Reviews with an engine elsewhere; see `engine.exchange` for what is tried again."""

    def __init__(self, url: str, options: HttpOptions = HttpOptions()) -> None:  # noqa: B008 - frozen
        self._exchange = Exchange(url, options)

    def review(
        self,
        request: ReviewRequest,
        *,
        on_progress: OnProgress = _unheard,
        on_finding: OnFinding = _unheard,
        cancellation: Cancellation | None = None,
    ) -> Review:
        """Return the review of `request`."""
        body = request.model_dump_json(exclude_defaults=True).encode()
        with self._exchange.events("/v1/reviews", body, cancellation or Cancellation()) as events:
            for name, data in events:
                match name:
                    case "progress":
                        on_progress(Progress(**_read(ReviewProgress, data).model_dump()))
                    case "finding":
                        on_finding(_read(Finding, data))
                    case "review":
                        return _read(Review, data)
        raise AssertionError("the events end with the review, or with an error")

    def ask(self, question: Question, *, cancellation: Cancellation | None = None) -> Answer | None:
        """Return the answer to `question`."""
        cancellation = cancellation or Cancellation()
        body = question.model_dump_json(exclude_defaults=True).encode()
        try:
            with self._exchange.events("/v1/ask", body, cancellation) as events:
                return next(_read(Answer, data) for name, data in events if name == "answer")
        except EngineError:
            if cancellation.cancelled:
                return None
            raise

    def close(self) -> None:
        """Nothing is kept between requests."""


def _read(model: type[_Model], data: str) -> _Model:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise Unreachable(
            f"the engine sends what this version does not understand: {model.__name__}"
        ) from error
