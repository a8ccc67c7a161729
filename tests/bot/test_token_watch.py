"""The end of the bot's token is announced."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

import pytest
from scenes import scene
from structlog.testing import capture_logs

from bot.token_watch import WARN_DAYS, look_at_token, watch_token

TODAY = date(2026, 11, 1)


@pytest.mark.parametrize(
    ("days", "warned"), [(WARN_DAYS + 1, False), (WARN_DAYS, True), (0, True), (-1, True), (None, False)]
)
def test_few_days_are_a_warning(days: int | None, warned: bool) -> None:
    """The number is always told, the log speaks up in the last month."""
    told: list[int] = []

    async def play() -> None:
        async with scene() as stage:
            stage.fake.bot.expires_at = None if days is None else TODAY + timedelta(days=days)
            assert await look_at_token(stage.gitlab, told.append, TODAY) == days

    with capture_logs() as logs:
        asyncio.run(play())
    assert told == [days for days in (days,) if days is not None]
    assert [entry["days"] for entry in logs if entry["event"] == "gitlab.token_expires"] == (
        [days] if warned else []
    )


def test_a_server_that_does_not_answer_is_asked_the_next_day() -> None:
    """The watch never ends by itself."""
    told: list[int] = []
    slept: list[float] = []

    class Over(Exception):
        pass

    async def play() -> None:
        async with scene() as stage:
            stage.fake.bot.expires_at = TODAY
            stage.fake.bot.token, token = "revoked", stage.fake.bot.token

            async def sleep(seconds: float) -> None:
                slept.append(seconds)
                stage.fake.bot.token = token
                if len(slept) == 3:
                    raise Over

            with pytest.raises(Over):
                await watch_token(stage.gitlab, told.append, today=lambda: TODAY, sleep=sleep)

    asyncio.run(play())
    assert told == [0, 0]
    assert slept == [86_400.0] * 3
