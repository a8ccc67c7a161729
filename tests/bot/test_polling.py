"""Without a webhook, and after an outage, nothing that somebody asked for is lost or done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from desk import Desk, desk
from scenes import BEFORE

import bot.polling
from bot.database import Database
from bot.dispatch import perform
from bot.drafts import StoredDrafts
from bot.errands import CommandErrand, Errand, ReviewErrand
from bot.errors import GitLabRefused
from bot.fake_gitlab import FaultKind
from bot.fake_gitlab.state import ToDo
from bot.gitlab import Access, MergeRequestRef, Note
from bot.jobs import Reason
from bot.polling import Poller
from bot.testing import FakeDrafts, FakeWatermarks
from bot.watermarks import StoredWatermarks

AUTO = {".tenken.toml": 'auto_review = ["open", "push"]\n'}
CHANGED = BEFORE | {"src/app.py": "x = 1\n"}
AGAIN = BEFORE | {"src/app.py": "x = 2\n"}


@dataclass(slots=True)
class Watch:
    """A desk, and a poller instead of its webhook."""

    desk: Desk
    poller: Poller
    marks: FakeWatermarks
    drafts: FakeDrafts
    found: list[Errand] = field(default_factory=list)  # of the last look
    known: set[str] = field(default_factory=set)

    async def store(self, errands: Sequence[Errand]) -> None:
        new = [errand for errand in errands if errand.key not in self.known]
        self.known.update(errand.key for errand in new)
        self.found += new

    async def look(self) -> list[Errand]:
        """Look once, and return what is new."""
        self.found = []
        await self.poller.look()
        return self.found

    async def work(self) -> None:
        """Look once, and do what is new."""
        for errand in await self.look():
            await perform(errand, self.desk.ports, self.desk.registry)


@asynccontextmanager
async def watch(
    files: dict[str, str] | None = None, *, hook: bool = False, names: Sequence[str] = ("team/app",)
) -> AsyncIterator[Watch]:
    async with desk(BEFORE | (files or {}), CHANGED | (files or {})) as stage:
        if not hook:
            stage.scene.project.hooks.clear()
        marks = FakeWatermarks()
        gitlab = stage.ports.gitlab

        async def store(errands: Sequence[Errand]) -> None:
            await found.store(errands)

        drafts = FakeDrafts()
        poller = Poller(gitlab, stage.rules, stage.ports.projects, marks, drafts, store, names)
        found = Watch(stage, poller, marks, drafts)
        yield found


def run(test: Callable[[Watch], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with watch(**details) as stage:
            await test(stage)

    asyncio.run(play())


def test_a_command_is_found_and_answered_in_its_thread() -> None:
    """All that needs no inbound connection."""

    async def test(stage: Watch) -> None:
        assert await stage.look() == []
        thread, _ = stage.desk.pen().note("/help")
        await stage.work()
        await stage.work()
        assert [note.author.username for note in thread.notes] == ["author", "tenken"]

    run(test)


def test_what_was_written_before_the_bot_came_asks_for_nothing() -> None:
    """A project that is new to the bot is looked at from now on."""

    async def test(stage: Watch) -> None:
        old = stage.desk.pen().note("/review")[1]
        old.created_at = old.updated_at = datetime.now(UTC) - timedelta(days=1)
        assert await stage.look() == []
        stage.desk.pen().note("thanks")
        assert await stage.look() == []

    run(test)


def test_every_kind_of_note_is_found() -> None:
    """Replies, internal notes, edits; the oldest first, and none twice."""

    async def test(stage: Watch) -> None:
        await stage.look()
        pen = stage.desk.pen()
        thread, note = pen.note("hello")
        pen.reply(thread, "/help")
        pen.note("/review a", internal=True)
        found = await stage.look()
        assert [(e.command.name, e.place.internal) for e in found if isinstance(e, CommandErrand)] == [
            ("help", False),
            ("review", True),
        ]
        pen.edit(thread, note, "hello\n/review b")
        assert [errand.key.split("-")[3] for errand in await stage.look()] == ["review"]
        assert await stage.look() == []

    run(test)


def test_what_came_both_ways_is_one_wish() -> None:
    """The poller's errands have the keys of the webhook's, code and reviewers included."""

    async def test(stage: Watch) -> None:
        scene = stage.desk.scene
        await stage.look()
        stage.desk.pen().note("/review\n/help")
        stage.desk.pen().note("/reveiw")
        scene.fake.push(scene.project, scene.mr, AGAIN | AUTO)
        bot = {"id": scene.fake.bot.id, "username": "tenken"}
        scene.fake.webhooks.merge_request(
            scene.project,
            scene.mr,
            scene.author,
            "update",
            changes={"reviewers": {"previous": [], "current": [bot]}},
        )
        requested(stage, "review_requested")
        delivered = {errand.key for errand in await stage.desk.errands()}
        assert {errand.key for errand in await stage.look()} == delivered
        assert len(delivered) == 5

    run(test, files=AUTO, hook=True)


def requested(stage: Watch, action: str, note_id: int | None = None, body: str = "") -> None:
    scene = stage.desk.scene
    world = scene.fake.world
    world.todos.append(
        ToDo(
            next(world.ids),
            scene.fake.bot,
            scene.author,
            action,
            scene.project.id,
            scene.mr.iid,
            note_id,
            body,
            world.now(),
        )
    )


def test_after_an_outage_everything_is_caught_up() -> None:
    """Notes and pushes of the time between are found by the first look; doing it again finds nothing."""

    async def test(stage: Watch) -> None:
        await stage.look()
        scene = stage.desk.scene
        long_ago = datetime.now(UTC) - timedelta(hours=2)
        stage.marks.marks[scene.project.id] = long_ago
        for hours, text in ((3, "/review too-early"), (1, "/review in-between")):
            note = stage.desk.pen().note(text)[1]
            note.created_at = note.updated_at = datetime.now(UTC) - timedelta(hours=hours)
        scene.fake.push(scene.project, scene.mr, AGAIN | AUTO)
        found = await stage.look()
        assert [e.command.text for e in found if isinstance(e, CommandErrand)] == ["in-between"]
        assert [e.reason for e in found if isinstance(e, ReviewErrand)] == [Reason.PUSHED]
        assert stage.marks.marks[scene.project.id] > long_ago
        assert await stage.look() == []

    run(test, files=AUTO)


def test_a_new_merge_request_is_one_that_was_opened() -> None:
    """Its only version is of the time between."""

    async def test(stage: Watch) -> None:
        stage.marks.marks[stage.desk.scene.project.id] = datetime.now(UTC) - timedelta(hours=1)
        (errand,) = await stage.look()
        assert isinstance(errand, ReviewErrand)
        assert errand.reason is Reason.OPENED

    run(test, files=AUTO, names=())


def test_code_is_looked_at_only_where_it_matters() -> None:
    """A project that wants no reviews unasked costs no further request."""

    async def test(stage: Watch) -> None:
        await stage.look()
        stage.desk.scene.fake.push(stage.desk.scene.project, stage.desk.scene.mr, AGAIN)
        assert await stage.look() == []
        asked = [each.path for each in stage.desk.scene.fake.requests]
        assert not any(path.endswith("/versions") for path in asked)

    run(test)


@pytest.mark.parametrize("settings", ["auto_review = 5\n", "["])
def test_broken_settings_do_not_hide_commands(settings: str) -> None:
    """Only reviews that nobody asked for depend on them."""

    async def test(stage: Watch) -> None:
        await stage.look()
        stage.desk.pen().note("/help")
        assert len(await stage.look()) == 1

    run(test, files={".tenken.toml": settings})


def test_mentions_come_from_any_project() -> None:
    """The bot's to-dos need no settings, and are done when they are kept."""

    async def test(stage: Watch) -> None:
        thread, _ = stage.desk.pen().note("@tenken help")
        stage.desk.pen().note("thanks to @tenken")
        await stage.work()
        assert [note.author.username for note in thread.notes] == ["author", "tenken"]
        assert [todo async for todo in stage.desk.ports.gitlab.todos()] == []
        assert await stage.look() == []

    run(test, names=())


