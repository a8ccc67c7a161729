"""The bot as far as commands go, between a fake GitLab and fakes of the rest: events come in by webhook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from pydantic import SecretStr
from scenes import AFTER, BEFORE, Scene, scene

from bot.decisions import Identity, Rules, decide, errands_of
from bot.dispatch import perform
from bot.errands import Errand
from bot.events import parse_event
from bot.fake_gitlab import Account
from bot.fake_gitlab.state import StoredNote, Thread
from bot.fake_gitlab.threads import Writing
from bot.gitlab import Access, GitLab
from bot.handlers.catalogue import COMMANDS
from bot.projects import GitLabProjects
from bot.registry import Ports, Registry
from bot.signatures import read_secrets
from bot.testing import FakeDeliveries, FakeEngine, FakeJobs, FakeLearning
from bot.webhook import Receiver
from engine.listening import listening

TOKEN = "a-secret-of-this-test"
SIGNING_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MAX_BODY = 2**20


@dataclass(slots=True)
class Desk:
    """What a test needs at hand."""

    scene: Scene
    url: str
    deliveries: FakeDeliveries
    rules: Rules
    registry: Registry
    ports: Ports
    jobs: FakeJobs
    engine: FakeEngine
    learning: FakeLearning
    done: list[Errand] = field(default_factory=list)

    def pen(self, person: Account | None = None) -> Writing:
        """Return the pen of somebody, the merge request's author if nobody is named."""
        return self.scene.fake.as_person(person or self.scene.author, self.scene.project, self.scene.mr)

    def member(self, name: str, access: int) -> Account:
        """Return somebody new, a member with this role; none is no member."""
        person = self.scene.fake.add_person(name)
        if access:
            self.scene.project.members[person.id] = access
        return person

    async def errands(self) -> list[Errand]:
        """Return what the events that came meanwhile ask for."""
        await self.scene.fake.webhooks.settle()
        kept, self.deliveries.kept = self.deliveries.kept, []
        found = []
        for delivery in kept:
            event = parse_event(delivery.event, delivery.body)
            assert event is not None
            found += errands_of(event, decide(event, self.rules), delivery.received)
        return found

    async def work(self) -> None:
        """Do what the events that came meanwhile ask for, each wish once."""
        known = {errand.key for errand in self.done}
        for errand in await self.errands():
            if errand.key not in known:
                known.add(errand.key)
                await perform(errand, self.ports, self.registry)
                self.done.append(errand)
        await self.scene.fake.webhooks.settle()

    async def say(self, text: str, person: Account | None = None, thread: Thread | None = None) -> str:
        """Write a note, let the bot work, and return its answer, "" for none."""
        before = len(self.scene.bot_notes)
        pen = self.pen(person)
        if thread is None:
            pen.note(text)
        else:
            pen.reply(thread, text)
        await self.work()
        new = self.scene.bot_notes[before:]
        assert len(new) <= 1
        return said(new[0]) if new else ""

    def reactions(self, note: StoredNote) -> list[str]:
        """Return the bot's emoji on a note."""
        return [name for _, name, person in note.awards if person is self.scene.fake.bot]

    @property
    def last_note(self) -> StoredNote:
        """The note that a person wrote last."""
        people = [note for note in self.scene.mr.notes if note.author is not self.scene.fake.bot]
        return max(people, key=lambda note: note.id)


def said(note: StoredNote) -> str:
    """Return what a note says, without its marker."""
    return note.body.rpartition("\n")[0].strip()


@asynccontextmanager
async def desk(
    before: Mapping[str, str | bytes] = BEFORE,
    after: Mapping[str, str | bytes] = AFTER,
    *,
    access: Mapping[str, Access] | None = None,
    learning: bool = True,
) -> AsyncIterator[Desk]:
    """Give a desk."""
    async with scene(before, after) as stage:
        gitlab: GitLab = stage.gitlab
        me = await gitlab.me()
        registry = Registry(COMMANDS, access)
        rules = Rules(Identity(me.id, me.username), registry.grammar)
        jobs, engine, teacher, deliveries = FakeJobs(), FakeEngine(), FakeLearning(), FakeDeliveries()
        ports = Ports(gitlab, jobs, engine, GitLabProjects(gitlab), me, teacher if learning else None)
        secrets = read_secrets([SecretStr(TOKEN), SecretStr(SIGNING_KEY)], {})
        receiver = Receiver(deliveries, secrets, lambda event: decide(event, rules).ignored, MAX_BODY)
        async with _listening(receiver) as url:
            stage.fake.add_hook(stage.project, url, TOKEN)
            yield Desk(stage, url, deliveries, rules, registry, ports, jobs, engine, teacher)


@asynccontextmanager
async def _listening(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/webhook", receiver.receive)
    async with listening(app, shutdown_seconds=1) as port:
        yield f"http://127.0.0.1:{port}/webhook"
