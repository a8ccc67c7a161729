"""A whole bot in this process, against the GitLab and the engine of `bot_world`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot_world import SECRET, World

from bot.app import Bot, running
from bot.settings import BotSettings
from engine.listening import listening


def settings_for(at: World, folder: Path, **changes: Any) -> BotSettings:
    """Return the settings of a bot whose database is in `folder`."""
    values: dict[str, Any] = {
        "gitlab_url": at.fake.url,
        "gitlab_token": at.fake.bot.token,
        "engine_url": at.engine_url,
        "data_dir": folder,
        "worker": "here",
        "webhook_secrets": [SECRET],
        "poll_projects": [at.project.path],
        "poll_seconds": 600,
        "retry_seconds": 30,
    }
    return BotSettings(**values | changes)


@asynccontextmanager
async def bot_here(at: World, folder: Path, **changes: Any) -> AsyncIterator[tuple[Bot, str]]:
    """Give a running bot and its address, which the project's only hook names."""
    settings = settings_for(at, folder, **changes)
    async with running(settings) as bot, listening(bot.app, shutdown_seconds=1) as port:
        url = f"http://127.0.0.1:{port}"
        at.project.hooks.clear()
        at.fake.add_hook(at.project, f"{url}/webhook", SECRET)
        try:
            yield bot, url
        finally:
            at.project.hooks.clear()


def said_by_bot(at: World, mr: Any) -> list[str]:
    """Return what the bot's notes in a merge request say, without their markers."""
    return [note.body.rpartition("\n")[0] for note in mr.notes if note.author is at.fake.bot]
