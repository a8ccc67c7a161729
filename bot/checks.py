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


async def examine(settings: BotSettings, gitlab: GitLab) -> AsyncIterator[Check]:
    """Yield all checks, in the order to read them."""
    yield Check("tenken-bot", Health.OK, tool_version())
    yield await _tried("database", "mend BOT_DATABASE_URL or BOT_DATA_DIR", lambda: _database(settings))
    advice = "mend BOT_GITLAB_URL or BOT_GITLAB_CA_FILE"
    there = await _tried("GitLab", advice, lambda: _gitlab(settings, gitlab))
    yield there
    if there.health is not Health.PROBLEM:  # else what follows would only say so again
        yield await _tried("clock", advice, lambda: _clock(settings))
        renew = "make a new one with the scope api: BOT_GITLAB_TOKEN"
        yield await _tried("token", renew, lambda: _token(gitlab))
    yield await _tried(
        "engine", "mend BOT_ENGINE_URL, BOT_ENGINE_TOKEN or the engine", lambda: _engine(settings)
    )
    for name in settings.poll_projects if there.health is not Health.PROBLEM else ():
        advice = "make the bot a member with the role Developer; hooks: tenken-bot register"
        yield await _tried(name, advice, partial(_project, name, gitlab))


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


async def _gitlab(settings: BotSettings, gitlab: GitLab) -> Check:
    try:
        version = await gitlab.version()
    except TokenRefused:  # it answers; what is wrong is said of the token
        return Check("GitLab", Health.OK, settings.gitlab_url)
    detail = f"{settings.gitlab_url}, version {version}"
    numbers = tuple(int(part) for part in version.split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        return Check("GitLab", Health.ABSENT, detail, f"from {'.'.join(map(str, OLDEST))} on, findings that "
                     "belong to no line stand at their file")  # fmt: skip
    return Check("GitLab", Health.OK, detail)


async def _clock(settings: BotSettings) -> Check:
    off = await asyncio.to_thread(_seconds_off, settings)
    detail = f"{abs(off):.0f} s {'behind' if off > 0 else 'ahead of'} GitLab's"
    if abs(off) > _MOST_SECONDS_OFF:
        return Check("clock", Health.PROBLEM, detail, "set it by NTP: signed webhooks are refused else")
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


async def _token(gitlab: GitLab) -> Check:
    token, me = await gitlab.token(), await gitlab.me()
    days = token.days_left(datetime.now(UTC).date())
    detail = f"of @{me.username}, scopes {', '.join(token.scopes)}, " + (
        "does not expire" if days is None else f"{days} days left"
    )
    if "api" not in token.scopes:
        return Check("token", Health.PROBLEM, detail, "make a new one with the scope api")
    if days is not None and days <= WARN_DAYS:
        return Check("token", Health.PROBLEM, detail, "rotate it before it expires")
    return Check("token", Health.OK, detail)


async def _engine(settings: BotSettings) -> Check:
    if not settings.engine_url:
        return Check("engine", Health.OK, f"one of its own, with {installed_package().MODEL_NAME}")
    async with EngineClient(engine_address(settings)) as client:
        if not await client.is_ready():
            return Check("engine", Health.PROBLEM, f"{settings.engine_url} is not ready", "look into its log")
        await client.require_access()
    return Check("engine", Health.OK, settings.engine_url)


async def _project(name: str, gitlab: GitLab) -> Check:
    project = await gitlab.project(project_key(name))
    access = await gitlab.access_level(project.id, (await gitlab.me()).id)
    if access < Access.DEVELOPER:
        return Check(name, Health.PROBLEM, "the bot is no Developer there", "give it the role Developer")
    try:
        hooks = [hook for hook in await gitlab.hooks(project.id) if hook.url.endswith("/webhook")]
    except GitLabRefused:
        return Check(name, Health.OK, "polled; its hooks are only shown to Maintainers")
    faults = [fault for hook in hooks if (fault := hook_fault(hook))]
    if faults:
        return Check(name, Health.PROBLEM, "; ".join(faults), "mend the hook in GitLab")
    return Check(name, Health.OK, f"polled, {len(hooks)} webhooks")


def hook_fault(hook: Hook) -> str:
    """Return what is wrong with a hook for the bot, or ""."""
    if hook.alert_status != _EXECUTABLE:
        return f"{hook.url}: {hook.alert_status}, as it failed too often"
    missing = [name for name in HOOK_EVENTS if not hook.events.get(name)]
    return f"{hook.url}: does not send {', '.join(missing)}" if missing else ""
