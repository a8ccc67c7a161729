"""The scheduler: nothing lost or doubled, order kept, shares equal, nobody starved; any history of calls."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.batching import Batch, Kind, Limits, Scheduler, Ticket, Work
from engine.errors import QueueFull

COSTS = st.integers(1, 3000)


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def work(ticket: str, number: int, cost: int = 100, kind: Kind = Kind.SCORE) -> Work[int]:
    return Work(ticket, kind, cost, number)


def drained(scheduler: Scheduler[int]) -> list[Batch[int]]:
    return list(iter(scheduler.next_batch, None))


class Histories(RuleBasedStateMachine):
    """Any order of calls, against a model that only counts."""

    adapters_of_a_batch = 1

    def __init__(self) -> None:
        super().__init__()
        self.limits = Limits(
            open_reviews=6, score=3, write=2, tokens=4000, turn=2000, interactive_run=2,
            adapters=self.adapters_of_a_batch,
        )  # fmt: skip
        self.scheduler: Scheduler[int] = Scheduler(self.limits, Clock())
        self.waiting: dict[str, list[Work[int]]] = {}
        self.adapters: dict[str, str] = {}
        self.number = 0

    @rule(project=st.sampled_from("pqr"), adapter=st.sampled_from("abc"), background=st.booleans())
    def open(self, project: str, adapter: str, background: bool) -> None:
        self.number += 1
        ticket = Ticket(f"t{self.number}", project, adapter, background)
        if len(self.waiting) == self.limits.open_reviews:
            with pytest.raises(QueueFull):
                self.scheduler.open(ticket)
            return
        self.scheduler.open(ticket)
        self.waiting[ticket.id] = []
        self.adapters[ticket.id] = adapter

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), costs=st.lists(COSTS, min_size=1, max_size=6), kind=st.sampled_from(Kind))
    def submit(self, data: st.DataObject, costs: list[int], kind: Kind) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        works = []
        for cost in costs:
            self.number += 1
            works.append(work(ticket, self.number, cost, kind))
        self.scheduler.submit(works)
        self.waiting[ticket] += works

    @rule()
    def run(self) -> None:
        batch = self.scheduler.next_batch()
        if batch is None:
            assert not any(self.waiting.values())
            return
        assert 1 <= len(batch.works) <= getattr(self.limits, batch.kind)
        assert len(batch.works) == 1 or sum(item.cost for item in batch.works) <= self.limits.tokens
        for item in batch.works:
            assert item == self.waiting[item.ticket].pop(0)
            assert item.kind == batch.kind
        adapters = [self.adapters[item.ticket] for item in batch.works]
        assert adapters[0] == batch.adapter
        assert len(set(adapters)) <= self.adapters_of_a_batch

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), keep=st.booleans())
    def withdraw(self, data: st.DataObject, keep: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        taken = self.scheduler.withdraw(ticket) if keep else self.scheduler.close(ticket)
        assert list(taken) == self.waiting[ticket]
        self.waiting[ticket] = []
        if not keep:
            del self.waiting[ticket]

    @invariant()
    def counts_agree(self) -> None:
        assert self.scheduler.open_reviews == len(self.waiting)
        assert self.scheduler.waiting == sum(map(len, self.waiting.values()))


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestHistories = Histories.TestCase


class MixedHistories(Histories):
    """The same where a batch may have two adapters."""

    adapters_of_a_batch = 2


MixedHistories.TestCase.settings = Histories.TestCase.settings
TestMixedHistories = MixedHistories.TestCase


def test_adapters_share_a_batch_where_they_may() -> None:
    """Three adapters wait: one by one, or two together and the third afterwards."""
    for adapters, expected in ((1, [["a"], ["b"], ["c"]]), (2, [["a", "b"], ["c"]]), (3, [["a", "b", "c"]])):
        scheduler: Scheduler[int] = Scheduler(Limits(score=8, adapters=adapters), Clock())
        for name in "abc":
            scheduler.open(Ticket(name, name, name))
            scheduler.submit([work(name, 1)])
        assert [[item.ticket for item in batch.works] for batch in drained(scheduler)] == expected


@settings(max_examples=60)
@given(st.data())
def test_shares_are_equal_within_three_turns(data: st.DataObject) -> None:
    """However works cost and reviews are spread, projects that always have work are served alike."""
    limits = Limits(score=data.draw(st.integers(1, 4)), write=4, tokens=9000, turn=4000)
    scheduler: Scheduler[int] = Scheduler(limits, Clock())
    projects = [f"p{n}" for n in range(data.draw(st.integers(2, 5)))]
    reviews = {project: data.draw(st.integers(1, 4)) for project in projects}
    kinds = st.sampled_from(Kind)
    for project, count in reviews.items():
        for n in range(count):
            scheduler.open(Ticket(f"{project}/{n}", project, data.draw(st.sampled_from("ab"))))
    served: Counter[str] = Counter()
    dearest = 3000

    def feed(ticket: str) -> None:
        scheduler.submit([work(ticket, 0, data.draw(COSTS), data.draw(kinds))])

    for project, count in reviews.items():
        for n in range(count):
            feed(f"{project}/{n}")
            feed(f"{project}/{n}")
    for _ in range(60):
        batch = scheduler.next_batch()
        assert batch is not None
        for item in batch.works:
            served[item.ticket.split("/")[0]] += item.cost
        for item in batch.works:
            feed(item.ticket)
        shares = [served[project] for project in projects]
        assert max(shares) - min(shares) <= 3 * limits.turn + dearest


def test_a_project_with_many_reviews_gets_no_more_than_one_with_few() -> None:
    """Ten reviews of one project and one of another: each project is served about half."""
    scheduler: Scheduler[int] = Scheduler(Limits(turn=200), Clock())
    names = ["one/0", *(f"many/{n}" for n in range(10))]
    for name in names:
        scheduler.open(Ticket(name, name.split("/")[0], "a"))
        scheduler.submit([work(name, n) for n in range(50)])
    first = [scheduler.next_batch() for _ in range(60)]
    served = Counter(batch.works[0].ticket.split("/")[0] for batch in first if batch)
    assert abs(served["one"] - served["many"]) <= 4


def test_a_review_that_waits_alone_fills_its_batches_and_owes_a_turn_at_most() -> None:
    """It leaves no room empty for nobody, and who comes later need not wait until it has paid for that."""
    scheduler: Scheduler[int] = Scheduler(Limits(score=64, tokens=32_000, turn=1000), Clock())
    for name in ("early", "late"):
        scheduler.open(Ticket(name, name, ""))
    scheduler.submit([work("early", n, 500) for n in range(200)])
    assert [len(scheduler.next_batch().works) for _ in range(2)] == [64, 64]  # type: ignore[union-attr]
    scheduler.submit([work("late", n, 500) for n in range(200)])
    batches = [scheduler.next_batch() for _ in range(4)]
    served = Counter(item.ticket for batch in batches if batch for item in batch.works)
    assert abs(served["late"] - served["early"]) <= 6


def test_small_reviews_of_many_projects_are_served_in_turn_by_large_batches() -> None:
    """With a batch that would take all of one project's reviews, every project is in the first batches."""
    scheduler: Scheduler[int] = Scheduler(Limits(score=64, tokens=32_768), Clock())
    for project in range(20):
        for n in range(10):
            scheduler.open(Ticket(f"{project}/{n}", str(project), ""))
            scheduler.submit([work(f"{project}/{n}", k, 1000) for k in range(3)])
    served: Counter[str] = Counter()
    while sum(served.values()) < 300:
        served.update(item.ticket.split("/")[0] for item in scheduler.next_batch().works)  # type: ignore[union-attr]
    assert len(served) == 20
    assert max(served.values()) - min(served.values()) <= 12


