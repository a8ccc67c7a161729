"""Retraining as durable work: what is stored, what it is called, and which of it is open.

Two kinds follow each other: the first reads the project and says what it would train on, the second trains.
Only that one holds the device that the engine works on, so reading a long history keeps no review waiting.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from bot.gitlab import MergeRequestRef
from bot.jobs import Asked
from bot.learning import Wish
from bot.orders import OpenWork, Orders
from bot.work import Order
from engine.wire import Language

PREPARE, TRAIN = "retrain", "training"
"""The kinds of work."""


class RetrainJob(BaseModel):
    """A retraining, as it is stored: fields are added with a default and never change their meaning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(description="The same request again has the same key, and is done once.")
    project_id: int
    project: str = Field(description="Its path, by which the engine knows it.")
    iid: int = Field(description="The merge request that is told of it; 0 for none.")
    asked: Asked | None = Field(default=None, description="The note that asked; none for a nightly one.")
    language: Language = Language.EN
    dry_run: bool = False
    run: str = Field(default="", description="Its directory; chosen when the first kind begins.")

    @classmethod
    def of(cls, wish: Wish, *, dry_run: bool) -> RetrainJob:
        """Return what somebody wishes for."""
        asked = Asked(note_id=wish.note_id, discussion_id=wish.discussion_id, internal=wish.internal)
        return cls(
            key=wish.key,
            project_id=wish.ref.project_id,
            project=wish.project,
            iid=wish.ref.iid,
            asked=asked,
            language=wish.language,
            dry_run=dry_run,
        )

    @property
    def ref(self) -> MergeRequestRef | None:
        """The merge request that is told of it, if any is."""
        return MergeRequestRef(self.project_id, self.iid) if self.iid else None

    @property
    def short(self) -> str:
        """What it is called in names and markers."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]

    def order(self, kind: str) -> Order:
        """Return the work to be done. Of one project one after another."""
        payload = self.model_dump(mode="json")
        return Order(kind, f"{_prefix(kind, self.project_id)}{self.short}", payload, str(self.project_id))


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A retraining that waits or runs."""

    job: RetrainJob
    kind: str
    work: OpenWork


def open_jobs(orders: Orders, project_id: int) -> list[OpenJob]:
    """Return what waits or runs of a project. Blocks."""
    return [
        OpenJob(RetrainJob.model_validate(work.payload), kind, work)
        for kind in (PREPARE, TRAIN)
        for work in orders.open(kind, _prefix(kind, project_id))
    ]


def _prefix(kind: str, project_id: int) -> str:
    return f"{kind}:{project_id}:"
