"""Which merge requests were drafts when they were seen last, kept in the database."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from bot.database import Database
from bot.gitlab import MergeRequestRef
from bot.tables import DRAFTS

_KEPT_SECONDS = 365 * 86_400  # one that was closed as a draft is never seen again


class StoredDrafts:
    """See `bot.polling.Drafts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, project_id: int) -> set[int]:
        """Return the iids of a project's."""
        return await asyncio.to_thread(self._load, project_id)

    async def keep(self, ref: MergeRequestRef, draft: bool) -> None:
        """Keep what a merge request is."""
        await asyncio.to_thread(self._keep, ref, draft)

    def _load(self, project_id: int) -> set[int]:
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(DRAFTS.c.iid).where(DRAFTS.c.project_id == project_id))
            return set(rows.scalars())

    def _keep(self, ref: MergeRequestRef, draft: bool) -> None:
        mine = sa.and_(DRAFTS.c.project_id == ref.project_id, DRAFTS.c.iid == ref.iid)
        with self._database.writing() as connection:
            now = self._database.now(connection)
            old = DRAFTS.c.at < now - _KEPT_SECONDS
            connection.execute(sa.delete(DRAFTS).where(sa.or_(mine, old)))
            if draft:
                row = {"project_id": ref.project_id, "iid": ref.iid, "at": now}
                connection.execute(sa.insert(DRAFTS).values(row))