def test_interactive_goes_first_and_background_is_not_starved() -> None:
    """While both wait, the background gets one batch in five."""
    scheduler: Scheduler[int] = Scheduler(Limits(), Clock())
    for name, background in (("late", True), ("now", False)):
        scheduler.open(Ticket(name, name, "a", background))
        scheduler.submit([work(name, n) for n in range(20)])
    order = [batch.works[0].ticket for batch in drained(scheduler)]
    assert order[:10] == [*["now"] * 4, "late"] * 2
    assert Counter(order) == {"now": 20, "late": 20}


def test_writing_goes_on_while_its_prompt_is_cached() -> None:
    """A review that was scored writes before another is scored, within its credit."""
    scheduler: Scheduler[int] = Scheduler(Limits(turn=1000), Clock())
    for name in ("a", "b"):
        scheduler.open(Ticket(name, name, ""))
    scheduler.submit([work("a", 0, 1000)])
    scheduler.submit([work("b", n, 1000) for n in range(3)])
    assert [item.ticket for item in scheduler.next_batch().works] == ["a"]  # type: ignore[union-attr]
    scheduler.submit([work("a", n, 500, Kind.WRITE) for n in range(8)])
    order = [(batch.works[0].ticket, len(batch.works)) for batch in drained(scheduler)]
    assert order[0] == ("a", 2)
    assert order.index(("b", 1)) == 1


def test_a_batch_mixes_reviews_of_one_adapter_alone() -> None:
    """Writes of several reviews share a batch; another adapter's do not."""
    scheduler: Scheduler[int] = Scheduler(Limits(write=8), Clock())
    for name, adapter in (("a", "x"), ("b", "y"), ("c", "x")):
        scheduler.open(Ticket(name, name, adapter))
        scheduler.submit([work(name, n, kind=Kind.WRITE) for n in range(2)])
    batches = drained(scheduler)
    assert [(batch.adapter, [item.ticket for item in batch.works]) for batch in batches] == [
        ("x", ["a", "a", "c", "c"]),
        ("y", ["b", "b"]),
    ]


def test_a_full_queue_says_when_to_come_again() -> None:
    """The estimate follows the pace at which reviews finish."""
    clock = Clock()
    scheduler: Scheduler[int] = Scheduler(Limits(open_reviews=1), clock)
    for n in range(30):
        scheduler.open(Ticket(str(n), "p", ""))
        clock.now += 3
        scheduler.close(str(n))
    scheduler.open(Ticket("last", "p", ""))
    with pytest.raises(QueueFull) as caught:
        scheduler.open(Ticket("more", "p", ""))
    assert caught.value.retry_after == 4


def test_closing_twice_and_unknown_reviews_do_no_harm() -> None:
    """A review that is out already has nothing left."""
    scheduler: Scheduler[int] = Scheduler(Limits(), Clock())
    scheduler.open(Ticket("a", "p", ""))
    scheduler.submit([work("a", 1)])
    assert [item.payload for item in scheduler.close("a")] == [1]
    assert scheduler.close("a") == ()
    with pytest.raises(KeyError):
        scheduler.submit([work("a", 2)])
