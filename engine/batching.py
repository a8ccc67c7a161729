"""Waiting work of many reviews -> batches for the one runner. No thread, no clock, no model in here.

Projects take turns, and so do the reviews of one project. Whoever's turn it is, is served while it has
credit, in tokens; then it goes to the end of the line with `turn` tokens more. Two things may be served
before their turn, on a debt of at most one turn: work that fills up a batch, and writing, because the prompt
it goes on from is still in the runner's cache. Two projects that always have work waiting are therefore never
further apart than three turns and one piece of work. A review that waits alone fills its batches, and owes no
more than a turn for it.

Interactive reviews go before those in the background, which still get one batch in `interactive_run` + 1.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from engine.errors import QueueFull

_SMOOTHING = 0.2  # weight of the newest interval between two finished reviews
_FIRST_GUESS = 10.0  # seconds, before a review has finished
_LONGEST_WAIT = 600

T = TypeVar("T")


class Kind(StrEnum):
    """Which of the runner's calls a piece of work needs."""

    SCORE = "score"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A review that was let in."""

    id: str
    project: str  # shares are equal between these
    adapter: str  # version
    background: bool = False


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """One prompt to score, or one line to write about."""

    ticket: str
    kind: Kind
    cost: int  # in tokens that are read
    payload: T
    labels: tuple[str, ...] = ()  # what a score is over; batches hold one set


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Works for one call of the runner."""

    adapter: str  # of the first; the others may have other ones where that is allowed
    kind: Kind
    works: tuple[Work[T], ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is let in, and how much is handed out at once."""

    open_reviews: int = 256
    score: int = 1  # works of a batch; the embedded runner reads one prompt after the other anyway
    write: int = 4
    tokens: int = 16_384  # of a batch, unless a single work is larger
    adapters: int = 1  # of a batch; more where the runner mixes them
    turn: int = 4_096  # tokens; about the chunks that a review scores before it writes
    interactive_run: int = 4  # batches in a row while the background waits


class Scheduler(Generic[T]):
    """Reviews come in, batches go out. Not thread safe."""

    def __init__(self, limits: Limits = Limits(), clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._pace = _Pace(clock)
        self._lanes = {background: _Lane[T](limits.turn) for background in (False, True)}
        self._open: dict[str, _Open[T]] = {}
        self._run = 0

    @property
    def open_reviews(self) -> int:
        """How many reviews are in."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many works wait."""
        return sum(len(opened.queue) for opened in self._open.values())

    def open(self, ticket: Ticket) -> None:
        """Let a review in; raises QueueFull with the seconds after which to come again."""
        if len(self._open) >= self._limits.open_reviews:
            raise QueueFull(self._pace.next_in())
        if ticket.id in self._open:
            raise ValueError(f"{ticket.id} is open already")
        self._open[ticket.id] = opened = _Open[T](ticket)
        self._lanes[ticket.background].join(opened)

    def submit(self, works: Sequence[Work[T]]) -> None:
        """Queue works of open reviews; raises KeyError for one that is not open."""
        for work in works:
            self._open[work.ticket].queue.append(work)

    def withdraw(self, ticket: str) -> tuple[Work[T], ...]:
        """Take back and return all works of a review that wait; it stays open."""
        opened = self._open.get(ticket)
        if opened is None:
            return ()
        waiting = tuple(opened.queue)
        opened.queue.clear()
        return waiting

    def close(self, ticket: str) -> tuple[Work[T], ...]:
        """Let a review out and return what still waited; nothing where it is out already."""
        waiting = self.withdraw(ticket)
        if (opened := self._open.pop(ticket, None)) is not None:
            self._lanes[opened.ticket.background].leave(opened)
            self._pace.note()
        return waiting

    def next_batch(self) -> Batch[T] | None:
        """Return what to run next, or None where nothing waits."""
        lane = self._next_lane()
        if lane is None:
            return None
        first = lane.next_writer() or lane.next()
        alone = lane.waits_alone(first)
        works = [lane.take(first, alone)]
        kind, labels = works[0].kind, works[0].labels
        adapters = {first.ticket.adapter}
        count, tokens = getattr(self._limits, kind), self._limits.tokens - works[0].cost
        for opened in lane.mates_of(first):
            if opened.ticket.adapter not in adapters and len(adapters) == self._limits.adapters:
                continue
            while len(works) < count and opened.queue and (alone or lane.may_borrow(opened)):
                work = opened.queue[0]
                if (work.kind, work.labels) != (kind, labels) or work.cost > tokens:
                    break
                works.append(lane.take(opened, alone))
                tokens -= work.cost
                adapters.add(opened.ticket.adapter)
        return Batch(first.ticket.adapter, kind, tuple(works))

    def _next_lane(self) -> _Lane[T] | None:
        interactive, background = self._lanes[False], self._lanes[True]
        if not background.has_work:
            self._run = 0
            return interactive if interactive.has_work else None
        if interactive.has_work and self._run < self._limits.interactive_run:
            self._run += 1
            return interactive
        self._run = 0
        return background


@dataclass(slots=True)
class _Open(Generic[T]):
    """A review that is in, and its waiting works in order."""

    ticket: Ticket
    queue: deque[Work[T]] = field(default_factory=deque)


class _Turns:
    """Who is next among equals, and the credit of each in tokens."""

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._credit: dict[str, int] = {}  # in the order of turns

    def __bool__(self) -> bool:
        return bool(self._credit)

    def __iter__(self) -> Iterator[str]:
        return iter(self._credit)

    def join(self, name: str) -> None:
        self._credit.setdefault(name, self._turn)

    def leave(self, name: str) -> None:
        del self._credit[name]

    def next(self, waiting: Collection[str]) -> str:
        """Return whose turn it is among those that wait; there must be one."""
        while True:
            name, credit = next(iter(self._credit.items()))
            if credit > 0 and name in waiting:
                return name
            del self._credit[name]
            self._credit[name] = min(credit + self._turn, self._turn)

    def may_borrow(self, name: str) -> bool:
        return self._credit[name] > -self._turn

    def charge(self, name: str, cost: int, forgiving: bool) -> None:
        left = self._credit[name] - cost
        self._credit[name] = max(left, -self._turn) if forgiving else left


class _Lane(Generic[T]):
    """The reviews of one priority: turns between projects, and between the reviews of each."""

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._projects = _Turns(turn)
        self._reviews: dict[str, _Turns] = {}
        self._open: dict[str, _Open[T]] = {}

    @property
    def has_work(self) -> bool:
        return any(opened.queue for opened in self._open.values())

    def join(self, opened: _Open[T]) -> None:
        ticket = opened.ticket
        self._open[ticket.id] = opened
        self._projects.join(ticket.project)
        self._reviews.setdefault(ticket.project, _Turns(self._turn)).join(ticket.id)

    def leave(self, opened: _Open[T]) -> None:
        ticket = opened.ticket
        del self._open[ticket.id]
        self._reviews[ticket.project].leave(ticket.id)
        if not self._reviews[ticket.project]:
            del self._reviews[ticket.project]
            self._projects.leave(ticket.project)

    def next(self) -> _Open[T]:
        """Return the review whose turn it is."""
        waiting = [opened.ticket for opened in self._open.values() if opened.queue]
        project = self._projects.next({ticket.project for ticket in waiting})
        own = {ticket.id for ticket in waiting if ticket.project == project}
        return self._open[self._reviews[project].next(own)]

    def next_writer(self) -> _Open[T] | None:
        """Return a review that goes on from a prompt that was read, if it has the credit."""
        ready = (opened for opened in self._in_turn() if opened.queue and self.may_borrow(opened))
        return next((opened for opened in ready if opened.queue[0].kind is Kind.WRITE), None)

    def mates_of(self, first: _Open[T]) -> Iterator[_Open[T]]:
        """Yield the reviews whose works may share a batch, `first` before the others."""
        yield first
        for opened in self._in_turn():
            if opened is not first:
                yield opened

    def may_borrow(self, opened: _Open[T]) -> bool:
        ticket = opened.ticket
        return self._projects.may_borrow(ticket.project) and self._reviews[ticket.project].may_borrow(
            ticket.id
        )

    def waits_alone(self, first: _Open[T]) -> bool:
        """Whether no other review has work here."""
        return not any(opened.queue for opened in self._open.values() if opened is not first)

    def take(self, opened: _Open[T], alone: bool) -> Work[T]:
        """Remove the review's first work, at its and its project's cost."""
        work, ticket = opened.queue.popleft(), opened.ticket
        self._projects.charge(ticket.project, work.cost, forgiving=alone)
        self._reviews[ticket.project].charge(ticket.id, work.cost, forgiving=alone)
        return work

    def _in_turn(self) -> Iterator[_Open[T]]:
        return (self._open[name] for project in self._projects for name in self._reviews[project])


class _Pace:
    """How often a review finishes, which is how often one can be let in."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last: float | None = None
        self._interval = _FIRST_GUESS

    def note(self) -> None:
        """Count a review that finished now."""
        now = self._clock()
        if self._last is not None:
            self._interval += _SMOOTHING * (now - self._last - self._interval)
        self._last = now

    def next_in(self) -> int:
        """Return in how many seconds the next one should finish, at least 1."""
        return min(_LONGEST_WAIT, max(1, math.ceil(self._interval)))
