"""Up to when each project was looked at, kept in the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import sqlalchemy as sa

from bot.database import Database
from bot.tables import WATERMARKS


class StoredWatermarks:
    """See `bot.polling.Watermarks`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> dict[int, datetime]:
        """Return all that are known."""
        return await asyncio.to_thread(self._load)

    async def move(self, project_id: int, to: datetime) -> None:
        """Keep the watermark of a project; it never goes back."""
        await asyncio.to_thread(self._move, project_id, to.timestamp())

    def _load(self) -> dict[int, datetime]:
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(WATERMARKS.c.project_id, WATERMARKS.c.at))
            return {row.project_id: datetime.fromtimestamp(row.at, UTC) for row in rows}

    def _move(self, project_id: int, at: float) -> None:
        mine = WATERMARKS.c.project_id == project_id
        with self._database.writing() as connection:
            if connection.execute(sa.select(WATERMARKS.c.at).where(mine)).first() is None:
                connection.execute(sa.insert(WATERMARKS).values(project_id=project_id, at=at))
            else:
                later = sa.and_(mine, WATERMARKS.c.at < at)
                connection.execute(sa.update(WATERMARKS).where(later).values(at=at))
