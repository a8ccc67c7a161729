"""The reviews of one repository: when one begins, and what a newer wish does to one that runs.

One runs at a time. A wish waits for further ones, then the changes are read; a running review of what is
still in them goes on, one of something else is stopped: the newest wins. Old findings stay until the new ones
of their file are complete, so nothing flickers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.errors import TenkenError
from engine.wire import SkipReason
from lsp.background import Tasks, in_thread, report
from lsp.changes import Compared
from lsp.client import Tone
from lsp.desk import Desk
from lsp.findings_cache import Known
from lsp.lines import split_lines
from lsp.outages import State, state_of
from lsp.places import Repository
from lsp.planning import Plan
from lsp.run import Run
from lsp.snapshots import Snapshot, stands_in


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


class Reviewer:
    """Reviews one repository."""

    def __init__(self, desk: Desk, repository: Repository, is_of: Callable[[Path, Repository], bool]) -> None:
        self.repository = repository
        self.problem = ""  # why its changes cannot be read
        self.problem_state = State.IDLE
        self.all_excluded = False  # something changed, and settings leave out all of it
        self.left_out = 0
        self.unknown = 0
        self.run: Run | None = None
        self._desk = desk
        self._compared = desk.compared
        self._is_mine: Callable[[Path], bool] = lambda path: is_of(path, repository)
        self._tasks = Tasks()
        self._wish: Wish | None = None
        self._doing: Wish | None = None  # the wish whose changes are being read
        self._run_by_person = False
        self._read_meanwhile: dict[str, Known] = {}  # by reviews that ended while changes were read
        self._wished = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._stamp = repository.stamp()
        self._tasks.start(self._work(), f"reviewer {repository.root.name}")

    def wish(self, wish: Wish) -> None:
        """Have something done, soon."""
        self._wish = wish.over(self._wish)
        self._wished.set()

    @property
    def undone(self) -> Wish | None:
        """What was wished and is not done yet."""
        running = Wish(by_person=self._run_by_person) if self.run is not None else None
        reading = self._doing.over(running) if self._doing else running
        return self._wish.over(reading) if self._wish else reading

    def look(self) -> None:
        """Notice what git did since the last look."""
        stamp = self.repository.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self.wish(Wish(ask_engine=self._desk.settings.on_commit))

    async def stop(self) -> None:
        """End the running review with what it has."""
        if self.run is not None:
            self.run.stop()
            await self._ended.wait()

    def close(self) -> None:
        """End everything."""
        if self.run is not None:
            self.run.stop()
        self._tasks.cancel()

    async def _work(self) -> None:
        while True:
            await self._wished.wait()
            wish = await self._settled()
            self._doing, self._read_meanwhile = wish, {}
            snapshot = self._desk.workspace.snapshot(self.repository, self._is_mine)
            try:
                plan = await self._read(wish, snapshot)
                if plan is not None and not await self._begin(plan, wish, snapshot):
                    snapshot.release()
            except Exception as error:  # noqa: BLE001 - the outermost loop of a repository
                snapshot.release()
                report(error, "reviewer")
            self._doing = None

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
        wish, self._wish = self._wish, None  # with what came in the very moment in which the wait ended
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
            for path in filter(self._is_mine, {*self._desk.board.paths, *self._desk.threads.paths}):
                self._desk.refresh(path)
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
        if not wish.force:
            wanted = tuple(file for file in wanted if file.key not in self._read_meanwhile)
        files = plan.fitting(wanted)
        self.left_out, self.unknown = len(wanted) - len(files), len(wanted)
        self.all_excluded = _all_excluded(plan, self._read_meanwhile)
        if wish.by_person and not wanted:
            self._desk.say(Tone.INFO, self._nothing(plan))
        self._desk.changed()
        if self.run is not None:
            now = {file.key for file in plan.files}
            stale = wish.force or not all(file.key in now for file in self.run.files)
            if wish.ask_engine and stale:
                await self.stop()
            else:
                if wish.by_person:  # what goes wrong is said to who asked, also if it went wrong before
                    self._run_by_person = self._desk.care.may_ask(by_person=True)
                return False  # it goes on, and what it does not read is looked for when it ends
        if not files or not wish.ask_engine or not self._desk.care.may_ask(by_person=wish.by_person):
            return False
        self.run, self._run_by_person = Run(self._desk, plan, files, snapshot), wish.by_person
        self._ended.clear()
        self._tasks.start(self._review(self.run), "review")
        return True

    def _nothing(self, plan: Plan) -> str:
        """Return why nothing is reviewed though somebody wants it."""
        texts = self._desk.texts
        if self.all_excluded:
            return texts.nothing_excluded
        return texts.nothing_new if plan.files else texts.nothing_changed

    async def _review(self, run: Run) -> None:
        try:
            await run.go()
        finally:
            self.run = None
            self.unknown = max(0, self.unknown - len(run.known))
            self.all_excluded = _all_excluded(run.plan, run.known)
            self._read_meanwhile |= run.known
            self._ended.set()
            self._desk.changed()
        # What it did not read is looked for, unless it was told to stop.
        if run.known and not run.was_stopped and self.unknown and self._desk.care.may_ask():
            self.wish(Wish())


def _all_excluded(plan: Plan, known: Mapping[str, Known]) -> bool:
    """Tell whether something changed and settings leave out all of it."""
    said = [known.get(file.key) or file.known for file in plan.files]
    return bool(said) and all(one is not None and one.skipped is SkipReason.EXCLUDED for one in said)