def test_a_review_is_asked_for_by_a_todo() -> None:
    """Whoever makes the bot a reviewer is who asks."""

    async def test(stage: Watch) -> None:
        requested(stage, "review_requested")
        requested(stage, "assigned")
        (errand,) = await stage.look()
        assert isinstance(errand, ReviewErrand)
        assert (errand.reason, errand.actor.id) == (Reason.REVIEWER, stage.desk.scene.author.id)

    run(test, names=())


def test_a_todo_about_something_gone_is_done() -> None:
    """It cannot be answered, and does not come back."""

    async def test(stage: Watch) -> None:
        requested(stage, "mentioned", note_id=10**6)
        assert await stage.look() == []
        assert [todo async for todo in stage.desk.ports.gitlab.todos()] == []

    run(test, names=())


def test_what_cannot_be_kept_is_found_again() -> None:
    """Neither a to-do nor a watermark moves on before its errand is stored."""

    async def test(stage: Watch) -> None:
        await stage.look()
        stage.desk.pen().note("@tenken help")
        stage.desk.scene.fake.fail(FaultKind.SERVER_ERROR, path="/notes", times=1000)
        assert await stage.look() == []
        stage.desk.scene.fake.options.faults.clear()
        assert len(await stage.look()) == 1

    run(test)


