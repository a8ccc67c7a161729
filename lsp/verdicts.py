"""What people said of findings: hidden on this machine at once, and queued until the engine took it down.

One small file for each finding, so that editors beside each other share them and the latest word holds. They
keep fingerprints, never code.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.feedback import Feedback
from lsp.findings_cache import write_whole

_Model = TypeVar("_Model", bound=BaseModel)


class Hidden(BaseModel):
    """A finding that is not shown on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")
    project: str
    here_only: bool = Field(default=False, description="Nobody is told.")
    told: bool = Field(default=False, description="The engine knows.")


class WrongReason(StrEnum):
    """Why a finding is wrong."""

    NOT_TRUE = "notTrue"
    INTENDED = "intended"
    WRONG_LINE = "wrongLine"
    BAD_SUGGESTION = "badSuggestion"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on disk: what is hidden, and the fingerprints of what the engine has to be told."""

    hidden: Mapping[str, Hidden]
    waiting: frozenset[str]


class Verdicts:
    """What was said in one project, which may have no name; raises OSError where it cannot be kept."""

    def __init__(self, folder: Path, project: str) -> None:
        self.project = project
        name = hashlib.sha256(project.encode()).hexdigest()[:16]
        self._hidden_folder = folder / "hidden" / name
        self._queue = folder / "queue" / name
        self._hidden: dict[str, Hidden] = {}
        self._waiting: set[str] = set()
        self._turn = threading.RLock()  # a thread tells the engine while a person goes on
        self._telling = ""  # the fingerprint of what the engine may know by now
        self.stamp = 0
        """Another one after each word said here."""
        self.take(self.read(), self.stamp)

    def read(self) -> Kept:
        """Return what is on disk, also by editors beside this one. Any thread may ask."""
        found = (_read(path, Hidden) for path in _files(self._hidden_folder))
        hidden = {entry.fingerprint: entry for entry in found if entry is not None}
        return Kept(hidden, frozenset(path.stem for path in _files(self._queue)))

    def take(self, kept: Kept, stamp: int) -> bool:
        """Take what was read, unless something was said since; return whether other findings are hidden."""
        if stamp != self.stamp:
            return False
        before, self._hidden, self._waiting = self._hidden, dict(kept.hidden), set(kept.waiting)
        return before.keys() != self._hidden.keys()

    @property
    def hidden(self) -> Collection[str]:
        """The fingerprints of what is not shown."""
        return self._hidden

    def hide_here(self, fingerprint: str) -> None:
        """Hide a finding on this machine alone."""
        with self._turn:
            self._hide(Hidden(fingerprint=fingerprint, project=self.project, here_only=True))

    def say(self, feedback: Feedback) -> None:
        """Queue what was said, and hide the finding if that is what it means."""
        with self._turn:
            if feedback.verdict.suppresses:
                before = self._hidden.get(feedback.fingerprint)
                told = before is not None and before.told
                self._hide(Hidden(fingerprint=feedback.fingerprint, project=self.project, told=told))
            self._queue_up(feedback)

    def undo(self, fingerprint: str, taken_back: Feedback) -> bool:
        """Show a finding again; return whether it was hidden. The engine is told if it knows, or may know."""
        with self._turn:
            self.stamp += 1
            entry = self._hidden.pop(fingerprint, None)
            (self._hidden_folder / f"{fingerprint}.json").unlink(missing_ok=True)
            if entry is None or entry.here_only:
                return entry is not None
            if entry.told or fingerprint == self._telling:
                self._queue_up(taken_back)
            else:
                self._unqueue(fingerprint)
            return True

    def queued(self) -> Iterator[Feedback]:
        """Yield what the engine has to be told."""
        found = (_read(path, Feedback) for path in _files(self._queue))
        return (entry for entry in found if entry is not None)

    def count(self) -> int:
        """Return how much the engine has to be told."""
        return len(self._waiting)

    @contextmanager
    def telling(self, feedback: Feedback) -> Iterator[None]:
        """Remember while inside that the engine may know this already."""
        with self._turn:
            self._telling = feedback.fingerprint
        try:
            yield
        finally:
            with self._turn:
                self._telling = ""

    def told(self, feedback: Feedback) -> None:
        """Take from the queue what the engine took down, unless something else was said meanwhile."""
        with self._turn:
            if _read(self._queue / f"{feedback.fingerprint}.json", Feedback) == feedback:
                self._unqueue(feedback.fingerprint)
            if entry := self._hidden.get(feedback.fingerprint):
                self._hide(entry.model_copy(update={"told": True}))

    def _queue_up(self, feedback: Feedback) -> None:
        self.stamp += 1
        _write(self._queue / f"{feedback.fingerprint}.json", feedback)
        self._waiting.add(feedback.fingerprint)

    def _unqueue(self, fingerprint: str) -> None:
        self.stamp += 1
        (self._queue / f"{fingerprint}.json").unlink(missing_ok=True)
        self._waiting.discard(fingerprint)

    def _hide(self, entry: Hidden) -> None:
        self.stamp += 1
        self._hidden[entry.fingerprint] = entry
        _write(self._hidden_folder / f"{entry.fingerprint}.json", entry)


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(folder.glob("*.json"))
    return []


def _read(path: Path, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, entry: BaseModel) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(path, entry.model_dump_json().encode())
