"""Work that outlives its process: the contract of `bot.durable`, in one process. Crashes: tests/e2e."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dbos import DBOS
from empty_databases import empty_database

from bot.database import Database, database_url
from bot.durable import Durable, DurableOptions
from bot.errors import GitLabRefused, GitLabUnavailable, RateLimited
from bot.janitor import Janitor
from bot.memory import Memories
from bot.tables import LEASES, WORKERS
from bot.work import Failure, FailureKind, Kind, Order, StepFailed, Work, require_current
from bot.workers import Lease
from engine.errors import DiffError, StoreError

SOON = 240.0


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    with empty_database(str(request.param), tmp_path / "data" / "bot.db") as url:
        made = Database(database_url(url, tmp_path))
        yield made
        made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """An empty file, for what does not depend on the kind of database."""
    made = Database(database_url(None, tmp_path))
    yield made
    made.close()


class Diary:
    """A kind of work that writes down what happens, and does in its step what a test wants."""

    def __init__(self, act: Callable[[Work], Awaitable[Any]] | None = None, **kind: Any) -> None:
        self.done: list[tuple[str, Any]] = []
        self.failed: list[tuple[str, Failure]] = []
        self.kind = Kind("diary", self._run, self._failed, poll_seconds=0.05, **kind)
        self._act = act

    async def _run(self, work: Work) -> None:
        async def act() -> Any:
            return await self._act(work) if self._act else work.payload["say"]

        self.done.append((work.id, await work.step("act", act, abort=True)))

    async def _failed(self, work: Work, failure: Failure) -> None:
        self.failed.append((work.id, failure))


@asynccontextmanager
async def running(
    database: Database, *kinds: Kind, retry_seconds: float = 0.0, name: str = "one"
) -> AsyncIterator[Durable]:
    options = DurableOptions(name, silent_seconds=60, retry_seconds=retry_seconds, finish_seconds=5)
    durable = Durable(database, kinds, options)
    await durable.start()
    try:
        yield durable
    finally:
        await durable.stop()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.02)


def leases_in(database: Database) -> int:
    with database.reading() as connection:
        return len(connection.execute(sa.select(LEASES)).all())


def order(number: int, group: str | None = None) -> Order:
    return Order("diary", f"diary:{number:03d}", {"say": number}, group)


def test_work_is_done_once_however_often_it_is_ordered(database: Database) -> None:
    """Contract 1: the same id is the same work, before and after it is done; what is new is told."""

    async def main() -> None:
        diary = Diary()
        async with running(database, diary.kind) as durable:
            assert await asyncio.to_thread(durable.orders.store, [order(1), order(2), order(1)]) == [
                True,
                True,
                False,
            ]
            await until(lambda: len(diary.done) == 2)
            assert await asyncio.to_thread(durable.orders.store, [order(1)]) == [False]
            await asyncio.sleep(0.3)
        assert sorted(diary.done) == [("diary:001", 1), ("diary:002", 2)]

    asyncio.run(main())


@pytest.mark.postgres
def test_a_server_that_was_restarted_loses_no_order(tmp_path: Path) -> None:
    """Connections that it has cut while nobody used them are replaced, also for what is stored at once."""

    async def main(database: Database) -> None:
        diary = Diary()
        async with running(database, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1)])
            with database.reading() as connection:
                others = (
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                )
                connection.execute(sa.text(f"{others} AND datname = current_database() AND state = 'idle'"))
            assert await asyncio.to_thread(durable.orders.store, [order(2)]) == [True]
            await until(lambda: len(diary.done) == 2)

    with empty_database("postgres", tmp_path) as url:
        database = Database(database_url(url, tmp_path))
        asyncio.run(main(database))
        database.close()


@pytest.mark.postgres
def test_a_database_without_an_encoding_will_do(tmp_path: Path) -> None:
    """Debian makes a server in SQL_ASCII where no locale is set; texts come back as they were."""

    async def main(database: Database) -> None:
        diary = Diary()
        async with running(database, diary.kind) as durable:
            said = Order("diary", "diary:001", {"say": "点検 ✅"}, "")
            await asyncio.to_thread(durable.orders.store, [said])
            await until(lambda: diary.done)
        assert diary.done == [("diary:001", "点検 ✅")]

    with empty_database("postgres", tmp_path, "SQL_ASCII") as url:
        database = Database(database_url(url, tmp_path))
        database.create()
        asyncio.run(main(database))
        database.close()


def test_what_was_ordered_is_done_after_a_restart(database: Database) -> None:
    """Contract 1: an order outlives the process that took it."""

    async def main() -> None:
        hung = asyncio.Event()
        started = Diary(lambda work: hung.wait())
        async with running(database, started.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1), order(2)])
            await until(durable.orders.running)
            durable.options = DurableOptions("one", finish_seconds=0)
        assert started.done == []
        diary = Diary()
        async with running(database, diary.kind):
            await until(lambda: len(diary.done) == 2)
        assert sorted(diary.done) == [("diary:001", 1), ("diary:002", 2)]

    asyncio.run(main())


def test_a_step_that_was_done_gives_what_it_gave(file: Database) -> None:
    """After a restart only what was not done is done."""

    async def main() -> None:
        calls: list[str] = []
        hang = asyncio.Event()

        async def run(work: Work) -> None:
            async def first() -> dict[str, object]:
                calls.append("first")
                return {"text": "日本", "items": [1, None]}

            async def second() -> None:
                calls.append("second")
                await hang.wait()

            assert await work.step("first", first) == {"text": "日本", "items": [1, None]}
            await work.step("second", second)

        async def failed(work: Work, failure: Failure) -> None:
            raise AssertionError(failure)

        kind = Kind("diary", run, failed, poll_seconds=0.05)
        async with running(file, kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1)])
            await until(lambda: "second" in calls)
            durable.options = DurableOptions("one", finish_seconds=0)
        hang.set()
        async with running(file, kind) as durable:
            await until(lambda: not durable.orders.running() and calls.count("second") == 2)
        assert calls == ["first", "second", "second"]

    asyncio.run(main())


def test_of_one_group_one_is_done_at_a_time(database: Database) -> None:
    """Contract 2: merge requests do not wait for each other; jobs of one do, in their order."""

    async def main() -> None:
        now: dict[str, int] = {}
        most: dict[str, int] = {}
        seen: list[str] = []
        both = asyncio.Event()

        async def act(work: Work) -> None:
            for group in ("all", str(work.payload["group"])):
                now[group] = now.get(group, 0) + 1
                most[group] = max(most.get(group, 0), now[group])
            seen.append(work.id)
            if now["all"] == 2:
                both.set()
            await both.wait()
            await asyncio.sleep(0.15)
            for group in ("all", str(work.payload["group"])):
                now[group] -= 1

        diary = Diary(act, at_once=4, one_by_one=True)
        orders = [
            Order("diary", f"diary:{group}:{n}", {"group": group}, group) for n in range(3) for group in "ab"
        ]
        async with running(database, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, orders)
            await until(lambda: len(diary.done) == 6)
        assert (most["a"], most["b"], most["all"]) == (1, 1, 2)
        for group in "ab":
            mine = [name for name in seen if f":{group}:" in name]
            assert mine == sorted(mine)

    asyncio.run(main())


def test_what_is_given_up_ends_within_seconds_and_can_write_no_more(database: Database) -> None:
    """Contracts 2, 3 and 6: cancelling reaches a running step; afterwards the work is not current."""

    async def main() -> None:
        inside = asyncio.Event()
        ended: list[str] = []
        still: list[bool] = []

        async def act(work: Work) -> None:
            still.append(await work.still_current())
            inside.set()
            try:
                await asyncio.Event().wait()
            finally:
                still.append(await work.still_current())
                ended.append(work.id)

        diary = Diary(act, one_by_one=True)
        async with running(database, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1, "mr")])
            await asyncio.wait_for(inside.wait(), SOON)
            await asyncio.to_thread(durable.orders.cancel, ["diary:001"])
            await until(lambda: ended)
        assert (still, diary.done, diary.failed) == ([True, False], [], [])

    asyncio.run(main())


def test_a_newer_one_starts_when_the_older_one_has_let_go(file: Database) -> None:
    """Contract 2: at most one runs for a merge request, even while a cancelled one is on its way out."""

    async def main() -> None:
        log: list[str] = []
        inside = asyncio.Event()

        async def act(work: Work) -> None:
            log.append(f"begin {work.id}")
            inside.set()
            if work.id == "diary:001":
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0.5)
            log.append(f"end {work.id}")

        diary = Diary(act, at_once=2, one_by_one=True, leases=lambda payload: (Lease("mr:1"),))

        async def run(work: Work) -> None:
            try:
                await diary.kind.run(work)
            finally:
                log.append(f"gone {work.id}")

        kind = Kind("diary", run, diary.kind.failed, 2, 0.05, True, diary.kind.leases)
        async with running(file, kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1, "mr")])
            await asyncio.wait_for(inside.wait(), SOON)
            await asyncio.to_thread(durable.orders.cancel, ["diary:001"])
            await asyncio.to_thread(durable.orders.store, [order(2, "mr")])
            await until(lambda: "gone diary:002" in log)
        assert log == [
            "begin diary:001",
            "gone diary:001",
            "begin diary:002",
            "end diary:002",
            "gone diary:002",
        ]

    asyncio.run(main())


def test_one_that_is_tried_again_later_is_not_in_the_way(file: Database) -> None:
    """Contract 2: while the older one waits for GitLab to come back, the newer one is done."""

    async def main() -> None:
        async def act(work: Work) -> str:
            if work.id == "diary:001":
                raise GitLabUnavailable("connection refused")
            return "done"

        diary = Diary(act, one_by_one=True)
        async with running(file, diary.kind, retry_seconds=300) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1, "mr")])
            await until(durable.orders.running)
            await asyncio.to_thread(durable.orders.store, [order(2, "mr")])
            await asyncio.to_thread(durable.orders.cancel, ["diary:001"])
            await until(lambda: diary.done)
        assert (diary.done, diary.failed) == ([("diary:002", "done")], [])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GitLabRefused(403, "403 Forbidden"), FailureKind.GITLAB),
        (GitLabUnavailable("timed out"), FailureKind.GITLAB),
        (DiffError("no hunk", 3), FailureKind.INPUT),
        (TimeoutError(), FailureKind.TIME),
        (ZeroDivisionError("secret code"), FailureKind.INTERNAL),
    ],
)
def test_what_fails_for_good_is_told_and_the_rest_goes_on(
    file: Database, error: Exception, kind: FailureKind
) -> None:
    """Contract 4: with its kind and the words meant for people, never those of an error nobody foresaw."""

    async def main() -> None:
        async def act(work: Work) -> str:
            if work.id == "diary:001":
                raise error
            return "done"

        diary = Diary(act)
        async with running(file, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1), order(2)])
            await until(lambda: diary.failed and diary.done)
            await until(lambda: not durable.orders.open("diary"))
        ((failed, failure),) = diary.failed
        assert (failed, failure.kind, diary.done) == ("diary:001", kind, [("diary:002", "done")])
        assert "secret" not in failure.text

    asyncio.run(main())


def test_what_may_pass_is_tried_again(file: Database) -> None:
    """Contract 4: as often as patience allows; the caller of the step does not notice."""

    async def main() -> None:
        answers = [RateLimited(0.5)]

        async def act(work: Work) -> str:
            if answers:
                raise answers.pop(0)
            return "done"

        diary = Diary(act)
        async with running(file, diary.kind, retry_seconds=60) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1)])
            await until(lambda: diary.done)
        assert (diary.done, diary.failed) == ([("diary:001", "done")], [])

    asyncio.run(main())


def test_a_failed_step_fails_again_after_a_restart(file: Database) -> None:
    """Contract 4: the reason is kept, not found anew, and is told once more if it was not told."""

    async def main() -> None:
        tries: list[str] = []
        told: list[Failure] = []
        hang = asyncio.Event()

        async def run(work: Work) -> None:
            async def act() -> None:
                tries.append(work.id)
                raise GitLabRefused(404, "404 Not found")

            with pytest.raises(StepFailed) as caught:
                await work.step("act", act)
            raise caught.value

        async def failed(work: Work, failure: Failure) -> None:
            told.append(failure)
            await hang.wait()

        kind = Kind("diary", run, failed, poll_seconds=0.05)
        async with running(file, kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1)])
            await until(lambda: told)
            durable.options = DurableOptions("one", finish_seconds=0)
        hang.set()
        async with running(file, kind) as durable:
            await until(lambda: len(told) == 2 and not durable.orders.running())
        expected = Failure(FailureKind.GITLAB, "GitLab answers 404: 404 Not found")
        assert (tries, told) == (["diary:001"], [expected, expected])

    asyncio.run(main())


def test_work_that_ends_the_process_is_given_up_and_told(
    file: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 4: poison is tried a few times, then people are told, once; other work goes on."""
    monkeypatch.setattr("bot.durable._ATTEMPTS", 1)

    async def main() -> None:
        started: list[str] = []

        async def act(work: Work) -> str:
            started.append(work.id)
            if work.id == "diary:001":
                await asyncio.Event().wait()
            return "done"

        diary = Diary(act, at_once=2)
        for tries in range(1, 3):
            async with running(file, diary.kind) as durable:
                await asyncio.to_thread(durable.orders.store, [order(1)])
                await until(lambda tries=tries: len(started) == tries)
                durable.options = DurableOptions("one", finish_seconds=0)
        async with running(file, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(2)])
            await until(lambda: diary.done)
            await until(lambda: not durable.orders.running())
            janitor = Janitor(durable, Memories(file), keep_days=1)
            for _ in range(2):
                await asyncio.to_thread(janitor.round)
                await until(lambda: diary.failed)
        assert started == ["diary:001", "diary:001", "diary:002"]
        ((_, failure),) = diary.failed
        assert (failure.kind, diary.done) == (FailureKind.CRASH, [("diary:002", "done")])

    asyncio.run(main())


