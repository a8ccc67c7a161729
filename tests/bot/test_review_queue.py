"""The newest review of a merge request takes the place of the others, and answers for them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from bot.gitlab import MergeRequestRef
from bot.jobs import Asked, Reason, ReviewJob
from bot.orders import OpenWork
from bot.review_queue import ReviewQueue, work_id_of
from bot.work import Order

REF = MergeRequestRef(7, 3)


class Shelf:
    """The open orders, in memory; whatever is done or given up is no longer on it but known."""

    def __init__(self) -> None:
        self.open_orders: dict[str, Order] = {}
        self.known: set[str] = set()
        self.cancelled: list[str] = []

    def store(self, orders: Sequence[Order]) -> list[bool]:
        new = [order for order in orders if order.id not in self.known]
        self.known |= {order.id for order in orders}
        self.open_orders |= {order.id: order for order in new}
        return [order in new for order in orders]

    def open(self, kind: str, id_prefix: str = "") -> list[OpenWork]:
        found = sorted(name for name in self.open_orders if name.startswith(id_prefix))
        return [OpenWork(name, self.open_orders[name].payload, None) for name in found]

    def cancel(self, ids: Collection[str]) -> None:
        self.cancelled += ids
        for name in ids:
            self.open_orders.pop(name, None)

    def done(self, job: ReviewJob) -> None:
        del self.open_orders[work_id_of(job)]

    def jobs(self) -> list[ReviewJob]:
        return [ReviewJob.model_validate(work.payload) for work in self.open("review")]


def job(number: int, *notes: int, iid: int = 3, **fields: object) -> ReviewJob:
    asked = tuple(Asked(note_id=note) for note in notes)
    reason = Reason.COMMAND if notes else Reason.PUSHED
    values = {"project_id": 7, "iid": iid, "key": f"k{number}", "received": number}
    return ReviewJob.model_validate({**values, "asked": asked, "reason": reason, **fields})


def submit(shelf: Shelf, *jobs: ReviewJob) -> None:
    queue = ReviewQueue(lambda: shelf)
    for one in jobs:
        asyncio.run(queue.submit_review(one))


def test_the_newest_is_left_and_answers_for_all() -> None:
    """Three commands and a push: one job, which answers three notes by the last command's options."""
    shelf = Shelf()
    submit(shelf, job(1, 11), job(2, 12, full=True), job(3, 13, paths=("src",)), job(4))
    (left,) = shelf.jobs()
    assert (left.key, [one.note_id for one in left.asked]) == ("k4", [11, 12, 13])
    assert (left.paths, left.full) == (("src",), False)


def test_merge_requests_are_apart() -> None:
    """!3 has nothing to do with !30 or with another's !3."""
    shelf = Shelf()
    submit(shelf, job(1, 11), job(2, 12, iid=30), job(3, 13, project_id=70))
    assert (len(shelf.jobs()), shelf.cancelled) == (3, [])


def test_submitting_again_changes_nothing() -> None:
    """A delivery that is done twice, as the process ended in between, leaves what it left before."""
    shelf = Shelf()
    submit(shelf, job(1, 11), job(2, 12))
    before = shelf.jobs()
    submit(shelf, job(2, 12))
    assert (shelf.jobs(), len(shelf.cancelled)) == (before, 1)


def test_a_late_older_one_is_not_lost() -> None:
    """It came too late to be answered for, so it is done by itself."""
    shelf = Shelf()
    submit(shelf, job(2, 12), job(1, 11), job(2, 12))
    assert [one.key for one in shelf.jobs()] == ["k1", "k2"]
    assert shelf.cancelled == []


def test_one_that_is_done_takes_nobodys_place() -> None:
    """Submitted again after it was done, it does not answer for what came in between."""
    shelf = Shelf()
    submit(shelf, job(2, 12))
    shelf.done(job(2, 12))
    submit(shelf, job(1, 11), job(2, 12))
    assert [one.key for one in shelf.jobs()] == ["k1"]


def test_a_crash_before_the_older_one_is_given_up() -> None:
    """The older one is given up when the delivery is done again."""
    shelf = Shelf()
    submit(shelf, job(1, 11))
    cancel, shelf.cancel = shelf.cancel, lambda ids: None
    submit(shelf, job(2, 12))
    assert len(shelf.jobs()) == 2
    shelf.cancel = cancel
    submit(shelf, job(2, 12))
    assert [one.key for one in shelf.jobs()] == ["k2"]


def test_all_of_a_merge_request_can_be_given_up() -> None:
    """When it is closed, nobody wants a review."""
    shelf = Shelf()
    submit(shelf, job(1, 11), job(2, 12, iid=4))
    queue = ReviewQueue(lambda: shelf)
    assert asyncio.run(queue.cancel_reviews(REF)) == 1
    assert [one.iid for one in shelf.jobs()] == [4]
