"""The kinds of durable work there are: errands, and the reviews that some of them submit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from bot.dispatch import give_up, perform
from bot.errand_queue import ERRAND
from bot.errands import Errand, read_errand
from bot.jobs import ReviewJob
from bot.registry import Ports, Registry
from bot.review_answers import failure_text
from bot.review_queue import REVIEW, mr_lease
from bot.review_run import ReviewRuns
from bot.work import Failure, Kind, Payload, Work
from bot.workers import Lease, device_lease

_ERRANDS_AT_ONCE = 4
_ERRAND_POLL_SECONDS = 0.2  # somebody waits for the 👀
_REVIEW_POLL_SECONDS = 0.5


def errand_kind(
    ports: Ports, registry: Registry, seen: Callable[[Errand], Awaitable[None]] | None = None
) -> Kind:
    """Return the kind that does errands. `seen` hears of each before it is done."""

    async def run(work: Work) -> None:
        errand = read_errand(work.payload)

        async def act() -> None:
            if seen is not None:
                await seen(errand)
            await perform(errand, _guarded(ports, work), registry)

        await work.step("perform", act)

    async def failed(work: Work, failure: Failure) -> None:
        errand = read_errand(work.payload)

        async def tell() -> None:
            await give_up(
                errand,
                lambda language: failure_text(failure, language, of_command=True),
                _guarded(ports, work),
            )

        await work.step("tell", tell)

    return Kind(ERRAND, run, failed, at_once=_ERRANDS_AT_ONCE, poll_seconds=_ERRAND_POLL_SECONDS)


def review_kind(runs: ReviewRuns, at_once: int, device: str = "") -> Kind:
    """Return the kind that reviews: of one merge request, one after another.

    Where the engine shares its `device` with training, not while that is trained on.
    """
    return Kind(
        REVIEW,
        runs.run,
        runs.failed,
        at_once=at_once,
        poll_seconds=_REVIEW_POLL_SECONDS,
        one_by_one=True,
        leases=partial(_leases, device),
    )


def _leases(device: str, payload: Payload) -> tuple[Lease, ...]:
    mine = (mr_lease(ReviewJob.model_validate(payload).ref),)
    return (device_lease(device), *mine) if device else mine


def _guarded(ports: Ports, work: Work) -> Ports:
    """Return the same ports, but those to GitLab write only what is still wanted."""
    return replace(ports, gitlab=ports.gitlab.guarded(work.still_current))
