"""The reviews of one repository: when one begins, what a newer wish does to one that runs, what comes of it.

One runs at a time. A wish waits for further ones, then the changes are read; a running review of what is
still in them goes on, one of something else is stopped: the newest wins. Old findings stay until the new ones
of their file are complete, so nothing flickers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from engine.errors import TenkenError
from engine.findings import Finding
from engine.review import Progress, review_without_model
from engine.runners import Cancellation
from engine.wire import FileCoverage, Review, SkipReason
from lsp.background import Tasks, in_thread, report
from lsp.changes import Compared
from lsp.client import Progress as ShownProgress
from lsp.client import Tone
from lsp.desk import Desk
from lsp.errors import TimedOut
from lsp.findings_cache import Known
from lsp.lines import split_lines
from lsp.outages import State, state_of
from lsp.places import Repository
from lsp.planning import Plan, PlannedFile
from lsp.snapshots import Snapshot, stands_in

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done."""

    first: Path | None = None  # the file that somebody looks at
    only: bool = False  # that file alone
    force: bool = False  # also what is known
    by_person: bool = False  # at once, whatever is wrong with the engine
    ask_engine: bool = True  # else only what is known is shown
    compared: Compared | None = None  # from now on, in the place of what was compared before

    def over(self, older: Wish | None) -> Wish:
        """Return both wishes as one; where they differ, this one holds."""
        if older is None:
            return self
        return Wish(
            first=self.first or older.first,
            only=self.only and older.only and self.first == older.first,
            force=self.force or older.force,
            by_person=self.by_person or older.by_person,
            ask_engine=self.ask_engine or older.ask_engine,
            compared=self.compared or older.compared,
        )


@dataclass(slots=True)
class Run:
    """A review that runs."""

    plan: Plan
    files: tuple[PlannedFile, ...]
    snapshot: Snapshot
    cancellation: Cancellation
    timed_out: bool = False
    progress: ShownProgress | None = None
    done: int = 0
    found: int = 0
    taken: int = 0


