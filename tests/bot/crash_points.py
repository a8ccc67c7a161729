"""Every state that a bot may leave behind when it is killed: its database, and GitLab, before each effect.

An effect is a transaction that changes something, or a request that changes something in GitLab. What a
process knows besides is lost with it, so what is here is all that the next one finds.
"""

from __future__ import annotations

import asyncio
import copy
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from bot_world import World

from bot.fake_gitlab import Account
from bot.fake_gitlab.state import World as GitLabWorld

_CHANGED = re.compile(
    r"\s*(?:INSERT|UPDATE|DELETE)\b.*?\b(?:INTO|UPDATE|FROM)\s+(?:\W?\w+\W?\.)?\W?(\w+)", re.IGNORECASE
)
_HEARTBEATS = {"tenken_workers"}
_WAIT = 300


@dataclass(frozen=True, slots=True)
class State:
    """What a bot that was killed before `effect` leaves behind."""

    effect: str
    database: bytes
    world: GitLabWorld
    bot: Account

    def restore(self, at: World, folder: Path) -> None:
        """Make GitLab what it was, and put the database into a new folder."""
        folder.mkdir()
        (folder / "bot.db").write_bytes(self.database)
        for each in fields(GitLabWorld):
            setattr(at.fake.world, each.name, getattr(self.world, each.name))
        at.fake.bot = self.bot
        at.project = at.fake.world.projects[at.project.id]
        at.project.hooks.clear()


@dataclass(slots=True)
class Recorder:
    """Keeps a state before each effect. To be made on the event loop that the fake GitLab runs on."""

    at: World
    file: Path
    states: list[State] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _thread: int = field(default_factory=threading.get_ident)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record while inside."""
        listeners = {
            "after_cursor_execute": self._executed,
            "commit": self._committing,
            "rollback": self._rolled_back,
        }
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener)
        self.at.fake.options.faults.append(self)  # type: ignore[arg-type] - is asked about each request
        try:
            yield
        finally:
            self.at.fake.options.faults.remove(self)  # type: ignore[arg-type]
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)

    def hits(self, method: str, path: str) -> bool:
        """Keep the state before a request that changes something; let nothing go wrong."""
        if method != "GET":
            self.keep(f"{method} {path.partition('/merge_requests/')[2]}")
        return False

    def keep(self, effect: str) -> None:
        """Keep the state as it is now."""
        if threading.get_ident() == self._thread:
            self._keep(effect)
            return
        done = threading.Event()

        def keep() -> None:
            self._keep(effect)
            done.set()

        self._loop.call_soon_threadsafe(keep)
        assert done.wait(_WAIT), "the event loop waits for this thread"

    def _keep(self, effect: str) -> None:
        with closing(sqlite3.connect(self.file)) as source, closing(sqlite3.connect(":memory:")) as target:
            source.backup(target)
            data = target.serialize()
        # The numbers go on counting: what is made later never has an old one.
        ids = self.at.fake.world.ids
        world, bot = copy.deepcopy((self.at.fake.world, self.at.fake.bot), {id(ids): ids})
        self.states.append(State(effect, data, world, bot))

    def _executed(self, connection: sa.Connection, cursor: Any, statement: str, *_: Any) -> None:
        if match := _CHANGED.match(statement):
            connection.info.setdefault("tables", set()).add(match[1])

    def _committing(self, connection: sa.Connection) -> None:
        tables = self._tables(connection)
        if tables - _HEARTBEATS:
            self.keep(", ".join(sorted(tables)))

    def _rolled_back(self, connection: sa.Connection) -> None:
        self._tables(connection)

    def _tables(self, connection: sa.Connection) -> set[str]:
        """Return the tables that a transaction has changed, and forget them."""
        tables: set[str] = connection.info.pop("tables", set())
        changes = connection.connection.dbapi_connection.total_changes  # type: ignore[union-attr]
        before, connection.info["changes"] = connection.info.get("changes", 0), changes
        mine = connection.engine.url.database == str(self.file)
        return tables if mine and changes > before else set()
