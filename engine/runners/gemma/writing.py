"""Replies under a grammar, many at once: rows come and go while the batch keeps stepping."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.runners.gemma.decoding import Decoder, RowState
from engine.runners.gemma.ops import Tensor
from engine.runners.gemma.reading import Indices
from engine.runners.grammars import Grammars

_WORTH_READING = 4  # waiting rows are read when so many, or a quarter of the slots, are free


@dataclass(frozen=True, slots=True)
class Wanted:
    """A reply to write."""

    index: int
    tokens: Indices  # prompt and suffix, BOS first
    prompt: int  # of these, tokens that other replies may share
    schema: dict[str, object]
    most: int  # tokens of the reply
    adapter: int


@dataclass(frozen=True, slots=True)
class Written:
    """A reply's tokens, without what ends it."""

    tokens: tuple[int, ...]
    truncated: bool
    cached: int  # prompt tokens that were not read again


@dataclass(slots=True)
class _Writing:
    wanted: Wanted
    matcher: Any
    slot: int
    cached: int
    tokens: list[int] = field(default_factory=list)

    @property
    def state(self) -> RowState:
        position = len(self.wanted.tokens) + len(self.tokens) - 1
        return RowState(self.tokens[-1], position, self.slot, self.wanted.adapter)

    def take(self, token: int, ends: frozenset[int]) -> Written | None:
        """Take the next token; return the reply if it was the last."""
        if token in ends:
            return Written(tuple(self.tokens), False, self.cached)
        self.tokens.append(token)
        self.matcher.consume_token(token)
        if self.matcher.is_stopped():
            return Written(tuple(self.tokens), False, self.cached)
        if len(self.tokens) >= self.wanted.most:
            return Written(tuple(self.tokens), True, self.cached)
        return None


Read = Callable[[Sequence[tuple[Wanted, int]]], tuple[Tensor, list[int]]]
"""Reads prompts into their slots; returns the hidden states after them and the tokens that were kept of each.

It may read fewer than it is given, from the front, where memory is short."""


def write_replies(
    wanted: Sequence[Wanted],
    read: Read,
    decoder: Decoder,
    grammars: Grammars,
    ends: frozenset[int],
    slots: int,
    stopped: Callable[[], bool],
) -> Iterator[tuple[int, Written]]:
    """Yield (index, reply) as they end; greedy. Stops between steps where `stopped`."""
    waiting, free = deque(wanted), list(range(slots))
    rows: list[_Writing] = []
    while (waiting or rows) and not stopped():
        if waiting and free and (not rows or len(free) >= min(len(waiting), max(_WORTH_READING, slots // 4))):
            begun = _begin(waiting, free, read, grammars)
            grammars.fill([row.matcher for row in begun.rows], decoder.masks)
            tokens = decoder.choose_first(begun.hidden)
            yield from _advance(begun.rows, tokens, ends, free)
            rows += [row for row in begun.rows if row.slot >= 0]
            continue
        decoder.start([row.state for row in rows])
        grammars.fill([row.matcher for row in rows], decoder.masks)
        yield from _advance(rows, decoder.choose(len(rows)), ends, free)
        rows = [row for row in rows if row.slot >= 0]


@dataclass(frozen=True, slots=True)
class _Begun:
    rows: list[_Writing]
    hidden: Tensor


def _begin(waiting: deque[Wanted], free: list[int], read: Read, grammars: Grammars) -> _Begun:
    candidates = [(wanted, slot) for wanted, slot in zip(waiting, reversed(free), strict=False)]
    hidden, cached = read(candidates)
    rows = [
        _Writing(waiting.popleft(), grammars.matcher(wanted.schema), free.pop(), kept)
        for (wanted, _), kept in zip(candidates, cached, strict=False)
    ]
    return _Begun(rows, hidden)


def _advance(
    rows: Sequence[_Writing], tokens: Sequence[int], ends: frozenset[int], free: list[int]
) -> Iterator[tuple[int, Written]]:
    """Give each row its token; rows that end give back their slot, which then is -1."""
    for row, token in zip(rows, tokens, strict=True):
        if (reply := row.take(token, ends)) is not None:
            free.append(row.slot)
            row.slot = -1
            yield row.wanted.index, reply
