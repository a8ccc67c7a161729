"""The bot's errors, one small tree beside the engine's (`engine.errors`).

BotError
├── GitLabError           GitLab did not do what it was asked for
│   ├── GitLabUnavailable   no usable answer: not reached, timed out, 5xx, sent elsewhere
│   │   └── RateLimited       429 until patience ran out (carries the seconds to wait)
│   └── GitLabRefused       an answer that says no (carries status and message)
│       ├── TokenRefused      401: the bot's token is wrong, expired or revoked
│       └── NotFound          404: no such object, or none the token may see
├── EventError            a webhook's payload cannot be read (names the key)
├── Superseded            the work is no longer wanted: a newer request took its place
└── CommandRefused        what a command asked for is not done; its text is the reply

What is GitLabUnavailable may be tried again later; what is GitLabRefused will be refused again.
"""

from __future__ import annotations

from engine.errors import TenkenError


class BotError(TenkenError):
    """Base of every error the bot raises on purpose."""


class GitLabError(BotError):
    """GitLab did not do what it was asked for."""


class GitLabUnavailable(GitLabError):
    """GitLab gave no usable answer; a write may or may not have happened."""

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status  # of an answer, if there was one
        super().__init__(message)


class RateLimited(GitLabUnavailable):
    """GitLab asks for patience: nothing was done; come again in `retry_after` seconds."""

    def __init__(self, retry_after: float, *, guessed: bool = False) -> None:
        self.retry_after = retry_after
        self.guessed = guessed  # GitLab did not say for how long
        super().__init__(f"GitLab limits the rate of requests; try again in {retry_after:.0f} s", 429)


class GitLabRefused(GitLabError):
    """GitLab says no, and would say so again."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"GitLab answers {status}: {message}")


class TokenRefused(GitLabRefused):
    """GitLab does not accept the bot's token."""


class NotFound(GitLabRefused):
    """There is no such object, or none that the token may see."""


class EventError(BotError):
    """A webhook's payload cannot be read."""


class Superseded(BotError):
    """A newer request took the place of this work; nothing more may be written for it."""


class CommandRefused(BotError):
    """What a command asked for is not done; the text says why and becomes the bot's reply."""
