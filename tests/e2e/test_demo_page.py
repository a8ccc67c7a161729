"""`tenken-bot demo` in a real browser with the real model: what the README shows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import chromium
import pytest

ROOT = Path(__file__).parents[2]
SCREENSHOT = ROOT / "bot" / "demo" / "screenshot.png"
SECONDS, MINUTES = 60, 180
PLANTED = {20, 28, 35, 41}  # lines of shop/orders.py
NO_BROWSER = "no Chromium: tests/chromium.sh installs one"
THREADS = """[...document.querySelectorAll('tr.talk')].map(
    row => Number(row.previousElementSibling.children[1].innerText))"""

pytestmark = [pytest.mark.model, pytest.mark.skipif(chromium.find() is None, reason=NO_BROWSER)]


@asynccontextmanager
async def running_demo(*arguments: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bot",
        "demo",
        "--port",
        "0",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), MINUTES)
        yield line.decode().split()[2]
    finally:
        process.terminate()
        await process.wait()


def test_review_is_typed_and_threads_appear(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each thread stands under a line with a planted fault; applying a suggestion settles its thread."""

    async def main() -> bytes:
        async with running_demo() as url, chromium.browser(tmp_path, url) as page:
            await page.until(
                "document.querySelector('.notice')?.innerText.includes('This is a demo')", SECONDS
            )
            await page.type("#text", "/review")
            await page.until("document.querySelector('.emoji')?.innerText.includes('👀')", SECONDS)
            await page.until("document.querySelector('.emoji')?.innerText.includes('✅')", MINUTES)
            lines = await page.until(THREADS, SECONDS)
            assert lines
            assert set(lines) <= PLANTED
            picture = await page.screenshot()
            await page.evaluate("document.querySelector('form[action=\"/apply\"] button').click()")
            await page.until("document.querySelector('.settled') !== null", MINUTES)
            assert len(await page.evaluate(THREADS)) <= len(lines)
            return picture

    picture = asyncio.run(main())
    assert picture.startswith(b"\x89PNG")
    if request.config.getoption("--update-goldens"):
        SCREENSHOT.write_bytes(picture)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    """All that the page asks for is on this machine, in Japanese too."""

    async def main() -> None:
        async with running_demo("--lang", "ja") as url, chromium.browser(tmp_path, url) as page:
            await page.type("#text", "/help")
            await page.until("document.body.innerText.includes('✅')", SECONDS)
            loaded = await page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
            assert loaded
            assert all(name.startswith(url) for name in loaded)
            assert "これはデモです" in await page.evaluate("document.body.innerText")

    asyncio.run(main())
