"""Says what a review waits for, where that takes longer than a moment: in the note of its progress.

Whoever writes there holds the merge request's lease, as the review does when it runs. So the two never write
at once, a worker that was frozen writes nothing, and of several workers one does. Nothing here is stored: a
review that begins, ends or is given up writes over it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass

import structlog

from bot.durable import Durable, insist
from bot.errors import BotError
from bot.gitlab import GitLab
from bot.jobs import ReviewJob
from bot.progress import show
from bot.projects import Projects, settings_for
from bot.review_queue import REVIEW, job_of, mr_lease
from bot.run_texts import RUN_TEXTS
from bot.workers import device_lease
from engine.errors import TenkenError
from engine.wire import Language

FIRST_SECONDS = 10.0
"""A review that begins sooner says nothing."""

_LOOK_SECONDS = 5.0
_MOST_AT_ONCE = 5  # notes in one round: they take their turn with what reviews write
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A review that somebody asked for and that has not begun."""

    id: str
    job: ReviewJob
    others: int  # reviews that run or wait besides: of different merge requests they come in no order
    training: bool  # the device is taken

    def text(self, language: Language) -> str:
        """Return what to say."""
        texts = RUN_TEXTS[language]
        if self.training:
            return f"⏳ {texts.waiting_training}"
        return f"⏳ {texts.waiting_turn.format(count=self.others) if self.others else texts.waiting_alone}"


class WaitingNotes:
    """Looks again and again which reviews wait, and tells those who do."""

    def __init__(
        self,
        durable: Durable,
        gitlab: GitLab,
        projects: Projects,
        device: str = "",
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._durable = durable
        self._gitlab = gitlab
        self._projects = projects
        self._device = device
        self._first_seconds = first_seconds
        self._since: dict[str, float] = {}
        self._said: dict[str, Waiting] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except TenkenError as error:
                _log.warning("waiting.failed", error=type(error).__name__)
            except Exception:  # noqa: BLE001 - the outermost loop of a courtesy: log and go on
                _log.exception("waiting.broke")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Tell of what has waited for long enough, and has not been told so."""
        waiting, now = await asyncio.to_thread(self.waiting), time.monotonic()
        self._since = {one.id: self._since.get(one.id, now) for one in waiting}
        self._said = {work_id: said for work_id, said in self._said.items() if work_id in self._since}
        long = [one for one in waiting if now - self._since[one.id] >= self._first_seconds]
        for one in [one for one in long if self._said.get(one.id) != one][:_MOST_AT_ONCE]:
            if await self._tell(one):
                self._said[one.id] = one

    def waiting(self) -> list[Waiting]:
        """Return the reviews that wait and that somebody asked for, the oldest first. Blocks."""
        leases = self._durable.leases
        found = sorted(self._durable.orders.open(REVIEW), key=lambda work: (job_of(work).received, work.id))
        training = bool(self._device) and leases.is_wanted_alone(device_lease(self._device).name)
        holders = leases.holders(mr_lease(job_of(work).ref).name for work in found)
        begun = {holder.partition("#")[0] for holder in holders}
        return [
            Waiting(work.id, job_of(work), len(found) - 1, training)
            for work in found
            if work.id not in begun and job_of(work).asked
        ]

    async def _tell(self, one: Waiting) -> bool:
        """Write what a review waits for; False while another writes there, as it may have begun.

        What GitLab does not take counts as told: it is not tried again and again.
        """
        lease, holder = mr_lease(one.job.ref), f"waiting#{uuid.uuid4().hex[:8]}"
        leases = self._durable.leases
        if not await asyncio.to_thread(leases.take, lease, holder):
            return False

        def may_write() -> bool:
            wanted = any(work.id == one.id for work in self._durable.orders.open(REVIEW, one.id))
            return wanted and self._durable.workers.alive and leases.holds(lease, holder)

        async def still_current() -> bool:
            return await asyncio.to_thread(may_write)

        try:
            text = one.text(await self._language(one.job))
            await show(self._gitlab.guarded(still_current), one.job.ref, text)
        except BotError as error:
            _log.warning("waiting.not_shown", mr=str(one.job.ref), error=type(error).__name__)
        finally:
            await insist(leases.release, lease, holder)
        return True

    async def _language(self, job: ReviewJob) -> Language:
        if job.language is not None:
            return job.language
        return (await settings_for(await self._gitlab.merge_request(job.ref), self._projects)).language