class Reviewer:
    """Reviews one repository."""

    def __init__(self, desk: Desk, repository: Repository, is_of: Callable[[Path, Repository], bool]) -> None:
        self.repository = repository
        self.problem = ""  # why its changes cannot be read
        self.problem_state = State.IDLE
        self.left_out = 0
        self.unknown = 0
        self.run: Run | None = None
        self._desk = desk
        self._compared = desk.compared
        self._is_mine: Callable[[Path], bool] = lambda path: is_of(path, repository)
        self._tasks = Tasks()
        self._wish: Wish | None = None
        self._wished = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._stamp = repository.stamp()
        self._tasks.start(self._work(), f"reviewer {repository.root.name}")

    def wish(self, wish: Wish) -> None:
        """Have something done, soon."""
        self._wish = wish.over(self._wish)
        self._wished.set()

    def look(self) -> None:
        """Notice what git did since the last look."""
        stamp = self.repository.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self.wish(Wish(ask_engine=self._desk.settings.on_commit))

    async def stop(self) -> None:
        """End the running review with what it has."""
        if self.run is not None:
            self.run.cancellation.cancel()
            await self._ended.wait()

    def close(self) -> None:
        """End everything."""
        if self.run is not None:
            self.run.cancellation.cancel()
        self._tasks.cancel()

    async def _work(self) -> None:
        while True:
            await self._wished.wait()
            wish = await self._settled()
            snapshot = self._desk.workspace.snapshot(self.repository, self._is_mine)
            try:
                plan = await self._read(wish, snapshot)
                if plan is not None and not await self._begin(plan, wish, snapshot):
                    snapshot.release()
            except Exception as error:  # noqa: BLE001 - the outermost loop of a repository
                snapshot.release()
                report(error, "reviewer")

    async def _settled(self) -> Wish:
        """Return what is wished when no further wish came for a while."""
        while True:
            self._wished.clear()
            wish = self._wish
            if wish is None or wish.by_person or not wish.ask_engine:
                break
            try:
                async with asyncio.timeout(self._desk.settings.debounce_ms / 1000):
                    await self._wished.wait()
            except TimeoutError:
                break
        self._wish = None
        return wish or Wish(ask_engine=False)

    async def _read(self, wish: Wish, snapshot: Snapshot) -> Plan | None:
        """Return the plan, or None where the changes cannot be read: then `problem` says why."""
        try:
            self._compared = wish.compared or self._compared
            order = await in_thread(partial(self._desk.order, self.repository, self._compared))
            read = partial(self._desk.plan_with, order, snapshot.buffers, self._desk.cache)
            plan = await in_thread(read, "plan")
            news = await self._desk.recall(order)
        except TenkenError as error:
            snapshot.release()
            self._trouble(error)
            return None
        self.problem = ""
        self._show_known(plan, snapshot)
        if news:
            for path in filter(self._is_mine, self._desk.board.paths):
                self._desk.board.refresh(path)
        return plan

    def _trouble(self, error: TenkenError) -> None:
        self.problem, self.problem_state = str(error), state_of(error)
        self._desk.say_once(Tone.ERROR, self._desk.describe(error))
        self._desk.changed()

    def _show_known(self, plan: Plan, snapshot: Snapshot) -> None:
        """Show what is known, and take off what is about changes that are no more."""
        running = {file.path for file in self.run.files} if self.run else set()
        changed = set()
        for file in plan.files:
            changed.add(file.path)
            if file.known is not None and file.path not in running:
                placed = self._desk.placed(
                    plan.order, file, file.known.findings, file.known.adapter, snapshot
                )
                self._desk.board.put(file.path, placed, file.known.adapter)
            elif file.known is None and self._desk.workspace.at(file.path) is None:
                # It changed while nobody followed its lines.
                self._desk.board.keep(file.path, partial(stands_in, split_lines(file.change.text or "")))
        board = self._desk.board
        board.clear(path for path in board.paths if self._is_mine(path) and path not in changed)

    async def _begin(self, plan: Plan, wish: Wish, snapshot: Snapshot) -> bool:
        """Start a review if there is something to review; return whether the snapshot is needed on."""
        wanted = plan.wanted(first=wish.first, only=wish.only, force=wish.force)
        files = plan.fitting(wanted)
        self.left_out, self.unknown = len(wanted) - len(files), len(wanted)
        if wish.by_person and not wanted:
            texts = self._desk.texts
            self._desk.say(Tone.INFO, texts.nothing_new if plan.files else texts.nothing_changed)
        self._desk.changed()
        if self.run is not None:
            now = {file.key for file in plan.files}
            stale = wish.force or not all(file.key in now for file in self.run.files)
            if wish.ask_engine and stale:
                await self.stop()
            else:
                return False  # it goes on, and what it does not read is looked for when it ends
        if not files or not wish.ask_engine or not self._desk.care.may_ask(by_person=wish.by_person):
            return False
        self.run = Run(plan, files, snapshot, Cancellation())
        self._ended.clear()
        self._tasks.start(self._review(self.run), "review")
        return True

    async def _review(self, run: Run) -> None:
        desk, loop = self._desk, asyncio.get_running_loop()
        run.progress = progress = desk.progress(run.cancellation.cancel)
        timer = loop.call_later(desk.settings.timeout_seconds, self._time_out, run)
        desk.changed()
        try:
            review = await in_thread(partial(self._ask, run, loop), "review")
            desk.succeeded(self.repository, review.adapter)
            await self._take(run, review)
        except TenkenError as error:
            if not run.cancellation.cancelled:  # else this is how it ended
                desk.care.failed(error)
        except Exception as error:  # noqa: BLE001 - it is told, and the next review is tried
            report(error, "review")
            desk.care.failed(error)
        finally:
            timer.cancel()
            if run.timed_out:
                desk.care.failed(TimedOut(desk.timed_out_text()))
            progress.end(self._end_text(run))
            run.snapshot.release()
            self.run = None
            self._ended.set()
            desk.changed()
        self._go_on(run)

    def _ask(self, run: Run, loop: asyncio.AbstractEventLoop) -> Review:
        """Return the review. Runs in a thread; what is found on the way is told to the loop."""
        request = run.plan.request(run.files)
        if (review := review_without_model(request)) is not None:
            return review

        def tell(callback: Callable[..., None], value: object) -> None:
            loop.call_soon_threadsafe(callback, run, value)

        return self._desk.care.get().review(
            request,
            on_progress=partial(tell, self._progressed),
            on_finding=partial(tell, self._found),
            cancellation=run.cancellation,
        )

    def _progressed(self, run: Run, progress: Progress) -> None:
        if self.run is run and run.progress is not None:
            run.done = progress.files_done
            percent = 100 * progress.lines_done // progress.lines if progress.lines else None
            told = self._desk.texts.progress_files.format(done=progress.files_done, total=progress.files)
            run.progress.report(told, percent)
            self._desk.changed()

    def _found(self, run: Run, finding: Finding) -> None:
        """Show a finding as soon as it is there, unless the review was stopped."""
        file = next((file for file in run.files if file.change.path == finding.path), None)
        if self.run is not run or run.cancellation.cancelled or file is None:
            return
        for placed in self._desk.placed(run.plan.order, file, (finding,), "", run.snapshot):
            self._desk.board.add(file.path, placed)

    async def _take(self, run: Run, review: Review) -> None:
        """Keep and show what the review says of each file that it read to its end."""
        coverage = {entry.path: entry for entry in review.coverage}
        known: list[tuple[PlannedFile, Known]] = []
        for file in run.files:
            if (entry := coverage.get(file.change.path)) is not None and _is_complete(entry):
                found = tuple(f for f in review.findings if f.path == entry.path)
                known.append((file, Known(findings=found, skipped=entry.reason, adapter=review.adapter)))
        for file, said in known:
            placed = self._desk.placed(run.plan.order, file, said.findings, said.adapter, run.snapshot)
            self._desk.board.put(file.path, placed, said.adapter)
            run.found += len(placed)
        run.taken = len(known)
        self.unknown = max(0, self.unknown - run.taken)
        cache = self._desk.cache
        await in_thread(partial(cache.put_all, {file.key: said for file, said in known}), "cache")
        _log.info("review.finished", files=len(known), findings=len(review.findings), partial=review.partial)

    def _time_out(self, run: Run) -> None:
        run.timed_out = True
        run.cancellation.cancel()

    def _end_text(self, run: Run) -> str:
        texts = self._desk.texts
        if run.timed_out:
            return self._desk.timed_out_text()
        return texts.ended_cancelled if run.cancellation.cancelled else texts.findings(run.found)

    def _go_on(self, run: Run) -> None:
        """Look for what the review that ended did not read, unless it was told to stop."""
        goes_on = run.taken and not run.cancellation.cancelled
        if goes_on and self.unknown and self._desk.care.may_ask():
            self.wish(Wish())


def _is_complete(entry: FileCoverage) -> bool:
    return entry.reviewed or entry.reason is not SkipReason.CANCELLED
