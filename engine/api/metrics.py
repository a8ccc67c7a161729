"""Measurements for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from engine.batching import Batch
from engine.device import Task
from engine.runners import Reply, Scores

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_WORKS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """All measurements of one engine; may be called from any thread."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._batch_works = Histogram(
            "tenken_batch_works", "Works of a batch.", ["kind"], buckets=_WORKS, registry=registry
        )
        self._batch_seconds = Histogram(
            "tenken_batch_seconds", "Time of a batch.", ["kind"], buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter(
            "tenken_tokens", "Tokens: prompt, cached (of the prompt's), written.", ["kind"], registry=registry
        )
        self._prefix_hits = Counter(
            "tenken_prefix_hits", "Answers whose prompt began in the prefix cache.", registry=registry
        )
        self._loads = Histogram(
            "tenken_adapter_load_seconds", "Time to load an adapter.", buckets=_SECONDS, registry=registry
        )
        self._reviews = Histogram(
            "tenken_review_seconds", "Time of a review.", ["outcome"], buckets=_SECONDS, registry=registry
        )
        self._first_finding = Histogram(
            "tenken_first_finding_seconds", "Time to a first finding.", buckets=_SECONDS, registry=registry
        )
        self._questions = Histogram(
            "tenken_question_seconds", "Time of a question.", ["outcome"], buckets=_SECONDS, registry=registry
        )
        self._requests = Counter(
            "tenken_http_requests", "Requests by route and status.", ["route", "status"], registry=registry
        )

    def watch(self, load: Callable[[], tuple[int, int]]) -> None:
        """Report what `load` says, open reviews and waiting works, whenever somebody asks."""
        reviews = Gauge(
            "tenken_open_reviews", "Reviews and questions in the engine.", registry=self._registry
        )
        reviews.set_function(lambda: load()[0])
        works = Gauge("tenken_queue_works", "Works that wait.", registry=self._registry)
        works.set_function(lambda: load()[1])

    def text(self) -> bytes:
        """Return all measurements in Prometheus' format."""
        return generate_latest(self._registry)

    def batch(self, batch: Batch[Task], answers: Sequence[Scores | Reply], seconds: float) -> None:
        """Note a batch."""
        self._batch_works.labels(batch.kind).observe(len(batch.works))
        self._batch_seconds.labels(batch.kind).observe(seconds)
        for answer in answers:
            self._tokens.labels("prompt").inc(answer.prompt_tokens)
            self._tokens.labels("cached").inc(answer.cached_tokens)
            self._prefix_hits.inc(answer.cached_tokens > 0)
            if isinstance(answer, Reply):
                self._tokens.labels("written").inc(answer.tokens)

    def load(self, seconds: float) -> None:
        """Note that an adapter was loaded."""
        self._loads.observe(seconds)

    def review(self, outcome: str, seconds: float) -> None:
        """Note a review that ended."""
        self._reviews.labels(outcome).observe(seconds)

    def first_finding(self, seconds: float) -> None:
        """Note how long a review's first finding took."""
        self._first_finding.observe(seconds)

    def question(self, outcome: str, seconds: float) -> None:
        """Note a question that ended."""
        self._questions.labels(outcome).observe(seconds)

    def request(self, route: str, status: int) -> None:
        """Note a request that was answered."""
        self._requests.labels(route, str(status)).inc()