def test_a_database_that_is_busy_loses_nothing(file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contract 8: the lease cannot be taken, nor given back, for a moment; the work is done all the same."""
    monkeypatch.setattr("bot.durable._DATABASE_PAUSE", 0.05)

    async def main() -> None:
        diary = Diary(leases=lambda payload: (Lease("mr:1"),))
        async with running(file, diary.kind) as durable:
            for name in ("take", "release"):
                real, faults = getattr(durable.leases, name), [StoreError("database is locked")] * 2

                def busy(*arguments: object, real: Any = real, faults: Any = faults) -> object:
                    if faults:
                        raise faults.pop()
                    return real(*arguments)

                monkeypatch.setattr(durable.leases, name, busy)
            await asyncio.to_thread(durable.orders.store, [order(1), order(2)])
            await until(lambda: len(diary.done) == 2)
            await until(lambda: not leases_in(file))

    asyncio.run(main())


def test_dbos_still_has_what_is_private_there() -> None:
    """The one thing used that is not public: should it vanish, `take_over` needs another way."""
    recover = DBOS._recover_pending_workflows
    assert list(inspect.signature(recover).parameters) == ["executor_ids"]


def test_a_janitor_outlives_what_nobody_foresaw(file: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it this worker would be as good as dead: it logs, and comes again."""
    rounds: list[int] = []

    def broken(self: Janitor) -> None:
        rounds.append(1)
        raise RuntimeError("unforeseen") if len(rounds) == 1 else StoreError("database is locked")

    monkeypatch.setattr(Janitor, "round", broken)

    async def main() -> None:
        durable = Durable(file, (), DurableOptions("one", silent_seconds=0.06))
        janitor = asyncio.create_task(Janitor(durable, Memories(file), keep_days=1).run())
        await until(lambda: len(rounds) > 2)
        janitor.cancel()
        await asyncio.gather(janitor, return_exceptions=True)

    asyncio.run(main())


def test_a_silent_workers_work_is_taken_over(database: Database) -> None:
    """Contract 3: what a dead worker had begun is done by a living one, with its leases."""

    async def main() -> None:
        hung = asyncio.Event()
        lease = Lease("mr:1")
        first = Diary(lambda work: hung.wait(), leases=lambda payload: (lease,))
        async with running(database, first.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1)])
            await until(durable.orders.running)
            await until(lambda: leases_in(database))
            durable.options = DurableOptions("one", finish_seconds=0)
            durable.workers.leave = lambda: None  # as if it had been killed
        with database.writing() as connection:
            connection.execute(sa.update(WORKERS).values(seen=0))
        second = Diary(leases=lambda payload: (lease,))
        async with running(database, second.kind, name="two") as durable:
            await asyncio.to_thread(Janitor(durable, Memories(database), keep_days=1).round)
            await until(lambda: second.done)
        assert second.done == [("diary:001", 1)]

    asyncio.run(main())


