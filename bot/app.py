"""Builds the real objects and wires them: settings in, a running bot out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from bot.database import Database, database_url
from bot.decisions import Identity, Rules, decide
from bot.durable import Durable, DurableOptions
from bot.engine_client import EngineAddress, EngineClient
from bot.errand_queue import order_for, orders_for
from bot.errands import Errand
from bot.gitlab import GitLab
from bot.gitlab_client import PythonGitLab
from bot.gitlab_connection import ConnectionOptions
from bot.handlers.catalogue import COMMANDS
from bot.inbox import Inbox
from bot.janitor import Janitor
from bot.kinds import errand_kind, review_kind
from bot.local_engine import local_engine
from bot.memory import Memories
from bot.metrics import Metrics
from bot.pages import make_app
from bot.permissions import read_access
from bot.polling import Poller
from bot.projects import GitLabProjects
from bot.registry import Ports, Registry
from bot.review_queue import ReviewQueue
from bot.review_run import ReviewRuns, RunOptions, RunPorts
from bot.reviewer import EngineReviewer
from bot.settings import BotSettings
from bot.signatures import Secrets, read_secrets
from bot.token_watch import watch_token
from bot.watermarks import StoredWatermarks
from bot.webhook import Receiver
from bot.work import patiently
from bot.workers import only_one
from engine.client import HttpOptions
from engine.connecting import proxy_for
from engine.errors import ConfigError

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bot:
    """A running bot."""

    app: web.Application
    durable: Durable
    inbox: Inbox
    metrics: Metrics


def gitlab_options(settings: BotSettings) -> ConnectionOptions:
    """Return how to reach GitLab; raises ConfigError naming what is not set."""
    if not settings.gitlab_url:
        raise ConfigError("BOT_GITLAB_URL: not set; it is the address of GitLab")
    if settings.gitlab_token is None:
        raise ConfigError("BOT_GITLAB_TOKEN: not set; it is an access token of the bot, scope api")
    return ConnectionOptions(
        settings.gitlab_url, settings.gitlab_token.get_secret_value(), settings.gitlab_ca_file
    )


def secrets_of(settings: BotSettings) -> Secrets:
    """Return what webhooks are known by; raises ConfigError where nothing gets in at all."""
    if not (settings.webhook_secrets or settings.project_secrets or settings.poll_projects):
        raise ConfigError(
            "BOT_WEBHOOK_SECRETS: not set, nor BOT_POLL_PROJECTS: without either the bot hears of nothing"
        )
    return read_secrets(settings.webhook_secrets, settings.project_secrets)


@asynccontextmanager
async def running(settings: BotSettings) -> AsyncIterator[Bot]:
    """Run the bot while inside; it listens to nobody yet."""
    secrets, options = secrets_of(settings), gitlab_options(settings)
    read_access(settings.access, COMMANDS)  # before anything is started
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(settings.worker, settings.data_dir.expanduser()))
        given = settings.database_url.get_secret_value() if settings.database_url else None
        database = Database(database_url(given, settings.data_dir))
        stack.callback(database.close)
        gitlab = PythonGitLab.connect(options)
        stack.push_async_callback(gitlab.close)
        address = await stack.enter_async_context(_engine(settings))
        client = await stack.enter_async_context(EngineClient(address))
        yield await _wired(stack, settings, secrets, database, gitlab, address, client)


async def _wired(
    stack: AsyncExitStack,
    settings: BotSettings,
    secrets: Secrets,
    database: Database,
    gitlab: GitLab,
    address: EngineAddress,
    client: EngineClient,
) -> Bot:
    me = await patiently(gitlab.me, settings.retry_seconds)
    registry = Registry(COMMANDS, read_access(settings.access, COMMANDS))
    ignored = frozenset(name.lower() for name in settings.ignored_users)
    rules = Rules(Identity(me.id, me.username), registry.grammar, ignored)
    projects, memories, metrics = GitLabProjects(gitlab), Memories(database), Metrics()

    async def saw(errand: Errand) -> None:
        await poller.saw(errand.project_id)

    async def store(errands: Sequence[Errand]) -> object:
        return await inbox.submit([order_for(errand) for errand in errands])

    ports = Ports(gitlab, ReviewQueue(lambda: durable.orders), client, projects, me)
    reviewer = EngineReviewer(address.url, _http_options(address))
    runs = ReviewRuns(
        RunPorts(gitlab, projects, reviewer, memories),
        RunOptions(settings.review_seconds, settings.commit_status),
    )
    durable = Durable(
        database,
        (errand_kind(ports, registry, saw), review_kind(runs, settings.reviews)),
        DurableOptions(settings.worker, settings.silent_seconds, settings.retry_seconds),
        metrics.ended,
    )
    inbox = Inbox(lambda orders: durable.orders.store(orders), lambda delivery: orders_for(delivery, rules))
    poller = Poller(gitlab, rules, projects, StoredWatermarks(database), store, settings.poll_projects)
    janitor = Janitor(durable, memories, settings.keep_days)
    receiver = Receiver(
        inbox, secrets, lambda event: decide(event, rules).ignored, settings.max_body_mib * 2**20
    )
    await durable.start()
    stack.push_async_callback(durable.stop)
    await stack.enter_async_context(inbox)
    await asyncio.to_thread(janitor.round)
    loops = {
        "janitor": janitor.run(),
        "poller": poller.run(settings.poll_seconds),
        "token": watch_token(gitlab, metrics.token_expires),
    }
    await stack.enter_async_context(_running(loops))
    _log.info("bot.running", user=me.username, worker=settings.worker, engine=address.url)
    return Bot(make_app(receiver.receive, durable, metrics), durable, inbox, metrics)


@asynccontextmanager
async def _engine(settings: BotSettings) -> AsyncIterator[EngineAddress]:
    if not settings.engine_url:
        async with local_engine() as address:
            yield address
        return
    token = settings.engine_token.get_secret_value() if settings.engine_token else ""
    yield EngineAddress(settings.engine_url, token, settings.engine_ca_file)


@asynccontextmanager
async def _running(loops: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run endless loops while inside; one that ends by itself is a fault, and is not overlooked."""
    tasks = [asyncio.create_task(loop, name=name) for name, loop in loops.items()]
    for task in tasks:
        task.add_done_callback(_tell_of_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell_of_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("loop.ended", name=task.get_name(), error=type(error).__name__)


def _http_options(address: EngineAddress) -> HttpOptions:
    return HttpOptions(token=address.token, ca_file=address.ca_file, proxy=proxy_for(address.url), attempts=2)