@pytest.mark.parametrize("status", [403, 404])
def test_what_gitlab_will_not_show_is_passed_over(status: int) -> None:
    """One merge request that is refused does not hide the others, or come back for ever."""

    async def refuse(ref: MergeRequestRef, note_id: int) -> Note:
        raise GitLabRefused(status, "no")

    async def test(stage: Watch) -> None:
        requested(stage, "mentioned", note_id=1)
        requested(stage, "review_requested")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stage.desk.ports.gitlab, "note", refuse)
            assert len(await stage.look()) == 1
        assert [todo async for todo in stage.desk.ports.gitlab.todos()] == []

    run(test, names=())


def test_with_a_token_that_is_refused_nothing_is_done() -> None:
    """It will be another tomorrow: no to-do is lost over it."""

    async def test(stage: Watch) -> None:
        requested(stage, "review_requested")
        bot, token = stage.desk.scene.fake.bot, stage.desk.scene.fake.bot.token
        bot.token = "glpat-new"
        assert await stage.look() == []
        bot.token = token
        assert len(await stage.look()) == 1

    run(test)


def test_one_project_does_not_keep_the_others_from_being_looked_at() -> None:
    """A project that is gone, or was never there, is reported and passed over."""

    async def test(stage: Watch) -> None:
        stage.marks.marks[999] = datetime.now(UTC)
        await stage.look()
        stage.desk.pen().note("/help")
        assert len(await stage.look()) == 1

    run(test, names=("no/such", "404", "team/app"))


def test_a_round_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many merge requests changed, even in the same minute, each round gets further."""

    async def test(stage: Watch) -> None:
        scene = stage.desk.scene
        stage.marks.marks[scene.project.id] = datetime.now(UTC) - timedelta(hours=1)
        for number in range(4):
            scene.mr = scene.fake.add_merge_request(
                scene.project, CHANGED, author=scene.author, branch=f"b{number}"
            )
            stage.desk.pen().note("/review")
        rounds = [len(await stage.look()) for _ in range(4)]
        assert rounds == [1, 2, 1, 0]

    monkeypatch.setattr(bot.polling, "MOST_AT_ONCE", 2)
    run(test, names=())


def test_strangers_are_not_served_by_polling_either() -> None:
    """Who may is asked when it is done, whichever way it came."""

    async def test(stage: Watch) -> None:
        await stage.look()
        stage.desk.pen(stage.desk.member("stranger", Access.NONE)).note("/review")
        await stage.work()
        assert not stage.desk.jobs.reviews

    run(test)


def test_a_broken_round_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, the next round comes."""
    rounds: list[int] = []

    async def look(self: Poller) -> None:
        rounds.append(1)
        if len(rounds) == 3:
            raise asyncio.CancelledError
        raise RuntimeError("unforeseen")

    async def test(stage: Watch) -> None:
        with pytest.raises(asyncio.CancelledError):
            await stage.poller.run(0)
        assert len(rounds) == 3

    monkeypatch.setattr(Poller, "look", look)
    run(test)


