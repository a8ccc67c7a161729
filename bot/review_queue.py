"""Reviews in their merge request's queue: the newest takes the place of the others. See `bot.jobs.Jobs`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

from bot.gitlab import MergeRequestRef
from bot.jobs import ReviewJob
from bot.orders import OpenWork, Orders
from bot.work import Order
from bot.workers import Lease

REVIEW = "review"
"""The kind of work that reviews."""


class ReviewQueue:
    """Keeps review jobs as orders."""

    def __init__(self, orders: Callable[[], Orders]) -> None:
        self._orders = orders

    async def submit_review(self, job: ReviewJob) -> None:
        """Keep a job, and give up the older ones that it answers for."""
        await asyncio.to_thread(self._submit, job)

    async def cancel_reviews(self, ref: MergeRequestRef) -> int:
        """Give up what waits or runs for a merge request, and return how much that was."""

        def cancel() -> int:
            found = [work.id for work in self._orders().open(REVIEW, _prefix(ref))]
            self._orders().cancel(found)
            return len(found)

        return await asyncio.to_thread(cancel)

    def _submit(self, job: ReviewJob) -> None:
        orders, work_id = self._orders(), work_id_of(job)
        older = [work for work in orders.open(REVIEW, _prefix(job.ref)) if work.id < work_id]
        merged = job
        for work in reversed(older):
            merged = merged.instead_of(job_of(work))
        orders.store([Order(REVIEW, work_id, merged.model_dump(mode="json"), group=str(job.ref))])
        # Read again: a job that was submitted before stays as it was, and may have been done.
        stored = [work for work in orders.open(REVIEW, work_id) if work.id == work_id]
        orders.cancel([work.id for work in older for mine in stored if _answers_for(mine, work)])


def mr_lease(ref: MergeRequestRef) -> Lease:
    """Return the lease on a merge request's summary: one review, or word of one that waits, at a time."""
    return Lease(f"mr:{ref}")


def work_id_of(job: ReviewJob) -> str:
    """Return the id of a job's work. Those of one merge request sort by age."""
    key = hashlib.sha256(job.key.encode()).hexdigest()[:16]
    return f"{_prefix(job.ref)}{job.received:013d}:{key}"


def job_of(work: OpenWork) -> ReviewJob:
    """Return the job that was submitted."""
    return ReviewJob.model_validate(work.payload)


def _prefix(ref: MergeRequestRef) -> str:
    return f"{REVIEW}:{ref.project_id}:{ref.iid}:"


def _answers_for(work: OpenWork, older: OpenWork) -> bool:
    return set(job_of(older).asked) <= set(job_of(work).asked)