def test_work_that_was_let_go_of_begins_again(file: Database) -> None:
    """Contract 3: a worker that gave work up in vain, as nobody had taken over, takes it up again."""

    async def main() -> None:
        lease = Lease("mr:1")
        tries: list[bool] = []

        async def act(work: Work) -> str:
            if not tries:
                tries.append(await work.still_current())
                with file.writing() as connection:  # what a burial does
                    connection.execute(sa.delete(LEASES))
                await require_current(work)
            return "done"

        diary = Diary(act, leases=lambda payload: (lease,))
        async with running(file, diary.kind) as durable:
            janitor = Janitor(durable, Memories(file), keep_days=1)
            await asyncio.to_thread(durable.orders.store, [order(1)])
            await until(lambda: tries)
            await until(lambda: durable.lost(durable.orders.running()))
            await asyncio.to_thread(janitor.round)
            assert diary.done == []
            durable.options = replace(durable.options, silent_seconds=0)
            await asyncio.to_thread(janitor.round)
            await until(lambda: diary.done)
        assert (tries, diary.done) == ([True], [("diary:001", "done")])

    asyncio.run(main())


def test_a_device_is_used_by_training_or_by_reviews(file: Database) -> None:
    """Contract 5: reviews run together; a training waits for them and then runs alone."""

    async def main() -> None:
        now: list[str] = []
        alone: list[bool] = []
        ended = asyncio.Event()

        def kind(name: str, lease: Lease, at_once: int) -> Kind:
            async def run(work: Work) -> None:
                async def act() -> None:
                    now.append(name)
                    if name == "train":
                        alone.append(now == ["train"])
                        await asyncio.sleep(0.2)
                        alone.append(now == ["train"])
                    else:
                        await ended.wait()
                    now.remove(name)

                await work.step("act", act)

            async def failed(work: Work, failure: Failure) -> None:
                raise AssertionError(failure)

            return Kind(name, run, failed, at_once, 0.05, leases=lambda payload: (lease,))

        review, train = kind("review", Lease("gpu", shared=True), 3), kind("train", Lease("gpu"), 2)
        async with running(file, review, train) as durable:
            await asyncio.to_thread(durable.orders.store, [Order("review", f"r{n}", {}) for n in range(3)])
            await until(lambda: now == ["review"] * 3)
            await asyncio.to_thread(durable.orders.store, [Order("train", f"t{n}", {}) for n in range(2)])
            await asyncio.sleep(0.5)  # ten times as long as both take to look for work
            assert now == ["review"] * 3
            ended.set()
            await until(lambda: len(alone) == 4 and not now)
        assert all(alone)

    asyncio.run(main())


