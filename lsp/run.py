"""One review that runs: what the engine is asked, what is shown of it on the way, what is kept in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from engine.errors import TenkenError
from engine.findings import Finding
from engine.review import Progress, review_without_model
from engine.runners import Cancellation
from engine.wire import FileCoverage, Review, SkipReason
from lsp.background import in_thread, report
from lsp.client import Progress as ShownProgress
from lsp.desk import Desk
from lsp.errors import TimedOut
from lsp.findings_cache import Known
from lsp.outages import state_of
from lsp.placing import Placed
from lsp.planning import Plan, PlannedFile
from lsp.snapshots import Snapshot

_READ = 95  # percent, when all lines were read and some are still to be written about
_log = structlog.get_logger()


class Run:
    """A review of some of a plan's files. `snapshot` is released when it is over."""

    def __init__(self, desk: Desk, plan: Plan, files: tuple[PlannedFile, ...], snapshot: Snapshot) -> None:
        self.plan = plan
        self.files = files
        self.done = 0  # files that the engine is through with
        self.known: dict[str, Known] = {}  # by the key of the file: what was said of those read to their end
        self._desk = desk
        self._snapshot = snapshot
        self._cancellation = Cancellation()
        self._progress: ShownProgress | None = None
        self._found = 0
        self._timed_out = False
        self._failure: Exception | None = None
        self._asked = False  # the engine, which settings that leave out everything have no need of
        self._over = False

    @property
    def was_stopped(self) -> bool:
        """Tell whether it was told to end with what it has."""
        return self._cancellation.cancelled

    def stop(self) -> None:
        """Have it end with what it has. Idempotent."""
        self._cancellation.cancel()

    async def go(self) -> None:
        """Review. What goes wrong is told to those whom it concerns, and not raised."""
        desk, loop = self._desk, asyncio.get_running_loop()
        self._progress = progress = desk.progress(self.stop)
        timer = loop.call_later(desk.settings.timeout_seconds, self._time_out)
        desk.changed()
        try:
            review = await in_thread(partial(self._ask, loop), "review")
            if self._asked:
                desk.succeeded(self.plan.order.repository, review.adapter)
            await self._take(review)
        except TenkenError as error:
            if not self.was_stopped:  # else this is how it ended
                self._fail(error)
        except Exception as error:  # noqa: BLE001 - it is told, and the next review is tried
            report(error, "review")
            self._fail(error)
        finally:
            timer.cancel()
            self._over = True
            if self._timed_out:
                self._fail(TimedOut(desk.timed_out_text()))
            progress.end(self._end_text())
            self._snapshot.release()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> Review:
        """Return the review. Runs in a thread; what is found on the way is told to the loop."""
        request = self.plan.request(self.files)
        if (review := review_without_model(request)) is not None:
            return review

        def tell(callback: Callable[..., None], value: object) -> None:
            loop.call_soon_threadsafe(callback, value)

        self._asked = True
        engine = self._desk.care.get()
        if engine.loading:
            loop.call_soon_threadsafe(self._report, self._desk.texts.progress_loading, None)
        return engine.review(
            request,
            on_progress=partial(tell, self._progressed),
            on_finding=partial(tell, self._show),
            cancellation=self._cancellation,
        )

    def _progressed(self, progress: Progress) -> None:
        self.done = progress.files_done
        percent = 100 * progress.lines_done // progress.lines if progress.lines else None
        if percent is not None and progress.files_done < progress.files:
            percent = min(percent, _READ)
        told = self._desk.texts.progress_files.format(done=progress.files_done, total=progress.files)
        self._report(told, percent)

    def _report(self, text: str, percent: int | None) -> None:
        if not self._over and self._progress is not None:
            self._progress.report(text, percent)
            self._desk.changed()

    def _show(self, finding: Finding) -> None:
        """Show a finding as soon as it is there, unless the review was stopped."""
        file = next((file for file in self.files if file.change.path == finding.path), None)
        if self._over or self.was_stopped or file is None:
            return
        for placed in self._placed(file, Known(findings=(finding,))):
            self._desk.board.add(file.path, placed)

    async def _take(self, review: Review) -> None:
        """Keep and show what the review says of each file that it read to its end."""
        coverage = {entry.path: entry for entry in review.coverage}
        for file in self.files:
            if (entry := coverage.get(file.change.path)) is None or not _is_complete(entry):
                continue
            findings = tuple(found for found in review.findings if found.path == entry.path)
            said = Known(findings=findings, skipped=entry.reason, adapter=review.adapter)
            placed = self._placed(file, said)
            self._desk.board.put(file.path, placed, said.adapter)
            self.known[file.key] = said
            self._found += len(placed)
        cache = self._desk.cache
        await in_thread(partial(cache.put_all, self.known), "cache")
        count = len(review.findings)
        _log.info("review.finished", files=len(self.known), findings=count, partial=review.partial)

    def _placed(self, file: PlannedFile, said: Known) -> list[Placed]:
        return self._desk.placed(self.plan.order, file, said.findings, said.adapter, self._snapshot)

    def _time_out(self) -> None:
        self._timed_out = True
        self.stop()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._desk.care.failed(error)

    def _end_text(self) -> str:
        texts = self._desk.texts
        if self._timed_out:
            return self._desk.timed_out_text()
        if self._failure is not None:
            return texts.state[state_of(self._failure)]
        return texts.ended_cancelled if self.was_stopped else texts.findings(self._found)


def _is_complete(entry: FileCoverage) -> bool:
    return entry.reviewed or entry.reason is not SkipReason.CANCELLED
