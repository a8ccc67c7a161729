"""Builds the real objects and wires them: settings in, a running bot out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import structlog
from aiohttp import web

from bot.addresses import engine_address, gitlab_options, review_options
from bot.database import Database, database_url
from bot.decisions import Identity, Rules, decide
from bot.device import shared_device
from bot.drafts import StoredDrafts
from bot.durable import Durable, DurableOptions
from bot.engine_client import EngineAddress, EngineClient
from bot.errand_queue import order_for, orders_for
from bot.errands import Errand
from bot.events import Event
from bot.gitlab import GitLab, User
from bot.gitlab_client import PythonGitLab
from bot.handlers.catalogue import COMMANDS
from bot.inbox import Inbox
from bot.janitor import Janitor
from bot.kinds import errand_kind, review_kind
from bot.local_engine import local_engine
from bot.memory import Memories
from bot.metrics import Metrics
from bot.nightly import Nightly
from bot.orders import Orders
from bot.pages import make_app
from bot.permissions import read_access
from bot.polling import Poller
from bot.projects import GitLabProjects
from bot.registry import Ports, Registry, own_device
from bot.retrain_run import RetrainRuns
from bot.retrain_setup import require_sound, retrain_options, trainer_options
from bot.retraining import Retraining
from bot.review_queue import ReviewQueue
from bot.review_run import ReviewRuns, RunOptions, RunPorts
from bot.reviewer import EngineReviewer
from bot.settings import BotSettings
from bot.signatures import Secrets, read_secrets
from bot.status.collect import Collector
from bot.status.site import StatusSite
from bot.token_watch import watch_token
from bot.trainer import Trainer
from bot.waiting import WaitingNotes
from bot.watermarks import StoredWatermarks
from bot.webhook import Receiver
from bot.work import patiently
from bot.workers import only_one
from engine.errors import ConfigError

_T = TypeVar("_T")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bot:
    """A running bot."""

    app: web.Application
    durable: Durable
    inbox: Inbox
    metrics: Metrics


def secrets_of(settings: BotSettings) -> Secrets:
    """Return what webhooks are known by; raises ConfigError where nothing gets in at all."""
    if not (settings.webhook_secrets or settings.project_secrets or settings.poll_projects):
        raise ConfigError(
            "BOT_WEBHOOK_SECRETS: not set, nor BOT_POLL_PROJECTS: without either the bot hears of nothing"
        )
    return read_secrets(settings.webhook_secrets, settings.project_secrets)


@asynccontextmanager
async def running(settings: BotSettings, stop: asyncio.Event | None = None) -> AsyncIterator[Bot]:
    """Run the bot while inside; it listens to nobody yet.

    Raises CancelledError where `stop` comes while GitLab is waited for.
    """
    secrets, options = secrets_of(settings), gitlab_options(settings)
    require_sound(settings)
    registry = Registry(COMMANDS, read_access(settings.access, COMMANDS))
    async with AsyncExitStack() as stack:
        stack.enter_context(only_one(settings.worker, settings.data_dir.expanduser()))
        given = settings.database_url.get_secret_value() if settings.database_url else None
        database = Database(database_url(given, settings.data_dir))
        stack.callback(database.close)
        gitlab = PythonGitLab.connect(options)
        stack.push_async_callback(gitlab.close)
        address = await stack.enter_async_context(_engine(settings))
        client = await stack.enter_async_context(EngineClient(address))
        me = await _unless(stop or asyncio.Event(), patiently(gitlab.me, settings.retry_seconds))
        trainer = Trainer(trainer_options(settings, options, address))
        outside = _Outside(settings, secrets, database, gitlab, address, client, me, registry, trainer)
        yield await _wired(stack, outside)


async def _unless(stop: asyncio.Event, act: Coroutine[Any, Any, _T]) -> _T:
    """Return what `act` gives; raises CancelledError where `stop` comes first."""
    doing, stopping = asyncio.create_task(act), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((doing, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise asyncio.CancelledError
        return doing.result()
    finally:
        doing.cancel()
        stopping.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Outside:
    """What the bot's own parts are put between."""

    settings: BotSettings
    secrets: Secrets
    database: Database
    gitlab: GitLab
    address: EngineAddress
    client: EngineClient
    me: User
    registry: Registry
    trainer: Trainer


