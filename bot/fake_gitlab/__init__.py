"""A strict GitLab over HTTP for tests and for `tenken-bot demo`: keeps state, checks requests, sends events.

It refuses more than a real server does, and runs more of what looks like a quick action.
"""

from __future__ import annotations

from bot.fake_gitlab.faults import Fault, FaultKind
from bot.fake_gitlab.options import Options
from bot.fake_gitlab.server import FakeGitLab
from bot.fake_gitlab.state import Account, StoredMergeRequest, StoredProject

__all__ = ["Account", "FakeGitLab", "Fault", "FaultKind", "Options", "StoredMergeRequest", "StoredProject"]