def test_a_training_goes_on_from_its_checkpoint(file: Database, tmp_path: Path) -> None:
    """Contract 6: cut short and begun again, it has the same id and finds what it had kept."""

    async def main() -> None:
        steps: list[int] = []
        slow = threading.Event()

        async def run(work: Work) -> None:
            checkpoint = tmp_path / f"{work.id}.step"

            async def act() -> None:
                first = int(checkpoint.read_text()) if checkpoint.exists() else 0
                for step in range(first, 6):
                    steps.append(step)
                    checkpoint.write_text(str(step + 1))
                    if step == 2 and not slow.is_set():
                        slow.set()
                        await asyncio.Event().wait()

            await work.step("train", act, abort=True)

        async def failed(work: Work, failure: Failure) -> None:
            raise AssertionError(failure)

        kind = Kind("train", run, failed, poll_seconds=0.05)
        async with running(file, kind) as durable:
            await asyncio.to_thread(durable.orders.store, [Order("train", "train-1", {})])
            await until(slow.is_set)
            durable.options = DurableOptions("one", finish_seconds=0)
        async with running(file, kind) as durable:
            await until(lambda: not durable.orders.open("train"))
        assert steps == [0, 1, 2, 3, 4, 5]

    asyncio.run(main())


def test_finished_work_can_be_looked_at_and_is_forgotten_in_the_end(file: Database) -> None:
    """Contract 4: kept for inspection, but not for ever; what is open stays."""

    async def main() -> None:
        hung = asyncio.Event()

        async def act(work: Work) -> None:
            if work.id == "diary:002" or diary.done:
                await hung.wait()

        diary = Diary(act, at_once=2)
        async with running(file, diary.kind) as durable:
            await asyncio.to_thread(durable.orders.store, [order(1), order(2)])
            await until(lambda: diary.done)
            await until(lambda: len(durable.orders.open("diary")) == 1)
            assert await asyncio.to_thread(durable.orders.forget, 1) == 0
            assert await asyncio.to_thread(durable.orders.forget, -1) == 1
            assert await asyncio.to_thread(durable.orders.store, [order(1)]) == [True]
            assert [work.id for work in durable.orders.open("diary")] == ["diary:001", "diary:002"]
            hung.set()
            await until(lambda: len(diary.done) == 3)

    asyncio.run(main())