async def _wired(stack: AsyncExitStack, outside: _Outside) -> Bot:
    """Make the parts, and start those that run."""
    settings, gitlab, database = outside.settings, outside.gitlab, outside.database
    projects, memories, metrics = GitLabProjects(gitlab), Memories(database), Metrics()
    rules = _rules(outside)

    async def saw(errand: Errand) -> None:
        await poller.saw(errand.project_id, datetime.fromtimestamp(errand.received / 1000, UTC))

    async def store(errands: Sequence[Errand]) -> object:
        return await inbox.submit([order_for(errand) for errand in errands])

    trainer = outside.trainer
    learning = _learning(outside, lambda: durable.orders)
    device = shared_device(lambda: durable.leases, settings.device) if settings.device else own_device
    queue = ReviewQueue(lambda: durable.orders)
    ports = Ports(gitlab, queue, outside.client, projects, outside.me, learning, device)
    kinds = (
        errand_kind(ports, outside.registry, saw),
        review_kind(_review_runs(outside, projects, memories), settings.reviews, settings.device),
        *RetrainRuns(gitlab, trainer, lambda: durable.orders).kinds(settings.device),
    )
    options = DurableOptions(settings.worker, settings.silent_seconds, settings.retry_seconds)
    durable = Durable(database, kinds, options, metrics.ended)
    inbox = Inbox(lambda orders: durable.orders.store(orders), lambda delivery: orders_for(delivery, rules))
    marks, drafts = StoredWatermarks(database), StoredDrafts(database)
    poller = Poller(gitlab, rules, projects, marks, drafts, store, settings.poll_projects)
    janitor = Janitor(durable, memories, settings.keep_days)
    await durable.start()
    stack.push_async_callback(durable.stop)
    await stack.enter_async_context(inbox)
    await asyncio.to_thread(janitor.round)
    loops = {
        "janitor": janitor.run(),
        "poller": poller.run(settings.poll_seconds),
        "waiting": WaitingNotes(durable, gitlab, projects, settings.device).run(),
        "token": watch_token(gitlab, metrics.token_expires),
    }
    if settings.retrain and settings.retrain_at:
        night = Nightly(
            gitlab, projects, lambda: durable.orders, settings.retrain_at, settings.retrain_nightly
        )
        loops["nightly"] = night.run()
    await stack.enter_async_context(_running(loops))
    _log.info("bot.running", user=outside.me.username, worker=settings.worker, engine=outside.address.url)
    ignored = partial(_ignored, rules)
    receiver = Receiver(inbox, outside.secrets, ignored, settings.max_body_mib * 2**20)
    app = make_app(receiver.receive, durable, metrics)
    token = settings.status_token.get_secret_value() if settings.status_token else None
    collector = Collector(durable, gitlab, outside.client, marks, trainer)
    StatusSite(collector, settings.gitlab_url, token).add_to(app)
    return Bot(app, durable, inbox, metrics)


def _learning(outside: _Outside, orders: Callable[[], Orders]) -> Retraining:
    options = retrain_options(outside.settings, outside.address)
    return Retraining(orders, outside.gitlab, outside.client, outside.trainer, options)


def _rules(outside: _Outside) -> Rules:
    ignored = frozenset(name.lower() for name in outside.settings.ignored_users)
    return Rules(Identity(outside.me.id, outside.me.username), outside.registry.grammar, ignored)


def _ignored(rules: Rules, event: Event) -> str:
    return decide(event, rules).ignored


def _review_runs(outside: _Outside, projects: GitLabProjects, memories: Memories) -> ReviewRuns:
    reviewer = EngineReviewer(outside.address.url, review_options(outside.address))
    ports = RunPorts(outside.gitlab, projects, reviewer, memories)
    return ReviewRuns(ports, RunOptions(outside.settings.review_seconds, outside.settings.commit_status))


@asynccontextmanager
async def _engine(settings: BotSettings) -> AsyncIterator[EngineAddress]:
    if not settings.engine_url:
        async with local_engine() as address:
            yield address
        return
    yield engine_address(settings)


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
