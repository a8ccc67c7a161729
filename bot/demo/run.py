"""Puts the demo together: the fake GitLab with its page, the real bot, an engine of its own."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr

from bot.app import running
from bot.demo.sample_files import sample
from bot.demo.site import Site
from bot.demo.texts import PAGE_TEXTS
from bot.fake_gitlab import FakeGitLab
from bot.gitlab import Access
from bot.settings import BotSettings
from engine.config import CONFIG_NAME
from engine.listening import listening
from engine.wire import Language

_HOST = "127.0.0.1"
_AUTO_REVIEW = 'auto_review = ["push"]\n'


@asynccontextmanager
async def demo(port: int, language: Language, engine_url: str = "") -> AsyncIterator[str]:
    """Give the page's address; everything is gone at the end. It listens on the loopback alone."""
    texts, fake = PAGE_TEXTS[language], FakeGitLab()
    settings_file = f"language = {json.dumps(language.value)}\n{_AUTO_REVIEW}"
    project = fake.add_project("demo/shop", files={**sample("before"), CONFIG_NAME: settings_file})
    author = fake.add_person("you")
    project.members[author.id] = Access.MAINTAINER
    mr = fake.add_merge_request(
        project,
        {**sample("after"), CONFIG_NAME: settings_file},
        author=author,
        title=texts.mr_title,
        description=texts.mr_description,
        branch="export",
    )
    app = fake.app()
    Site(fake, project, mr, author, language).add_to(app)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tenken-demo-"))
        fake.url = fake.webhooks.base_url = await stack.enter_async_context(_listening(app, port))
        stack.push_async_callback(fake.webhooks.close)
        secret = secrets.token_hex(16)
        settings = BotSettings(
            gitlab_url=fake.url,
            gitlab_token=SecretStr(fake.bot.token),
            engine_url=engine_url,
            webhook_secrets=(SecretStr(secret),),
            project_secrets={},
            poll_projects=(),
            data_dir=Path(folder),
            database_url=None,
            worker="demo",
        )
        bot = await stack.enter_async_context(running(settings))
        bot_url = await stack.enter_async_context(_listening(bot.app, 0))
        fake.add_hook(project, f"{bot_url}/webhook", secret)
        yield fake.url


@asynccontextmanager
async def _listening(app: web.Application, port: int) -> AsyncIterator[str]:
    async with listening(app, _HOST, port, shutdown_seconds=1, handler_cancellation=True) as at:
        yield f"http://{_HOST}:{at}"
