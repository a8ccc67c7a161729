"""What the bot asks of the engine besides reviews: a Protocol and its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.feedback import Feedback
from engine.lifecycle import RegisteredAdapter
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class Question:
    """A question about code."""

    text: str
    project: str
    language: Language
    path: str = ""
    first_line: int = 1  # the number of the first line of `code`
    code: str = ""
    lines: tuple[int, int] | None = None  # which of them are meant
    diff: str = ""  # instead of code, where the question is about a whole change
    finding: str = ""  # the message that it is about


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says. Its text is as untrusted as any of the model's."""

    text: str
    base_model: str = ""
    adapter: str = ""
    truncated: bool = False  # where no more fits
    left_out: bool = False  # code around the lines, or a part of the diff, was too long to read


class Engine(Protocol):
    """Answers questions and keeps what people think. Raises InputError or EngineError."""

    async def ask(self, question: Question) -> Answer:
        """Return the model's answer."""

    async def record(self, feedback: Feedback) -> None:
        """Keep what somebody thinks of a finding; the same said twice is one."""

    async def adapters(self, project: str) -> tuple[RegisteredAdapter, ...]:
        """Return the adapters of a project, the newest first."""
