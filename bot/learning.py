"""The port to retraining: `/retrain` and `/rollback` call it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bot.gitlab import MergeRequestRef
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants something for which project, and where the answer goes."""

    key: str  # the same for the same wish, which is then done once
    project: str  # its path, by which the engine knows it
    ref: MergeRequestRef
    note_id: int
    discussion_id: str
    internal: bool
    user_id: int
    username: str
    language: Language


class Learning(Protocol):
    """Makes adapters out of a project's history. What each returns is the answer, in Markdown.

    Each raises CommandRefused, with the reason as the answer, where it is not done now.
    """

    async def retrain(self, wish: Wish, *, dry_run: bool) -> str:
        """Begin to train a candidate; with `dry_run` only say what it would be trained on, and how long."""

    async def status(self, wish: Wish) -> str:
        """Say how far the training is."""

    async def cancel(self, wish: Wish) -> str:
        """End the training."""

    async def roll_back(self, wish: Wish, version: str) -> str:
        """Return to this version, or to the champion before if it is empty."""
