"""What is wished while a review runs or its changes are read: nothing is reviewed twice or kept silent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any

from editors import SECONDS
from git_repository import Repository

from engine.errors import Unreachable
from engine.wire import Review
from lsp.desk import Desk
from lsp.findings_cache import FindingsCache
from lsp.lines import Encoding
from lsp.planning import Order, Plan, make_plan
from lsp.reviewer import Reviewer, Wish
from lsp.session import Session
from lsp.testing import FakeClient, FakeEngine
from lsp.workspace import Workspace


class Away(FakeEngine):
    """An engine that is not there, which shows when it gets a permit."""

    def review(self, *request: Any, **how: Any) -> Review:
        """Raise."""
        super().review(*request, **how)
        raise Unreachable("x")


class Bench:
    """A session whose changes are read when they may be."""

    def __init__(self, repository: Repository, engine: FakeEngine) -> None:
        self.client, self.engine = FakeClient(), engine
        self.read, self.go_on = Event(), Event()
        self.go_on.set()
        root = repository.root.resolve()
        folders = {f"XDG_{name}_HOME": str(root.parent / name.lower()) for name in ("CACHE", "DATA")}
        workspace = Workspace(Encoding.UTF16, [root.as_uri()])
        self.desk = Desk(
            self.client,
            workspace,
            Encoding.UTF16,
            environ=folders,
            open_with=lambda settings: engine,
            plan_with=self._plan,
        )
        self.session = Session(self.desk, folders)
        self.session.configure({"debounceMs": 0, "timeoutSeconds": 3600})
        self._root = root

    @property
    def reviewer(self) -> Reviewer:
        """The one of the repository."""
        return self.session.reviewers[self._root]

    def _plan(self, order: Order, buffers: Mapping[str, str], cache: FindingsCache) -> Plan:
        plan = make_plan(order, buffers, cache)
        self.read.set()
        assert self.go_on.wait(SECONDS)
        return plan

    def has_read(self) -> bool:
        """Tell whether all that was wished was looked at."""
        return self.reviewer._wish is None and self.reviewer._doing is None


async def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def test_a_wish_at_the_last_moment(repository: Repository, app: Path) -> None:
    """What comes when the wait for further wishes is over, and is not noticed yet, is done too."""

    async def run() -> None:
        bench = Bench(repository, FakeEngine())
        bench.session.configure({"debounceMs": 100})
        await bench.session.ready()
        await until(bench.has_read)
        wished = asyncio.Event()

        def wish() -> None:
            bench.reviewer.wish(Wish(by_person=True))
            wished.set()

        bench.reviewer.wish(Wish())
        await asyncio.sleep(0.01)  # the wait has begun
        asyncio.get_running_loop().call_later(0.2, wish)
        time.sleep(0.3)  # noqa: ASYNC251 - both are due in the same turn of the loop
        await wished.wait()
        await until(bench.has_read)
        assert bench.client.messages == ["Tenken: nothing to review, nothing changed."]
        bench.session.close()

    asyncio.run(run())


def test_a_review_that_ends_while_changes_are_read(repository: Repository, app: Path) -> None:
    """What it read is known, though it was not yet when it was looked for."""
    app.write_text("x = eval(1)\n", "utf-8")

    async def run() -> None:
        bench = Bench(repository, FakeEngine())
        await bench.session.ready()
        await until(bench.has_read)
        bench.reviewer.wish(Wish())
        await until(lambda: bench.engine.waits)
        bench.go_on.clear()
        bench.read.clear()
        bench.reviewer.wish(Wish())
        await until(bench.read.is_set)
        bench.engine.permits.release(2)
        await until(lambda: bench.reviewer.run is None)
        bench.go_on.set()
        await until(bench.has_read)
        assert (bench.reviewer.run, len(bench.engine.requests)) == (None, 1)
        bench.reviewer.wish(Wish(force=True))
        await until(lambda: len(bench.engine.requests) == 2)
        bench.session.close()

    asyncio.run(run())


def test_who_asks_while_it_is_tried_by_itself_is_told(repository: Repository, app: Path) -> None:
    """An outage is said once, and once more to who asks for a review in its course."""
    app.write_text("x = eval(1)\n", "utf-8")

    async def run() -> None:
        bench = Bench(repository, Away())
        await bench.session.ready()
        await until(bench.has_read)
        for count, wish in enumerate((Wish(), Wish(by_person=True)), 1):
            bench.desk.care._outage.retry_at = 0.0
            bench.reviewer.wish(Wish())
            await until(lambda: bench.engine.waits)
            bench.reviewer.wish(wish)
            await until(bench.has_read)
            bench.engine.permits.release(2)
            await until(lambda: bench.reviewer.run is None)
            assert len(bench.client.messages) == count
        bench.session.close()

    asyncio.run(run())
