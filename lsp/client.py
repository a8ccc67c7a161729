"""What the server says to its client, as far as a session needs it. `lsp.editor` says it, tests listen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Protocol


class Tone(Enum):
    """How a message is meant, by its number in the protocol."""

    ERROR = 1
    WARNING = 2
    INFO = 3


class Progress(Protocol):
    """Work that is shown while it goes on."""

    def report(self, message: str, percent: int | None) -> None:
        """Say how far it is."""

    def end(self, message: str) -> None:
        """Say that it is over. Idempotent."""


class Client(Protocol):
    """An editor."""

    def send(self, notification: str) -> None:
        """Send a notification that is JSON already."""

    def status(self, status: Mapping[str, object]) -> None:
        """Show the status, where the editor does."""

    def message(self, tone: Tone, text: str) -> None:
        """Show a message."""

    def progress(self, title: str, cancelled: Callable[[], None]) -> Progress:
        """Show that work begins; `cancelled` is called when a person stops it."""

    async def choose(self, text: str, choices: Sequence[str]) -> int | None:
        """Have a person choose; None where they don't, or where the editor cannot ask."""

    async def show(self, title: str, markdown: str) -> None:
        """Show a text."""

    async def open(self, url: str) -> bool:
        """Open an address in a browser, and return whether the editor could."""

    def refresh(self) -> None:
        """Have the editor ask for diagnostics again, where it pulls them."""
