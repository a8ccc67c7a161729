"""`/retrain` from the wish to the note that says what came of it, with a trainer that does nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_trainer import PNG, VERSION
from retrain_desk import RetrainDesk, restarted, retrain_desk

from bot.errors import CommandRefused
from bot.fake_gitlab import FaultKind
from bot.workers import device_lease
from engine.lifecycle import AdapterState, RegisteredAdapter
from engine.wire import Language

pytestmark = pytest.mark.timeout(1200)


def run(folder: Path, test: Callable[[RetrainDesk], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with retrain_desk(folder, **options) as desk:
            await test(desk)

    asyncio.run(main())


def test_the_whole_conversation(tmp_path: Path) -> None:
    """Begun, followed in one note, and told in another with table and picture; ✅ on the asking note."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(endless=True)
        wish = desk.wish()
        assert "/retrain status" in await desk.learning.retrain(wish, dry_run=False)
        await desk.until(lambda: any("training" in text and "█" in text for text in desk.notes(result=False)))
        desk.script()
        text = await desk.result()
        assert f"**Promoted.** `{VERSION}` passed every rule against `starter-ba9876543210`" in text
        assert "| right line first | 0.100 | 0.400 | 0.600 | +0.050 … +0.300 |" in text
        assert "`!12 shop/cart.py:3`" in text
        assert "could not be read: 3" in text
        ((address, data),) = desk.scene.project.uploads.items()
        assert f"]({address})" in text
        assert data == PNG
        (progress,) = desk.notes(result=False)
        assert progress.startswith("🔁 **Training of a new adapter**\n\n✅ Done.")
        assert "Loss `█" in progress
        assert "white_check_mark" in desk.reactions(wish)
        assert [start["dry_run"] for start in desk.starts] == [True, False]
        assert {start["run"] for start in desk.starts} == {desk.starts[0]["run"]}

    run(tmp_path, test)


def test_a_dry_run_says_what_and_how_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the project's language; nothing is trained. The trainer is given what it needs, and no more."""
    monkeypatch.setenv("BOT_OF_THIS_TEST", "secret")

    async def test(desk: RetrainDesk) -> None:
        answer = await desk.learning.retrain(desk.wish(Language.JA), dry_run=True)
        assert "学習は行いません" in answer
        text = await desk.result()
        assert "学習は行っていません" in text
        assert "約 10 分" in text
        (start,) = desk.starts
        assert start["dry_run"]
        assert start["secrets"] == ["glpat-to-read", "admin-token"]
        assert start["environment"] == []
        assert start["min_new"] == "7"
        assert not list(desk.history.parent.glob("secrets-*"))

    run(tmp_path, test)


def test_one_at_a_time(tmp_path: Path) -> None:
    """A second wish is refused with how far the first is; the same wish again is the same work."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(endless=True)
        wish = desk.wish()
        assert "No adapter has been trained" in await desk.learning.status(desk.wish())
        first = await desk.learning.retrain(wish, dry_run=False)
        assert await desk.learning.retrain(wish, dry_run=False) == first
        await desk.until(lambda: any("6 of 11" in text for text in desk.notes(result=False)))
        with pytest.raises(CommandRefused, match="under way already"):
            await desk.learning.retrain(desk.wish(), dry_run=False)
        assert "6 of 11: training" in await desk.learning.status(desk.wish())
        desk.script()
        await desk.result()
        assert len(desk.starts) == 2
        assert "**Promoted.**" in await desk.learning.status(desk.wish())

    run(tmp_path, test)


def test_done_but_not_told_yet(tmp_path: Path) -> None:
    """While its note cannot be posted it is at its end, and waits for no turn."""

    async def test(desk: RetrainDesk) -> None:
        await desk.learning.retrain(desk.wish(), dry_run=False)
        silence = desk.scene.fake.fail(FaultKind.SERVER_ERROR, method="POST", path="notes", times=1_000_000)
        latest = desk.trainer.latest
        await desk.until(
            lambda: (now := latest(desk.scene.project.id)) and now.result and now.result.version == VERSION
        )
        assert "11 of 11" in await desk.learning.status(desk.wish())
        silence.times = 0
        assert "**Promoted.**" in await desk.result()

    run(tmp_path, test, retry_seconds=600)


def test_cancelled_and_resumed(tmp_path: Path) -> None:
    """The trainer ends within seconds, its note says who ended it; the next one goes on in the same run."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(endless=True)
        wish = desk.wish()
        await desk.learning.retrain(wish, dry_run=False)
        await desk.until(lambda: any("6 of 11" in text for text in desk.notes(result=False)))
        shown: list[str] = []
        desk.meanwhile = lambda: shown.append(desk.show_progress("Still 6 of 11."))  # does not know it yet
        assert "goes on where it was" in await desk.learning.cancel(desk.wish())
        status = desk.trainer.latest
        await desk.until(lambda: (now := status(desk.scene.project.id)) and now.state == "stopped")
        (text,) = desk.notes(result=False)
        assert ("Ended by `author`" in text, shown) == (True, ["Still 6 of 11."])
        assert "confused" in desk.reactions(wish)
        assert desk.notes(result=True) == []
        with pytest.raises(CommandRefused, match="No training"):
            await desk.learning.cancel(desk.wish())
        desk.script()
        await desk.learning.retrain(desk.wish(), dry_run=False)
        assert "**Promoted.**" in await desk.result()
        assert len({start["run"] for start in desk.starts}) == 1

    run(tmp_path, test)


