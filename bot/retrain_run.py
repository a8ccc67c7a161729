"""One retraining from the project's history to the note that says what came of it. Readable as its steps.

    choose, prepare   the history is read, and what would be trained on is told; ends a dry run
    train             the trainer does the rest, in a process of its own, and promotes or does not
    plot, tell        what came of it, with a picture, in the thread that asked

What a step gives is kept, and the trainer goes on where it was, so a crash trains, promotes and says nothing
twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from bot.errors import GitLabRefused
from bot.gitlab import GitLab
from bot.orders import Orders
from bot.retrain_jobs import PREPARE, TRAIN, RetrainJob
from bot.retrain_note import FIRST_PAUSE, RetrainNotes, Ticker
from bot.retrain_view import failed_text, finished_text, result_text
from bot.review_answers import DONE, NOT_DONE
from bot.trainer import Trainer
from bot.work import Failure, Kind, Payload, Work
from bot.workers import Lease, device_lease
from engine.retraining import Outcome, RunStatus

_POLL_SECONDS = 1.0
_PLOT_NAME = "retrain.png"
_log = structlog.get_logger()


class RetrainRuns:
    """Does retrainings; see `bot.work.Kind`."""

    def __init__(
        self,
        gitlab: GitLab,
        trainer: Trainer,
        orders: Callable[[], Orders],
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._gitlab, self._trainer, self._orders = gitlab, trainer, orders
        self._first_pause = first_pause

    def kinds(self, device: str = "") -> tuple[Kind, Kind]:
        """Return the kinds of work: reading, and training, which has the engine's `device` for itself."""

        def leases(payload: Payload) -> tuple[Lease, ...]:
            return (device_lease(device, alone=True),) if device else ()

        prepare = Kind(PREPARE, self._prepare, self._failed, poll_seconds=_POLL_SECONDS, one_by_one=True)
        train = Kind(
            TRAIN, self._train, self._failed, poll_seconds=_POLL_SECONDS, one_by_one=True, leases=leases
        )
        return prepare, train

    async def _prepare(self, work: Work) -> None:
        job = RetrainJob.model_validate(work.payload)

        async def choose() -> str:
            return await asyncio.to_thread(self._trainer.choose, job)

        job = job.model_copy(update={"run": await work.step("choose", choose)})
        status = await self._followed(work, job, "prepare", dry_run=True)
        outcome = status.result.outcome if status.result else None
        if job.dry_run or outcome is Outcome.TOO_LITTLE:
            await work.step("tell", partial(self._tell, work, job, status, ""))
            return
        await work.step("order", partial(self._order, job))

    async def _train(self, work: Work) -> None:
        job = RetrainJob.model_validate(work.payload)
        status = await self._followed(work, job, "train", dry_run=False)
        plot = await work.step("plot", partial(self._upload, work, job, status))
        await work.step("tell", partial(self._tell, work, job, status, plot))

    async def _failed(self, work: Work, failure: Failure) -> None:
        """Tell whoever asked why there is no new adapter."""
        job = RetrainJob.model_validate(work.payload)

        async def tell() -> None:
            notes, text = self._notes(work, job), failed_text(failure, job.language)
            await notes.progress(text)
            await notes.result(text)
            await notes.react(NOT_DONE)

        await work.step("tell failure", tell)

    async def _followed(self, work: Work, job: RetrainJob, name: str, *, dry_run: bool) -> RunStatus:
        """Have the trainer do its part, and show how far it is."""

        async def follow() -> dict[str, Any]:
            ticker = Ticker(self._notes(work, job), job, self._first_pause)
            status = await self._trainer.follow(job, ticker.show, dry_run=dry_run)
            return status.model_dump(mode="json")

        return RunStatus.model_validate(await work.step(name, follow, abort=True))

    async def _order(self, job: RetrainJob) -> None:
        await asyncio.to_thread(lambda: self._orders().store([job.order(TRAIN)]))

    async def _upload(self, work: Work, job: RetrainJob, status: RunStatus) -> str:
        """Return the address of the picture; a result is worth telling without one."""
        if status.result is None or not status.result.plot or job.ref is None:
            return ""
        path = self._trainer.run_of(job) / status.result.plot
        try:
            data = await asyncio.to_thread(path.read_bytes)
            return await self._guarded(work).upload(job.project_id, _PLOT_NAME, data)
        except (OSError, GitLabRefused) as error:
            _log.warning("retrain.no_plot", project=job.project, error=type(error).__name__)
            return ""

    async def _tell(self, work: Work, job: RetrainJob, status: RunStatus, plot: str) -> None:
        notes = self._notes(work, job)
        await notes.result(result_text(status, job.language, plot, nightly=job.asked is None))
        await notes.progress(finished_text(status, job.language))
        await notes.react(DONE)
        outcome = status.result.outcome if status.result else ""
        _log.info("retrain.done", project=job.project, run=job.run, outcome=outcome)

    def _notes(self, work: Work, job: RetrainJob) -> RetrainNotes:
        return RetrainNotes(self._guarded(work), job)

    def _guarded(self, work: Work) -> GitLab:
        return self._gitlab.guarded(work.still_current)
