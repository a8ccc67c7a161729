"""Which workers are alive, and what they hold alone. Heartbeats and leases in the database.

A worker that has been silent for too long is dead to the others: they take over its work and its leases.
Should it wake up, it learns so before it writes anything: see `Workers.alive` and `Leases.holds`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from filelock import FileLock, Timeout

from bot.database import Database
from bot.tables import LEASES, WORKERS
from engine.errors import ConfigError


class Workers:
    """Heartbeats: this worker's own, and what the others' say."""

    def __init__(self, database: Database, name: str, silent_seconds: float) -> None:
        self.name = name
        self._database = database
        self._silent_seconds = silent_seconds
        self._beaten = float("-inf")

    @property
    def beat_seconds(self) -> float:
        """How long to wait between two heartbeats."""
        return self._silent_seconds / 6

    @property
    def alive(self) -> bool:
        """Whether the others must still count on this worker.

        It asks nobody: one that was frozen knows so the moment it wakes up, before its next heartbeat.
        """
        # A margin, so that this worker gives up before the others take over.
        return time.monotonic() - self._beaten < self._silent_seconds * 0.75

    def enter(self) -> None:
        """Begin. What a worker of this name held before it ended is free."""
        self.leave()
        self.beat()

    def beat(self) -> None:
        """Say that this worker is alive."""
        started = time.monotonic()
        with self._database.writing() as connection:
            self._see(connection, self.name)
        self._beaten = started

    def note(self, names: Collection[str]) -> None:
        """Begin to watch workers that have work and were never heard of."""
        with self._database.writing() as connection:
            known = set(connection.execute(sa.select(WORKERS.c.name)).scalars())
            for name in set(names) - known:
                self._see(connection, name)

    def silent(self) -> tuple[str, ...]:
        """Return the workers that are dead to the others."""
        with self._database.reading() as connection:
            limit = self._database.now(connection) - self._silent_seconds
            rows = connection.execute(sa.select(WORKERS.c.name).where(WORKERS.c.seen < limit))
            return tuple(name for name in rows.scalars() if name != self.name)

    def heard_of(self) -> dict[str, float]:
        """Return all workers, with the seconds since each was heard of."""
        with self._database.reading() as connection:
            now = self._database.now(connection)
            return {row.name: now - row.seen for row in connection.execute(sa.select(WORKERS))}

    def bury(self, name: str) -> bool:
        """Forget a dead worker and free what it held; False where it has woken up, or was buried."""
        with self._database.writing() as connection:
            limit = self._database.now(connection) - self._silent_seconds
            gone = sa.delete(WORKERS).where(WORKERS.c.name == name, WORKERS.c.seen < limit)
            buried = connection.execute(gone).rowcount > 0
            if buried:
                connection.execute(sa.delete(LEASES).where(LEASES.c.worker == name))
            return buried

    def leave(self) -> None:
        """Say goodbye: this worker holds nothing any more."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(LEASES).where(LEASES.c.worker == self.name))
            connection.execute(sa.delete(WORKERS).where(WORKERS.c.name == self.name))

    def _see(self, connection: sa.Connection, name: str) -> None:
        now = self._database.now(connection)
        seen = sa.update(WORKERS).where(WORKERS.c.name == name).values(seen=now)
        if not connection.execute(seen).rowcount:
            connection.execute(sa.insert(WORKERS).values(name=name, seen=now))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on something: alone, or with others who share it."""

    name: str  # such as mr:7!3
    shared: bool = False


def device_lease(device: str, *, alone: bool = False) -> Lease:
    """Return the lease on a device, such as a GPU, that the engine and training share.

    Reviews and questions share it among themselves; a training has it `alone`. Of several leases it is taken
    first, so that whoever waits for it holds nothing else.
    """
    return Lease(f"device:{device}", shared=not alone)


class Leases:
    """Who works on what. Nothing here waits: who does not get a lease comes again."""

    def __init__(self, database: Database, worker: str) -> None:
        self._database = database
        self._worker = worker

    def take(self, lease: Lease, holder: str) -> bool:
        """Take a lease for `holder`, who may have it already; False while others stand in the way.

        Whoever wants it alone and has to wait keeps others from coming to share it meanwhile.
        """
        with self._database.writing() as connection:
            if not self._database.is_sqlite:
                connection.execute(sa.text("LOCK TABLE tenken_leases IN SHARE ROW EXCLUSIVE MODE"))
            rows = connection.execute(sa.select(LEASES).where(LEASES.c.name == lease.name)).all()
            others = [row for row in rows if row.holder != holder]
            alone = [row for row in others if not row.shared]
            if len(others) < len(rows):
                return lease.shared or not others
            if not alone:
                row = {"name": lease.name, "holder": holder, "worker": self._worker, "shared": lease.shared}
                connection.execute(sa.insert(LEASES).values(row))
            return not (alone if lease.shared else others)

    def holds(self, lease: Lease, holder: str) -> bool:
        """Whether `holder`, who took the lease, still has it."""
        with self._database.reading() as connection:
            mine = sa.select(LEASES.c.worker).where(*self._row(lease, holder))
            return connection.execute(mine).scalar_one_or_none() == self._worker

    def holders(self, names: Iterable[str]) -> set[str]:
        """Return who holds, or waits for, leases of these names."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(LEASES.c.holder).where(LEASES.c.name.in_(set(names))))
            return set(rows.scalars())

    def is_wanted_alone(self, name: str) -> bool:
        """Whether somebody has a lease alone, or waits for that: nobody new comes to share it."""
        with self._database.reading() as connection:
            alone = sa.select(LEASES.c.holder).where(LEASES.c.name == name, LEASES.c.shared.is_(False))
            return connection.execute(alone).first() is not None

    def release(self, lease: Lease, holder: str) -> None:
        """Give a lease, or the wait for it, up."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(LEASES).where(*self._row(lease, holder)))

    def _row(self, lease: Lease, holder: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (LEASES.c.name == lease.name, LEASES.c.holder == holder, LEASES.c.worker == self._worker)


@contextmanager
def only_one(name: str, folder: Path) -> Iterator[None]:
    """Keep a second process from being the worker `name`; raises ConfigError where there is one.

    Work is taken up again by name, so two processes of one name would do everything twice. The lock is
    the operating system's: it goes with the process, however that ends.
    """
    lock = FileLock(folder / f"worker-{quote(name, safe='')}.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout as error:
        raise ConfigError(
            f"a worker called {name} runs already; give each a name of its own with BOT_WORKER"
        ) from error
    except OSError as error:
        raise ConfigError(f"BOT_DATA_DIR: {folder}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()
