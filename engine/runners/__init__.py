"""The Runner Protocol: the two calls the review pipeline makes of a model, and their values.

Kinds live in modules of their own (`llama`), chosen by configuration. Nothing here imports a
model library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """One chunk to score: a prompt, then one block a commentable line.

    The distribution over `labels` is read after the last token of `prompt + blocks[0] + ... + blocks[i]`
    for every i. Labels never enter the sequence. Each piece is tokenized on its own, as in training, so
    that both see the same tokens whatever stands at the seams.
    """

    prompt: str
    blocks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One line to write about: text after `prompt + suffix`, constrained by a JSON schema.

    `prompt` and `suffix` are tokenized apart; the prompt is the one that was scored, so its cache is warm.
    """

    prompt: str
    suffix: str
    schema: dict[str, object]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class LikelihoodRequest:
    """A given text after `prompt + suffix`: how probable is it?

    Asked about are the tokens of `text` that begin in `span`, from its first character to before its second;
    those in front of them are given, as the prompt is. The three pieces are tokenized apart, as in training.
    """

    prompt: str
    suffix: str
    text: str
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scores:
    """Answer to a ScoreRequest: `probabilities[block][label]`, each row sums to 1 over the labels."""

    probabilities: tuple[tuple[float, ...], ...]
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to a WriteRequest. `truncated` if the token budget ended it."""

    text: str
    truncated: bool = False
    tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Answer to a LikelihoodRequest: the natural logarithm of each asked token's probability, in order."""

    log_probabilities: tuple[float, ...]
    prompt_tokens: int = 0
    cached_tokens: int = 0


@dataclass(slots=True)
class Cancellation:
    """Set from any thread (Ctrl-C, a closed connection); runners stop between tokens or requests."""

    event: Event = field(default_factory=Event)

    def cancel(self) -> None:
        self.event.set()

    @property
    def cancelled(self) -> bool:
        return self.event.is_set()


class Runner(Protocol):
    """What runs the model. One caller at a time, but for `count_tokens`, which any thread may call."""

    base_model: str
    adapter: str

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text` by the model's own tokenizer, no BOS counted."""

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = ...,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores) as they are ready; stops early when cancelled."""

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, reply) as they are ready; stops early when cancelled."""

    def close(self) -> None:
        """Free the model. Idempotent."""


class MixingRunner(Runner, Protocol):
    """A runner that answers for others of its kind, each with its own adapter, in one call."""

    def score_with(
        self,
        runners: Sequence[Runner],
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
    ) -> Iterator[tuple[int, Scores]]:
        """Score each request with the adapter of the runner at its place."""

    def write_with(
        self, runners: Sequence[Runner], requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Write each reply with the adapter of the runner at its place."""


@runtime_checkable
class LikelihoodRunner(Runner, Protocol):
    """A runner that can say how probable a given text is, with the adapter that it writes with."""

    def likelihoods(
        self,
        requests: Sequence[LikelihoodRequest],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = ...,
    ) -> Iterator[tuple[int, Likelihood]]:
        """Yield (index of the request, likelihood) as they are ready; stops early when cancelled."""
