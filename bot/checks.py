"""Whether a bot with these settings would work, and what to do where not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException

from bot.addresses import engine_address
from bot.check_texts import ENGLISH, CheckTexts
from bot.database import Database, database_url
from bot.engine_client import EngineClient
from bot.errors import GitLabRefused, TokenRefused
from bot.gitlab import Access, GitLab, Hook
from bot.projects import project_key
from bot.settings import BotSettings
from bot.token_watch import WARN_DAYS
from engine.connecting import Address, Connect, proxy_for
from engine.doctor import Check, Health
from engine.errors import TenkenError, Unreachable
from engine.models import installed_package
from engine.version import tool_version

HOOK_EVENTS = ("note_events", "confidential_note_events", "merge_requests_events", "emoji_events")
OLDEST = (16, 4)
"""Of GitLab: older servers know no comments on whole files, and work with notes instead."""

_MOST_SECONDS_OFF = 60
_EXECUTABLE = "executable"


async def examine(settings: BotSettings, gitlab: GitLab, texts: CheckTexts = ENGLISH) -> AsyncIterator[Check]:
    """Yield all checks, in the order to read them."""
    yield Check("tenken-bot", Health.OK, tool_version())
    yield await _tried("database", texts.database_advice, lambda: _database(settings))
    advice = texts.gitlab_advice
    there = await _tried("GitLab", advice, lambda: _gitlab(settings, gitlab, texts))
    yield there
    if there.health is not Health.PROBLEM:  # else what follows would only say so again
        yield await _tried("clock", advice, lambda: _clock(settings, texts))
        yield await _tried("token", texts.token_renew, lambda: _token(gitlab, texts))
    yield await _tried("engine", texts.engine_advice, lambda: _engine(settings, texts))
    for name in settings.poll_projects if there.health is not Health.PROBLEM else ():
        yield await _tried(name, texts.project_advice, partial(_project, name, gitlab, texts))


async def _tried(name: str, advice: str, check: Callable[[], Awaitable[Check]]) -> Check:
    try:
        return await check()
    except TenkenError as error:
        return Check(name, Health.PROBLEM, str(error), advice)


async def _database(settings: BotSettings) -> Check:
    given = settings.database_url.get_secret_value() if settings.database_url else None
    database = Database(database_url(given, settings.data_dir))
    try:
        await asyncio.to_thread(database.create)
        return Check("database", Health.OK, database.place)
    finally:
        database.close()


async def _gitlab(settings: BotSettings, gitlab: GitLab, texts: CheckTexts) -> Check:
    try:
        version = await gitlab.version()
    except TokenRefused:  # it answers; what is wrong is said of the token
        return Check("GitLab", Health.OK, settings.gitlab_url)
    detail = texts.gitlab.format(url=settings.gitlab_url, version=version)
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        advice = texts.gitlab_old_advice.format(oldest=".".join(map(str, OLDEST)))
        return Check("GitLab", Health.ABSENT, detail, advice)
    return Check("GitLab", Health.OK, detail)


async def _clock(settings: BotSettings, texts: CheckTexts) -> Check:
    off = await asyncio.to_thread(_seconds_off, settings)
    said = texts.clock_behind if off > 0 else texts.clock_ahead
    detail = said.format(seconds=f"{abs(off):.0f}")
    if abs(off) > _MOST_SECONDS_OFF:
        return Check("clock", Health.PROBLEM, detail, texts.clock_advice)
    return Check("clock", Health.OK, detail)


def _seconds_off(settings: BotSettings) -> float:
    """Return how many seconds GitLab's clock is ahead of ours."""
    connect = Connect(
        Address.parse(settings.gitlab_url), settings.gitlab_ca_file, proxy_for(settings.gitlab_url)
    )
    try:
        connection = connect()
        try:
            connection.request("HEAD", connect.target("/api/v4/version"), headers=connect.headers)
            said = connection.getresponse().headers.get("Date", "")
        finally:
            connection.close()
        return parsedate_to_datetime(said).timestamp() - time.time()
    except (OSError, HTTPException) as error:
        raise Unreachable(f"cannot reach {settings.gitlab_url}: {error}") from error
    except ValueError as error:
        raise Unreachable(f"{settings.gitlab_url} does not say what time it is") from error


async def _token(gitlab: GitLab, texts: CheckTexts) -> Check:
    token, me = await gitlab.token(), await gitlab.me()
    days = token.days_left(datetime.now(UTC).date())
    said = texts.token_forever if days is None else texts.token_days
    detail = said.format(name=me.username, scopes=", ".join(token.scopes), days=days)
    if "api" not in token.scopes:
        return Check("token", Health.PROBLEM, detail, texts.token_scope)
    if days is not None and days <= WARN_DAYS:
        return Check("token", Health.PROBLEM, detail, texts.token_rotate)
    return Check("token", Health.OK, detail)


async def _engine(settings: BotSettings, texts: CheckTexts) -> Check:
    if not settings.engine_url:
        return Check("engine", Health.OK, texts.engine_own.format(model=installed_package().MODEL_NAME))
    async with EngineClient(engine_address(settings)) as client:
        if not await client.is_ready():
            detail = texts.engine_not_ready.format(url=settings.engine_url)
            return Check("engine", Health.PROBLEM, detail, texts.engine_log)
        await client.require_access()
    return Check("engine", Health.OK, settings.engine_url)


async def _project(name: str, gitlab: GitLab, texts: CheckTexts) -> Check:
    project = await gitlab.project(project_key(name))
    access = await gitlab.access_level(project.id, (await gitlab.me()).id)
    if access < Access.DEVELOPER:
        return Check(name, Health.PROBLEM, texts.project_role, texts.project_role_advice)
    try:
        hooks = [hook for hook in await gitlab.hooks(project.id) if hook.url.endswith("/webhook")]
    except GitLabRefused:
        return Check(name, Health.OK, texts.project_hooks_hidden)
    faults = [fault for hook in hooks if (fault := hook_fault(hook, texts))]
    if faults:
        return Check(name, Health.PROBLEM, "; ".join(faults), texts.hook_advice)
    return Check(name, Health.OK, texts.project_hooks.format(count=len(hooks)))


def hook_fault(hook: Hook, texts: CheckTexts = ENGLISH) -> str:
    """Return what is wrong with a hook for the bot, or ""."""
    if hook.alert_status != _EXECUTABLE:
        return texts.hook_off.format(url=hook.url, status=hook.alert_status)
    missing = [name for name in HOOK_EVENTS if not hook.events.get(name)]
    return texts.hook_silent.format(url=hook.url, events=", ".join(missing)) if missing else ""
