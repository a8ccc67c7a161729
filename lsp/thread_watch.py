"""Keeps the merge request's threads on the board: asks GitLab now and then, and never waits for it.

Somebody has to be at work: an editor that nobody touches asks nothing. What fails is tried again later and
later; what only a person can mend is said once, and left alone until something changes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from engine.errors import AccessRefused, ConfigError, QueueFull, TenkenError
from lsp.background import Tasks, in_thread, report
from lsp.client import Tone
from lsp.desk import Desk
from lsp.diagnostics import thread_template
from lsp.errors import UnknownProject
from lsp.places import Repository
from lsp.snapshots import Snapshot
from lsp.threads import Branch, PlacedThread, Thread, branch_of, open_threads, place_threads

_PATIENCE_SECONDS = 120.0  # for all pages, and for a keyring that asks to be unlocked
_LONGEST_PAUSE = 3600.0

IsOf = Callable[[Path, Repository], bool]
"""Tells whether a file is a repository's."""


class Pace:
    """When GitLab is asked. Times are those of any one clock, in seconds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self.failures = 0
        self._next: float | None = 0.0  # None: not by itself

    def is_due(self, now: float) -> bool:
        """Tell whether it is time."""
        return self._next is not None and now >= self._next

    def hurry(self) -> None:
        """Ask at once."""
        self._next = 0.0

    def succeeded(self, now: float) -> None:
        """GitLab answered."""
        self.failures, self._next = 0, now + self._interval

    def failed(self, error: Exception, now: float, jitter: float | None = None) -> None:
        """GitLab did not: ask later and later, or not before a person changes something."""
        self.failures += 1
        if isinstance(error, (AccessRefused, ConfigError, UnknownProject)):
            self._next = None
            return
        pause = min(_LONGEST_PAUSE, self._interval * 2.0 ** min(self.failures, 10))
        if isinstance(error, QueueFull):
            pause = max(pause, error.retry_after)
        self._next = now + pause * (1 + (random.random() if jitter is None else jitter) / 4)


class ThreadWatch:
    """The threads of one repository's branch."""

    def __init__(
        self, desk: Desk, repository: Repository, is_of: IsOf, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.repository = repository
        self.problem = ""  # why there may be more threads
        self._desk = desk
        self._is_mine: Callable[[Path], bool] = lambda path: is_of(path, repository)
        self._clock = clock
        self._pace = Pace(60.0 * desk.settings.thread_minutes)
        self._branch: Branch | None = None
        self._threads: tuple[Thread, ...] = ()
        self._paths: set[Path] = set()
        self._stamp = repository.stamp()
        self._stirred = True
        self._wake = asyncio.Event()
        self._wake.set()
        self._tasks = Tasks()
        self._tasks.start(self._work(), f"threads {repository.root.name}")

    def look(self, stirred: bool) -> None:
        """Notice what git did, and whether it is time; `stirred`: somebody worked since the last look."""
        self._stirred = self._stirred or stirred
        stamp = self.repository.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            self.refresh()
        elif self._stirred and self._pace.is_due(self._clock()):
            self._wake.set()

    def refresh(self) -> None:
        """Ask GitLab soon."""
        self._pace.hurry()
        self._wake.set()

    def place(self) -> None:
        """Place the threads anew, in files as they are now."""
        if self._threads:
            self._wake.set()

    def close(self) -> None:
        """End it, and take the threads off."""
        self._tasks.cancel()
        self._desk.threads.clear(self._paths)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._pace.is_due(self._clock()):
                    await self._fetch()
                await self._place()
            except Exception as error:  # noqa: BLE001 - the outermost loop of a repository's threads
                self._pace.failed(error, self._clock())
                report(error, "threads")

    async def _fetch(self) -> None:
        """Ask GitLab. Where it does not answer, what is known stays; that of another branch does not."""
        self._stirred = False
        gitlab = self._desk.gitlab
        try:
            branch = await in_thread(partial(branch_of, self.repository.root))
            if branch != self._branch:
                self._branch, self._threads = branch, ()
                await self._place()
            if branch is not None:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._threads = await in_thread(partial(open_threads, branch, gitlab), "threads")
        except (TenkenError, TimeoutError) as error:
            self.problem = str(error) or f"no answer in {_PATIENCE_SECONDS:.0f} s"
            self._pace.failed(error, self._clock())
            if isinstance(error, (AccessRefused, ConfigError)):
                texts = self._desk.texts
                problem = texts.threads_failed.format(reason=self.problem)
                self._desk.say_once(Tone.ERROR, texts.settings_problem.format(problem=problem))
        else:
            self.problem = ""
            self._pace.succeeded(self._clock())

    async def _place(self) -> None:
        if not self._threads and not self._paths:
            return
        desk, root = self._desk, self.repository.root
        snapshot = desk.workspace.snapshot(self.repository, self._is_mine)
        try:
            placed = await in_thread(partial(place_threads, root, self._threads, snapshot.buffers), "threads")
            found: dict[Path, list[PlacedThread]] = {path: [] for path in self._paths}
            for one in placed:
                path = root / one.thread.path
                if self._is_mine(path) and (here := self._followed(one, path, snapshot)) is not None:
                    found.setdefault(path, []).append(here)
        finally:
            snapshot.release()
        for path, threads in found.items():
            desk.threads.put(path, threads)
        self._paths = {path for path, threads in found.items() if threads}

    def _followed(self, placed: PlacedThread, path: Path, snapshot: Snapshot) -> PlacedThread | None:
        """Return a thread where its lines went while it was placed, with its diagnostic."""
        document, text = self._desk.workspace.at(path), snapshot.buffers.get(placed.thread.path)
        if document is not None or text is not None:
            moved = snapshot.moved(placed.thread.path, text, document) if document else None
            if moved is None:
                self._wake.set()  # it was opened or closed meanwhile
                return None
            lines = moved(placed.first, placed.last)
            if lines is None:
                return None
            placed = placed._replace(first=lines[0], last=lines[1])
        template = thread_template(placed.thread, placed.code, self._desk.encoding)
        return placed._replace(template=template)


class ThreadWatches:
    """The threads of all repositories, where settings want them."""

    def __init__(self, desk: Desk, is_of: IsOf) -> None:
        self._desk = desk
        self._is_of = is_of
        self._watches: dict[Path, ThreadWatch] = {}

    @property
    def problems(self) -> list[str]:
        """Why there may be more threads."""
        return sorted({watch.problem for watch in self._watches.values() if watch.problem})

    def add(self, repository: Repository) -> None:
        """Watch a repository, unless it is watched or nobody wants that."""
        settings = self._desk.settings
        if settings.threads and settings.gitlab_url and repository.root not in self._watches:
            self._watches[repository.root] = ThreadWatch(self._desk, repository, self._is_of)

    def drop(self, roots: Iterable[Path] | None = None) -> None:
        """Watch these repositories no longer, or none at all."""
        for root in tuple(self._watches if roots is None else roots):
            if (watch := self._watches.pop(root, None)) is not None:
                watch.close()

    def look(self, stirred: bool) -> None:
        """Notice what happened."""
        for watch in self._watches.values():
            watch.look(stirred)

    def refresh(self) -> None:
        """Ask GitLab soon, because a person asked."""
        for watch in self._watches.values():
            watch.refresh()

    def place(self, path: Path) -> None:
        """Place the threads of a file's repository anew."""
        for root, watch in self._watches.items():
            if path.is_relative_to(root):
                watch.place()
