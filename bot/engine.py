"""What the bot asks of the engine besides reviews: a Protocol."""

from __future__ import annotations

from typing import Protocol

from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.wire import Answer, Question


class Engine(Protocol):
    """Answers questions and keeps what people think. Raises InputError or EngineError."""

    async def ask(self, question: Question) -> Answer:
        """Return the model's answer."""

    async def record(self, feedback: Feedback) -> None:
        """Keep what somebody thinks of a finding; the same said twice is one."""

    async def roll_back(self, project: str, version: str) -> RegisteredAdapter:
        """Return the adapter that serves again: this version, or the champion before if it is empty."""

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return the adapters of a project, the newest first."""
