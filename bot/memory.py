"""What was reviewed of each merge request, kept in the database."""

from __future__ import annotations

import sqlalchemy as sa
from pydantic import ValidationError

from bot.database import Database
from bot.gitlab import MergeRequestRef
from bot.incremental import Memory
from bot.tables import REVIEWED


class Memories:
    """One memory for each merge request. All methods block."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, ref: MergeRequestRef) -> Memory:
        """Return what is known of a merge request; nothing where another version of this program kept it."""
        with self._database.reading() as connection:
            stored = connection.execute(sa.select(REVIEWED.c.reviewed).where(*_is(ref))).scalar_one_or_none()
        try:
            return Memory.model_validate_json(stored) if stored else Memory()
        except ValidationError:
            return Memory()

    def save(self, ref: MergeRequestRef, memory: Memory) -> None:
        """Keep what is known of a merge request instead of what was."""
        with self._database.writing() as connection:
            values = {"reviewed": memory.model_dump_json(), "at": self._database.now(connection)}
            if not connection.execute(sa.update(REVIEWED).where(*_is(ref)).values(values)).rowcount:
                key = {"project_id": ref.project_id, "iid": ref.iid}
                connection.execute(sa.insert(REVIEWED).values(key | values))

    def forget(self, days: float) -> int:
        """Remove what was not touched for longer, and return how much that was."""
        with self._database.writing() as connection:
            limit = self._database.now(connection) - days * 86_400
            return connection.execute(sa.delete(REVIEWED).where(REVIEWED.c.at < limit)).rowcount


def _is(ref: MergeRequestRef) -> tuple[sa.ColumnElement[bool], ...]:
    return REVIEWED.c.project_id == ref.project_id, REVIEWED.c.iid == ref.iid