def test_a_trainer_that_dies_is_begun_again(tmp_path: Path) -> None:
    """In the same directory, as often as it takes, if it is not for ever."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(deaths=2)
        await desk.learning.retrain(desk.wish(), dry_run=False)
        assert "**Promoted.**" in await desk.result()
        assert len(desk.starts) == 4

    run(tmp_path, test)


def test_what_it_cannot_do_is_told(tmp_path: Path) -> None:
    """In the thread, with 😕 on the note that asked."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(error="retrain.toml: gate.rulez: not known to @all", code=2)
        wish = desk.wish()
        await desk.learning.retrain(wish, dry_run=False)
        text = await desk.result()
        assert "**The training could not be done.** retrain.toml: gate.rulez" in text
        assert "`@all`" in text
        assert "confused" in desk.reactions(wish)

    run(tmp_path, test)


def test_a_bot_that_is_stopped_goes_on(tmp_path: Path) -> None:
    """The trainer ends with it and goes on with the next one: one progress note, one result."""

    async def test(desk: RetrainDesk) -> None:
        desk.script(endless=True)
        await desk.learning.retrain(desk.wish(), dry_run=False)
        await desk.until(lambda: any("6 of 11" in text for text in desk.notes(result=False)))
        async with restarted(desk):
            desk.script()
            assert "**Promoted.**" in await desk.result()
        assert len(desk.notes(result=True)) == len(desk.notes(result=False)) == 1
        assert [start["dry_run"] for start in desk.starts] == [True, False, False]

    run(tmp_path, test)


def test_training_has_the_device_alone(tmp_path: Path) -> None:
    """While a review holds it training waits; reading the history does not."""

    async def test(desk: RetrainDesk) -> None:
        leases = desk.durable.leases
        assert leases.take(device_lease("gpu0"), "a review")
        answer = await desk.learning.retrain(desk.wish(), dry_run=False)
        assert "reviews wait" in answer
        await desk.until(lambda: len(desk.starts) == 1 and desk.open and "training" in desk.open[0])
        await desk.until(lambda: leases.is_wanted_alone(device_lease("gpu0").name))
        await asyncio.sleep(0.5)
        assert len(desk.starts) == 1
        assert not leases.take(device_lease("gpu0"), "a newer review")
        leases.release(device_lease("gpu0"), "a newer review")
        leases.release(device_lease("gpu0"), "a review")
        await desk.result()
        assert leases.take(device_lease("gpu0"), "a review")

    run(tmp_path, test, device="gpu0")


def adapter(version: str, state: AdapterState) -> RegisteredAdapter:
    now = datetime.now(UTC)
    return RegisteredAdapter(
        project="team/app", version=version, name="team", path="x", base_model="m", base_sha256="0" * 64,
        state=state, scores={}, created=now, added=now,
    )  # fmt: skip


def test_rolled_back_once(tmp_path: Path) -> None:
    """The same wish done twice, as after a crash, goes back once."""

    async def test(desk: RetrainDesk) -> None:
        new, old = "team-bbbbbbbbbbbb", "team-aaaaaaaaaaaa"
        project = desk.scene.project.path

        def registered(champion: str) -> None:
            states = {champion: AdapterState.CHAMPION}
            rows = [adapter(each, states.get(each, AdapterState.RETIRED)) for each in (new, old)]
            desk.engine.registered = tuple(row.model_copy(update={"project": project}) for row in rows)

        registered(new)
        wish = desk.wish()
        assert f"`{old}` reads" in await desk.learning.roll_back(wish, "")
        registered(old)
        assert f"`{old}` reads" in await desk.learning.roll_back(wish, "")
        assert desk.engine.rolled_back == [(project, "")]
        with pytest.raises(CommandRefused, match="no adapter team-x"):
            await desk.learning.roll_back(desk.wish(), "team-x")

    run(tmp_path, test)


def test_what_is_not_set_up(tmp_path: Path) -> None:
    """It says which setting is missing."""

    async def test(desk: RetrainDesk) -> None:
        with pytest.raises(CommandRefused, match="BOT_RETRAIN`"):
            await desk.learning.retrain(desk.wish(), dry_run=False)
        with pytest.raises(CommandRefused, match="BOT_ENGINE_ADMIN_TOKEN"):
            await desk.learning.roll_back(desk.wish(), "")

    run(tmp_path, test, enabled=False, may_promote=False)
