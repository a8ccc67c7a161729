"""A review that has to wait says what for, in one note that it later uses itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenes import Scene, scene

from bot.database import Database, database_url
from bot.durable import Durable, DurableOptions
from bot.fake_gitlab import FaultKind, StoredMergeRequest
from bot.jobs import Asked, ReviewJob
from bot.kinds import review_kind
from bot.progress import show
from bot.projects import GitLabProjects
from bot.review_queue import REVIEW, mr_lease, work_id_of
from bot.waiting import WaitingNotes
from bot.work import Failure, Order, Work
from bot.workers import device_lease
from engine.wire import Language

SOON = 240.0
DEVICE = "gpu0"


@dataclass(slots=True)
class Runs:
    """Reviews that take until they may end."""

    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    begun: list[str] = field(default_factory=list)

    async def run(self, work: Work) -> None:
        self.begun.append(work.id)
        await work.step("review", self.may_end.wait)

    async def failed(self, work: Work, failure: Failure) -> None:
        raise AssertionError(failure)


@dataclass(slots=True)
class Room:
    """What a test needs at hand."""

    scene: Scene
    durable: Durable
    runs: Runs
    notes: WaitingNotes

    async def ask(self, number: int, *, asked: bool = True, **fields: Any) -> StoredMergeRequest:
        """Have a further merge request reviewed."""
        fake, project = self.scene.fake, self.scene.project
        mr = fake.add_merge_request(
            project, {"a.py": f"x = {number}\n"}, author=self.scene.author, branch=f"b{number}"
        )
        values = {"project_id": project.id, "iid": mr.iid, "key": f"k{number}", "received": number}
        notes = (Asked(note_id=1),) if asked else ()
        job = ReviewJob.model_validate({**values, "asked": notes, **fields})
        order = Order(REVIEW, work_id_of(job), job.model_dump(mode="json"), str(job.ref))
        await asyncio.to_thread(self.durable.orders.store, [order])
        return mr

    def said(self, mr: StoredMergeRequest) -> list[str]:
        """Return what the bot has said in a merge request."""
        return [note.body for note in mr.notes if note.author is self.scene.fake.bot]

    @property
    def writes(self) -> int:
        """How often something was written to GitLab."""
        return len(self.scene.writes)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.02)


@asynccontextmanager
async def room(folder: Path, device: str = "", files: dict[str, str] | None = None) -> AsyncIterator[Room]:
    before = {"a.py": "x = 0\n"} | (files or {})
    async with scene(before, before) as stage:
        runs = Runs()
        database = Database(database_url(None, folder))
        durable = Durable(database, (review_kind(runs, 1, device),), DurableOptions("one", finish_seconds=0))
        await durable.start()
        projects = GitLabProjects(stage.gitlab)
        try:
            yield Room(
                stage, durable, runs, WaitingNotes(durable, stage.gitlab, projects, device, first_seconds=0)
            )
        finally:
            await durable.stop()
            database.close()


def run(test: Callable[[Room], Awaitable[None]], folder: Path, **details: Any) -> None:
    async def play() -> None:
        async with room(folder, **details) as at:
            await test(at)

    asyncio.run(play())


def test_what_waits_for_its_turn_says_so_once(tmp_path: Path) -> None:
    """With how many others there are, in one note that is edited when that has changed, and not before."""

    async def test(at: Room) -> None:
        running = await at.ask(1)
        await until(lambda: at.runs.begun)
        waiting = [await at.ask(2), await at.ask(3)]
        await at.notes.look()
        assert at.said(running) == []
        for mr in waiting:
            (said,) = at.said(mr)
            assert "waits for its turn. Other reviews that run or wait: 2" in said
        writes = at.writes
        await at.notes.look()
        assert at.writes == writes
        at.runs.may_end.set()
        at.runs.may_end = asyncio.Event()
        await until(lambda: len(at.runs.begun) == 2 == len(at.durable.orders.open(REVIEW)))
        await at.notes.look()
        counts = [said.partition("wait: ")[2][0] for mr in waiting for said in at.said(mr)]
        assert sorted(counts) == ["1", "2"]  # the one that runs is not written to
        at.runs.may_end.set()
        await until(lambda: len(at.runs.begun) == 3)

    run(test, tmp_path)


def test_what_waits_for_a_training_says_so(tmp_path: Path) -> None:
    """Contract 5: it holds nothing meanwhile, says so in the project's language, and begins by itself."""

    async def test(at: Room) -> None:
        training, leases = device_lease(DEVICE, alone=True), at.durable.leases
        assert await asyncio.to_thread(leases.take, training, "training")
        mr = await at.ask(1)
        await until(at.durable.orders.running)
        await at.notes.look()
        (said,) = at.said(mr)
        assert "モデルを学習中のため待っています" in said
        assert at.runs.begun == []
        at.runs.may_end.set()
        await asyncio.to_thread(leases.release, training, "training")
        await until(lambda: at.runs.begun)
        await until(lambda: not at.durable.orders.open(REVIEW))
        assert await asyncio.to_thread(leases.take, training, "training")

    run(test, tmp_path, device=DEVICE, files={".tenken.toml": 'language = "ja"\n'})


