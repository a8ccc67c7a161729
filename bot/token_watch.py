"""Warns before the bot's token expires. GitLab lets none live longer than a year; then all goes silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import structlog

from bot.errors import GitLabError
from bot.gitlab import GitLab

WARN_DAYS = 30

_DAY_SECONDS = 86_400.0
_log = structlog.get_logger()


def _today() -> date:
    return datetime.now(UTC).date()


async def watch_token(
    gitlab: GitLab,
    tell: Callable[[int], None],
    *,
    today: Callable[[], date] = _today,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Look at the token every day, for ever: `tell` the days that are left, and log where these are few."""
    while True:
        try:
            await look_at_token(gitlab, tell, today())
        except GitLabError as error:
            _log.warning("gitlab.token_unknown", error=str(error))
        await sleep(_DAY_SECONDS)


async def look_at_token(gitlab: GitLab, tell: Callable[[int], None], today: date) -> int | None:
    """Return the days that are left, None for a token that does not expire."""
    token = await gitlab.token()
    days = token.days_left(today)
    if days is not None:
        tell(days)
        if days <= WARN_DAYS:
            _log.warning("gitlab.token_expires", name=token.name, days=days)
    return days