def test_a_draft_that_became_ready_is_seen() -> None:
    """Even one that nobody has touched since the bot came; once, with the key that the webhook's has."""

    async def test(stage: Watch) -> None:
        scene = stage.desk.scene
        scene.mr.draft = True
        scene.mr.updated_at = long_ago = datetime.now(UTC) - timedelta(days=3)
        scene.mr.versions[0] = replace(scene.mr.version, created_at=long_ago)
        await stage.look()
        assert stage.drafts.known == {scene.ref}
        scene.mr.draft, scene.mr.updated_at = False, scene.fake.world.now()
        changes = {"draft": {"previous": True, "current": False}}
        scene.fake.webhooks.merge_request(scene.project, scene.mr, scene.author, "update", changes=changes)
        delivered = {errand.key for errand in await stage.desk.errands()}
        found = await stage.look()
        assert [errand.reason for errand in found if isinstance(errand, ReviewErrand)] == [Reason.READY]
        assert {errand.key for errand in found} == delivered
        assert stage.drafts.known == set()
        assert await stage.look() == []

    run(test, files={".tenken.toml": 'auto_review = ["ready"]\n'}, hook=True)


def test_a_draft_is_not_forgotten_before_its_review_is_kept() -> None:
    """What could not be stored is told again."""

    async def test(stage: Watch) -> None:
        scene = stage.desk.scene
        scene.mr.draft = True
        await stage.look()
        scene.mr.draft, scene.mr.updated_at = False, scene.fake.world.now()
        scene.fake.fail(FaultKind.SERVER_ERROR, path="/versions", times=1000)
        assert await stage.look() == []
        scene.fake.options.faults.clear()
        found = await stage.look()
        assert Reason.READY in [errand.reason for errand in found if isinstance(errand, ReviewErrand)]

    run(test, files={".tenken.toml": 'auto_review = ["ready"]\n'})


def test_a_project_is_looked_at_from_its_first_errand_on() -> None:
    """What came right after that one and was not stored is found, though the bot was down for long."""

    async def test(stage: Watch) -> None:
        project, now = stage.desk.scene.project.id, datetime.now(UTC)
        await stage.poller.saw(project, now - timedelta(hours=5))
        note = stage.desk.pen().note("/help")[1]
        note.created_at = note.updated_at = now - timedelta(hours=4)
        assert len(await stage.look()) == 1
        await stage.poller.saw(7, now - timedelta(days=9))
        await stage.poller.saw(8, now + timedelta(days=9))
        assert stage.marks.marks[7] > now - timedelta(days=2)
        assert stage.marks.marks[8] < now + timedelta(days=1)

    run(test, names=())


def test_drafts_are_kept(database: Database) -> None:
    """Those of one project, until they are none any more."""

    async def test() -> None:
        drafts = StoredDrafts(database)
        for project, iid, draft in ((1, 1, True), (1, 2, True), (2, 1, True), (1, 2, True), (1, 1, False)):
            await drafts.keep(MergeRequestRef(project, iid), draft)
        assert await StoredDrafts(database).load(1) == {2}
        assert await drafts.load(2) == {1}
        assert await drafts.load(3) == set()

    asyncio.run(test())


def test_watermarks_are_kept(database: Database) -> None:
    """To the microsecond, and they never go back."""

    async def test() -> None:
        marks = StoredWatermarks(database)
        at = datetime(2026, 11, 27, 10, 0, 0, 123456, tzinfo=UTC)
        assert await marks.load() == {}
        await marks.move(1, at)
        await marks.move(2, at)
        await marks.move(1, at - timedelta(hours=1))
        await marks.move(2, at + timedelta(hours=1))
        assert await StoredWatermarks(database).load() == {1: at, 2: at + timedelta(hours=1)}

    asyncio.run(test())
