"""Feedback of every project, in the database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.feedback import Feedback, FeedbackVerdict
from engine.store.database import Database
from engine.store.tables import feedback

_SAID_ONCE = ("project", "fingerprint", "verdict", "adapter", "source", "role")
_PAGE = 1000


class FeedbackStore:
    """What is known of people's answers. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, *entries: Feedback) -> None:
        """Keep `entries`, all or none. One that is known, in any order or number, changes nothing."""
        if not entries:
            return
        with self._database.writing() as connection:
            for entry in entries:
                connection.execute(_upsert(connection, entry))

    def list_feedback(
        self, project: str | None = None, fingerprint: str | None = None, limit: int | None = None
    ) -> list[Feedback]:
        """Return feedback, of one project or about one finding only where asked, the latest first."""
        query = select(feedback).order_by(feedback.c.created.desc(), feedback.c.id.desc()).limit(limit)
        if project is not None:
            query = query.where(feedback.c.project == project)
        if fingerprint is not None:
            query = query.where(feedback.c.fingerprint == fingerprint)
        with self._database.reading() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def remove(self, project: str, fingerprint: str) -> int:
        """Forget all feedback about a finding and return how much there was."""
        about = (feedback.c.project == project) & (feedback.c.fingerprint == fingerprint)
        with self._database.writing() as connection:
            return connection.execute(delete(feedback).where(about)).rowcount

    def suppressed(self, project: str) -> set[str]:
        """Return the fingerprints that reviews leave out: the latest about them is `dismissed` or `wrong`."""
        query = (
            select(feedback.c.fingerprint, feedback.c.verdict)
            .where(feedback.c.project == project)
            .order_by(feedback.c.created, feedback.c.id)
        )
        with self._database.reading() as connection:
            latest = {row.fingerprint: row.verdict for row in connection.execute(query)}
        return {fingerprint for fingerprint, verdict in latest.items() if FeedbackVerdict(verdict).suppresses}

    def export(self, project: str | None = None) -> Iterator[Feedback]:
        """Yield all feedback in the order it came; what comes meanwhile may be left for the next time.

        Read in pages, so that nobody waits for a slow reader.
        """
        last = 0
        while rows := self._page(project, last):
            last = rows[-1].id
            yield from (_entry(row) for row in rows)

    def _page(self, project: str | None, last: int) -> list[Row[Any]]:
        query = select(feedback).where(feedback.c.id > last).order_by(feedback.c.id).limit(_PAGE)
        if project is not None:
            query = query.where(feedback.c.project == project)
        with self._database.reading() as connection:
            return list(connection.execute(query))


def _upsert(connection: Connection, entry: Feedback) -> Any:
    """Insert `entry`, or where it is known move its time and reason forwards."""
    values = entry.model_dump(mode="python") | {"verdict": entry.verdict.value, "source": entry.source.value}
    statement = _insert(connection, feedback).values(values)
    return statement.on_conflict_do_update(
        index_elements=list(_SAID_ONCE),
        set_={"created": statement.excluded.created, "reason": statement.excluded.reason},
        where=statement.excluded.created > feedback.c.created,
    )


def _insert(connection: Connection, table: Table) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _entry(row: Row[Any]) -> Feedback:
    return Feedback.model_validate({name: row._mapping[name] for name in Feedback.model_fields})
