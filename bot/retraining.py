"""What `/retrain` and `/rollback` do; see `bot.learning.Learning`. The training is `bot.retrain_run`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bot.engine import Engine
from bot.errors import CommandRefused
from bot.gitlab import GitLab
from bot.gitlab_connection import FRESH_SECONDS
from bot.learning import Wish
from bot.orders import Orders
from bot.retrain_jobs import PREPARE, OpenJob, RetrainJob, open_jobs
from bot.retrain_note import RetrainNotes
from bot.retrain_texts import RETRAIN_TEXTS, RetrainTexts
from bot.retrain_view import cancelled_text, progress_text, result_text
from bot.review_answers import NOT_DONE
from bot.snapshot import Sleep
from bot.trainer import Trainer
from engine.errors import InputError
from engine.lifecycle import AdapterState
from engine.retraining import Outcome, RunState, RunStatus
from engine.sanitize import code_span, prose
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class RetrainOptions:
    """What is possible here."""

    folder: Path  # where is noted what has been rolled back
    enabled: bool = True
    may_promote: bool = True  # there is a token for it
    device: str = ""  # that the engine shares with training
    sleep: Sleep = asyncio.sleep


class Retraining:
    """Takes wishes on. `orders` is asked for when it is used: it comes with the start of the work."""

    def __init__(
        self,
        orders: Callable[[], Orders],
        gitlab: GitLab,
        engine: Engine,
        trainer: Trainer,
        options: RetrainOptions,
    ) -> None:
        self._orders, self._gitlab, self._engine = orders, gitlab, engine
        self._trainer, self._options = trainer, options

    async def retrain(self, wish: Wish, *, dry_run: bool) -> str:
        """Begin."""
        texts = self._texts(wish)
        job = RetrainJob.of(wish, dry_run=dry_run)
        # The same wish again, after a crash, finds its own work: it is no other that stands in the way.
        if others := [each for each in await self._open(wish) if each.job.key != job.key]:
            raise CommandRefused(texts.under_way.format(text=await self._far(others[0], wish.language)))
        await asyncio.to_thread(lambda: self._orders().store([job.order(PREPARE)]))
        if dry_run:
            return texts.begun_dry
        return f"{texts.begun} {texts.reviews_wait if self._options.device else texts.reviews_go_on}"

    async def status(self, wish: Wish) -> str:
        """Say how far it is, or what came of the last one."""
        texts = self._texts(wish)
        if found := await self._open(wish):
            return await self._far(found[-1], wish.language)
        last = await asyncio.to_thread(self._trainer.latest, wish.ref.project_id)
        if last is None:
            return texts.none_ever
        if last.result is not None and last.state is RunState.DONE:
            return f"{texts.none_running}\n\n{result_text(last, wish.language)}"
        return f"{texts.none_running} {texts.again}"

    async def cancel(self, wish: Wish) -> str:
        """End it, and say so in its note, too."""
        texts = self._texts(wish)
        found = await self._open(wish)
        if not found:
            raise CommandRefused(texts.none_running)
        await asyncio.to_thread(lambda: self._orders().cancel([each.work.id for each in found]))
        # So long what runs may take itself for wanted, and show how far it is: the last word is ours.
        await self._options.sleep(2 * FRESH_SECONDS)
        for job in {each.job.key: each.job for each in found}.values():
            notes = RetrainNotes(self._gitlab, job)
            await notes.progress(cancelled_text(wish.username, job.language))
            await notes.react(NOT_DONE)
        return texts.cancelled_answer

    async def roll_back(self, wish: Wish, version: str) -> str:
        """Return to an earlier champion, once for each wish."""
        texts = RETRAIN_TEXTS[wish.language]
        if not self._options.may_promote:
            raise CommandRefused(texts.no_admin)
        before, now = await asyncio.to_thread(self._noted, wish), await self._champion(wish.project)
        if before is None or before == now:
            await asyncio.to_thread(self._note, wish, now)
            try:
                now = (await self._engine.roll_back(wish.project, version)).version
            except InputError as error:
                raise CommandRefused(prose(str(error))) from error
        return texts.rolled_back.format(version=code_span(now))

    async def _open(self, wish: Wish) -> list[OpenJob]:
        return await asyncio.to_thread(lambda: open_jobs(self._orders(), wish.ref.project_id))

    async def _far(self, found: OpenJob, language: Language) -> str:
        texts = RETRAIN_TEXTS[language]
        if found.work.worker is None:
            return texts.waiting
        status = await asyncio.to_thread(self._trainer.latest, found.job.project_id)
        if status is None:
            return texts.elsewhere
        # Between reading and training it may wait for the device.
        goes_on = status.state is RunState.RUNNING or _is_being_told(found.job, status)
        return progress_text(status, language) if goes_on else texts.waiting

    async def _champion(self, project: str) -> str:
        adapters = await self._engine.adapters(project)
        return next((one.version for one in adapters if one.state is AdapterState.CHAMPION), "")

    def _texts(self, wish: Wish) -> RetrainTexts:
        texts = RETRAIN_TEXTS[wish.language]
        if not self._options.enabled:
            raise CommandRefused(texts.not_enabled)
        return texts

    def _noted(self, wish: Wish) -> str | None:
        """Return the champion before this wish was first seen to, None if it was not yet."""
        try:
            return self._memo(wish).read_text("utf-8")
        except FileNotFoundError:
            return None

    def _note(self, wish: Wish, champion: str) -> None:
        path = self._memo(wish)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(champion, encoding="utf-8")

    def _memo(self, wish: Wish) -> Path:
        return self._options.folder / hashlib.sha256(wish.key.encode()).hexdigest()[:32]


def _is_being_told(job: RetrainJob, status: RunStatus) -> bool:
    """Whether the training itself has ended, and only its note is missing."""
    result = status.result
    return status.run == job.run and result is not None and result.outcome is not Outcome.PLANNED
