"""A conversation: what every format of supervised data says in its own way. Values and their rules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody says."""

    role: Role
    text: str


class BadTurn(ValueError):
    """A conversation that cannot be trained on; `place` is the number of the turn, counted from 0."""

    def __init__(self, place: int, reason: str) -> None:
        self.place = place
        self.reason = reason
        super().__init__(f"turn {place}: {reason}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order; the last is the assistant's."""

    turns: tuple[Turn, ...]

    @classmethod
    def of(cls, turns: tuple[Turn, ...]) -> Conversation:
        """Return the conversation. Raises BadTurn unless user and assistant take turns and say something."""
        start = 1 if turns and turns[0].role is Role.SYSTEM else 0
        for place, turn in enumerate(turns):
            wanted = Role.SYSTEM if place < start else (Role.USER, Role.ASSISTANT)[(place - start) % 2]
            if turn.role is not wanted:
                raise BadTurn(place, f"a turn of the {wanted} belongs here, not one of the {turn.role}")
            if not turn.text.strip():
                raise BadTurn(place, "says nothing")
        if len(turns) <= start or turns[-1].role is not Role.ASSISTANT:
            raise BadTurn(max(len(turns) - 1, 0), "the assistant has to have the last word")
        return cls(turns)

    @property
    def system(self) -> str:
        """What is said before anything else, or ""."""
        return self.turns[0].text if self.turns[0].role is Role.SYSTEM else ""

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Each question with its answer."""
        spoken = [turn.text for turn in self.turns if turn.role is not Role.SYSTEM]
        return tuple(zip(spoken[::2], spoken[1::2], strict=True))

    @classmethod
    def of_pairs(cls, pairs: tuple[tuple[str, str], ...], system: str = "") -> Conversation:
        """Return the conversation of questions and answers."""
        turns = [Turn(Role.SYSTEM, system)] if system else []
        for question, answer in pairs:
            turns += [Turn(Role.USER, question), Turn(Role.ASSISTANT, answer)]
        return cls.of(tuple(turns))
