"""Heartbeats and leases: who lives, who holds what, and what a sleeper learns when it wakes up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from empty_databases import empty_database

from bot.database import Database, database_url
from bot.tables import WORKERS
from bot.workers import Lease, Leases, Workers, only_one
from engine.errors import ConfigError, StoreError

ALONE, SHARED = Lease("gpu"), Lease("gpu", shared=True)
SILENT = 60.0


@pytest.fixture
def silence(database: Database) -> Callable[[str], None]:
    """Make it long ago that a worker was heard of."""

    def silence(name: str) -> None:
        with database.writing() as connection:
            long_ago = sa.update(WORKERS).where(WORKERS.c.name == name)
            connection.execute(long_ago.values(seen=WORKERS.c.seen - 2 * SILENT))

    return silence


def worker(database: Database, name: str) -> Workers:
    made = Workers(database, name, SILENT)
    made.enter()
    return made


def test_a_silent_worker_is_dead_to_the_others(database: Database, silence: Callable[[str], None]) -> None:
    """Only the one that was not heard of for so long, and never oneself."""
    one, _ = worker(database, "one"), worker(database, "two")
    assert one.silent() == ()
    silence("one")
    silence("two")
    assert one.silent() == ("two",)


def test_the_dead_hold_nothing(database: Database, silence: Callable[[str], None]) -> None:
    """With its worker a lease goes, too, and its holder can see that."""
    one, _ = worker(database, "one"), worker(database, "two")
    mine, theirs = Leases(database, "one"), Leases(database, "two")
    assert theirs.take(ALONE, "job of two")
    silence("two")
    assert not mine.take(ALONE, "job of one")
    assert one.bury("two")
    assert not theirs.holds(ALONE, "job of two")
    assert mine.take(ALONE, "job of one")


def test_whoever_wakes_up_in_time_is_not_buried(database: Database, silence: Callable[[str], None]) -> None:
    """A heartbeat between the look and the burial counts."""
    one, two = worker(database, "one"), worker(database, "two")
    silence("two")
    assert one.silent() == ("two",)
    two.beat()
    assert not one.bury("two")


def test_one_burial_is_enough(database: Database, silence: Callable[[str], None]) -> None:
    """Of two that find a dead worker, one takes over its work."""
    one, _, three = (worker(database, name) for name in ("one", "two", "three"))
    silence("two")
    assert [one.bury("two"), three.bury("two")] == [True, False]


def test_a_worker_nobody_heard_of_is_watched_first(
    database: Database, silence: Callable[[str], None]
) -> None:
    """It may have started just now, so it gets as long as any other."""
    one = worker(database, "one")
    one.note({"one", "ghost"})
    assert one.silent() == ()
    silence("ghost")
    one.note({"ghost"})
    assert one.silent() == ("ghost",)


def test_a_sleeper_knows_before_the_others_do(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops counting on itself before they take its work away."""
    one = worker(database, "one")
    assert one.alive
    later = time.monotonic() + SILENT * 0.9
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not one.alive


def test_a_lease_is_for_one(database: Database) -> None:
    """The second gets it when the first gives it back; the first may ask again."""
    leases = Leases(database, "one")
    assert leases.take(ALONE, "first")
    assert leases.take(ALONE, "first")
    assert not leases.take(ALONE, "second")
    leases.release(ALONE, "first")
    assert leases.take(ALONE, "second")


def test_those_who_share_do_so_until_somebody_wants_it_alone(database: Database) -> None:
    """Reviews share a device; a training that waits for it is not overtaken by further reviews."""
    leases = Leases(database, "one")
    assert leases.take(SHARED, "review 1")
    assert leases.take(SHARED, "review 2")
    assert not leases.take(ALONE, "training")
    assert not leases.take(SHARED, "review 3")
    assert leases.take(SHARED, "review 1")
    leases.release(SHARED, "review 1")
    leases.release(SHARED, "review 2")
    assert leases.take(ALONE, "training")
    assert not leases.take(ALONE, "another training")
    leases.release(ALONE, "training")
    assert leases.take(SHARED, "review 3")


def test_whoever_waits_may_give_up(database: Database) -> None:
    """A training that is cancelled while it waits is in nobody's way."""
    leases = Leases(database, "one")
    leases.take(SHARED, "review 1")
    leases.take(ALONE, "training")
    leases.release(ALONE, "training")
    assert leases.take(SHARED, "review 2")


@pytest.mark.postgres
def test_a_worker_that_is_frozen_in_a_transaction_keeps_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends its transaction; the others get on, and it starts anew when it wakes up."""
    with empty_database("postgres", tmp_path) as url:
        frozen, other = Database(database_url(url, tmp_path)), Database(database_url(url, tmp_path))
        other.create()

        def sleep_in_a_transaction() -> None:
            with frozen.writing() as connection:
                connection.execute(sa.text("LOCK TABLE tenken_leases IN SHARE ROW EXCLUSIVE MODE"))
                assert Leases(other, "two").take(ALONE, "job of two")
                connection.execute(sa.select(WORKERS))

        with monkeypatch.context() as patch:
            patch.setattr("bot.database._IDLE_SECONDS", 0.5)  # of this connection: any other may be slow
            with pytest.raises(StoreError):
                sleep_in_a_transaction()
        assert not Leases(frozen, "one").take(ALONE, "job of one")
        frozen.close()
        other.close()


def test_after_a_restart_nothing_is_held(database: Database) -> None:
    """What a process of this name held died with it."""
    worker(database, "one")
    Leases(database, "one").take(ALONE, "job")
    worker(database, "one")
    assert not Leases(database, "one").holds(ALONE, "job")


def test_two_processes_cannot_be_one_worker(tmp_path: Path) -> None:
    """They would do everything twice; a name that is no file name works, too."""
    with (
        only_one("host/1", tmp_path),
        pytest.raises(ConfigError, match="BOT_WORKER"),
        only_one("host/1", tmp_path),
    ):
        pass
    with only_one("host/1", tmp_path), only_one("host/2", tmp_path):
        pass
