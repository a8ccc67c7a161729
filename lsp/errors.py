"""The language server's errors, beside the engine's (`engine.errors`).

LspError
├── NoEngine        there is nothing that could review: no address, and no embedded engine
├── EmbeddedFailed  the embedded engine's process does not start, or ended
├── TimedOut        a review took longer than it may
└── UnknownProject  GitLab has no such project, or not for this token
"""

from __future__ import annotations

from engine.errors import EngineError, TenkenError


class LspError(TenkenError):
    """Base of every error the language server raises on purpose."""


class NoEngine(LspError):
    """There is nothing that could review."""


class EmbeddedFailed(LspError, EngineError):
    """The embedded engine's process does not start, or ended."""


class TimedOut(LspError):
    """A review took longer than it may."""


class UnknownProject(LspError):
    """GitLab has no such project, or not for this token."""
