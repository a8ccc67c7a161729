"""/healthz, /readyz and /metrics of a worker, and how its answers are counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from bot_world import world


def test_a_worker_can_be_watched(tmp_path: Path) -> None:
    """Alive, ready, and with measurements of what it did; a wrong secret is counted as refused."""

    async def main() -> None:
        async with world(tmp_path) as at, aiohttp.ClientSession() as session:
            bot = await at.add_bot()
            base = f"http://127.0.0.1:{bot.port}"
            asking = at.ask()
            await at.until_done([asking], 240)
            async with session.get(f"{base}/healthz") as answer:
                assert (answer.status, (await answer.json())["status"]) == (200, "ok")
            async with session.get(f"{base}/readyz") as answer:
                assert (answer.status, await answer.json()) == (200, {"status": "ok", "worker": "one"})
            async with session.post(f"{base}/webhook", headers={"X-Gitlab-Token": "wrong"}) as answer:
                assert answer.status == 401
            done, text = 'tenken_bot_work_seconds_count{kind="review",outcome="done"} 1.0', ""
            async with asyncio.timeout(240):
                while done not in text:  # the tick comes before the end of the work
                    async with session.get(f"{base}/metrics") as answer:
                        text = await answer.text()
            assert 'tenken_bot_answer_seconds_count{route="/webhook",status="401"} 1.0' in text
            assert 'tenken_bot_waiting{kind="review"} 0.0' in text
            assert "tenken_bot_last_delivery_timestamp_seconds 0.0" not in text

    asyncio.run(main())


def test_a_second_process_of_the_same_name_does_not_start(tmp_path: Path) -> None:
    """It would do all work twice."""

    async def main() -> None:
        async with world(tmp_path) as at:
            one = await at.add_bot("one")
            twin = type(one)("one", 0, one.environment, tmp_path / "twin.log")
            try:
                await twin.start()
            except AssertionError:
                assert "BOT_WORKER" in twin.log.read_text()
            else:
                raise AssertionError("it started")

    asyncio.run(main())