def test_a_training_waits_for_reviews_and_lets_no_further_one_in(tmp_path: Path) -> None:
    """Contract 5: one user of the device at a time, and nobody waits for ever."""

    async def test(at: Room) -> None:
        training, leases = device_lease(DEVICE, alone=True), at.durable.leases
        await at.ask(1)
        await until(lambda: at.runs.begun)
        assert not await asyncio.to_thread(leases.take, training, "training")
        await at.ask(2)
        at.runs.may_end.set()
        await until(lambda: leases.take(training, "training"))
        await asyncio.sleep(0.5)
        assert len(at.runs.begun) == 1
        await asyncio.to_thread(leases.release, training, "training")
        await until(lambda: len(at.runs.begun) == 2)

    run(test, tmp_path, device=DEVICE)


def test_who_did_not_ask_is_not_told(tmp_path: Path) -> None:
    """A push that is reviewed unasked makes no note before there is something to say."""

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2, asked=False)
        await at.notes.look()
        assert at.said(mr) == []
        at.runs.may_end.set()

    run(test, tmp_path)


def test_the_language_that_was_asked_for(tmp_path: Path) -> None:
    """`/review --lang=ja` waits in Japanese."""

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2, language=Language.JA)
        await at.notes.look()
        assert "順番を待っています" in at.said(mr)[0]
        at.runs.may_end.set()

    run(test, tmp_path)


def test_a_moment_is_not_worth_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what waits for longer says so."""
    clock = [1000.0]
    monkeypatch.setattr("bot.waiting.time", SimpleNamespace(monotonic=lambda: clock[0]))

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2)
        patient = WaitingNotes(at.durable, at.scene.gitlab, GitLabProjects(at.scene.gitlab))
        await patient.look()
        clock[0] += 9
        await patient.look()
        assert at.said(mr) == []
        clock[0] += 2
        await patient.look()
        assert len(at.said(mr)) == 1
        at.runs.may_end.set()

    run(test, tmp_path)


def test_what_could_not_be_told_is_told_later(tmp_path: Path) -> None:
    """An older review of the merge request, on its way out, may have the lease for a moment."""

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2)
        lease = mr_lease(at.scene.fake.ref(at.scene.project, mr))
        assert at.durable.leases.take(lease, "an older one")
        await at.notes.look()
        assert at.said(mr) == []
        at.durable.leases.release(lease, "an older one")
        await at.notes.look()
        assert len(at.said(mr)) == 1
        at.runs.may_end.set()

    run(test, tmp_path)


def test_a_review_that_has_begun_is_not_written_over(tmp_path: Path) -> None:
    """Whoever has the merge request's lease writes; one that is given up meanwhile says nothing either."""

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2)
        (waiting,) = at.notes.waiting()
        lease = mr_lease(waiting.job.ref)
        assert at.durable.leases.take(lease, f"{waiting.id}#other")
        assert at.notes.waiting() == []
        await at.notes._tell(waiting)
        assert at.said(mr) == []
        at.durable.leases.release(lease, f"{waiting.id}#other")
        await asyncio.to_thread(at.durable.orders.cancel, [waiting.id])
        await at.notes._tell(waiting)
        assert at.said(mr) == []
        assert at.durable.leases.take(lease, "next")  # it was given back
        at.runs.may_end.set()

    run(test, tmp_path)


@pytest.mark.parametrize("kind", [FaultKind.SERVER_ERROR, FaultKind.DROPPED_AFTER])
def test_a_server_that_is_not_well_gets_one_note(tmp_path: Path, kind: FaultKind) -> None:
    """What is lost on the way is looked for, not written once more; the next text is one edit."""

    async def test(at: Room) -> None:
        await at.ask(1)
        await until(lambda: at.runs.begun)
        mr = await at.ask(2)
        at.scene.fake.fail(kind, path="/notes", method="POST")
        await at.notes.look()
        assert len(at.said(mr)) == 1
        ref = at.scene.fake.ref(at.scene.project, mr)
        await show(at.scene.gitlab, ref, "")
        assert at.said(mr) == []
        at.runs.may_end.set()

    run(test, tmp_path)
