"""The bot's status page in a real browser: what it shows, loads and looks like."""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import chromium
import pytest
from aiohttp import web

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "bot"))

from status_facts import adapter, facts, said, training  # noqa: E402

from bot.status.facts import (  # noqa: E402
    Facts,
    Job,
    JobState,
    ProjectFacts,
    opinions_by_adapter,
    opinions_of,
)
from bot.status.site import StatusSite  # noqa: E402
from engine.curves import LossCurve, LossPoint, curve_of  # noqa: E402
from engine.feedback import FeedbackVerdict  # noqa: E402
from engine.lifecycle import AdapterState  # noqa: E402
from engine.listening import listening  # noqa: E402

SCREENSHOT = ROOT / "bot" / "status" / "screenshot.png"
SECONDS = 60
NO_BROWSER = "no Chromium: tests/chromium.sh installs one"
NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC).timestamp()
CONTRASTS = """(() => {
  const parts = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number)
  const light = text => parts(text).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor
      if (!colour.endsWith(', 0)')) return colour
    }
    return 'rgb(255, 255, 255)'
  }
  return [...document.querySelectorAll('body *')]
    .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
    .filter(node => !node.closest('svg') && !node.matches('.skip'))
    .map(node => {
      const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x)
      return [(a + 0.05) / (b + 0.05), node.innerText]
    }).sort((x, y) => x[0] - y[0])[0]
})()"""

COLOURS = CONTRASTS[CONTRASTS.index("  const parts") : CONTRASTS.index("  return [...")]
DRAWN = f"""(() => {{
{COLOURS}
  const kinds = {{line: ['.curve polyline', 'stroke'], text: ['.curve text', 'fill']}}
  const [selector, property] = kinds.WHAT
  return [...document.querySelectorAll(selector)].map(node => {{
    const [a, b] = [light(getComputedStyle(node)[property]), light(behind(node))].sort((x, y) => y - x)
    return [(a + 0.05) / (b + 0.05), node.outerHTML.slice(0, 80)]
  }}).sort((x, y) => x[0] - y[0])[0]
}})()"""
LINES = """[...document.querySelectorAll('svg.curve polyline')]
  .map(line => [line.parentNode.getAttribute('class'), getComputedStyle(line).strokeDasharray])"""
# Words and marks of a curve that stick out of their picture, or words that lie over other words.
OUTSIDE = """[...document.querySelectorAll('svg.curve')].flatMap(svg => {
  const frame = svg.getBoundingClientRect()
  const parts = [...svg.querySelectorAll('text, circle, rect, polyline')]
  const words = [...svg.querySelectorAll('text')]
  const boxes = words.map(text => [text.textContent, text.getBoundingClientRect()])
  const out = parts.map(part => [part, part.getBoundingClientRect()])
    .filter(([_, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
    .map(([part]) => part.outerHTML)
  const over = boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
    .filter(([_, b]) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
    .map(([other]) => `${one} over ${other}`))
  return [...out, ...over]
})"""

pytestmark = pytest.mark.skipif(chromium.find() is None, reason=NO_BROWSER)


def a_busy_day() -> Facts:
    """Return facts as a team of some size would see them."""

    def job(what: str, iid: int, state: JobState, asked: int, took: float | None, **fields: Any) -> Job:
        ended = NOW - asked + took if took is not None else None
        kind = fields.get("kind", "errand" if what.startswith("/") else "review")
        return Job(
            kind,
            what,
            7,
            iid,
            state,
            "one" if state is not JobState.WAITING else "",
            NOW - asked,
            None,
            ended,
        )

    verdicts = [FeedbackVerdict.ACCEPTED] * 21 + [FeedbackVerdict.APPLIED] * 9
    verdicts += [FeedbackVerdict.DISMISSED] * 5 + [FeedbackVerdict.WRONG] * 4
    feedback = [
        said("a", verdict, f"team-{1 + number % 3}").model_copy(update={"fingerprint": f"{number:016x}"})
        for number, verdict in enumerate(verdicts)
    ]
    history = (
        adapter("team-41c09b5a77e2", AdapterState.CANDIDATE, 0, line_auc=0.962, right_line=0.851),
        adapter("team-3", AdapterState.CHAMPION, 6, line_auc=0.957, right_line=0.842),
        adapter("team-2", AdapterState.RETIRED, 20, line_auc=0.949, right_line=0.812),
        adapter("team-1", AdapterState.RETIRED, 41, line_auc=0.931, right_line=0.818),
    )
    curves = {
        adapter.version: a_curve(number, steps)
        for number, (adapter, steps) in enumerate(zip(history, (400, 320, 260), strict=False))
    }
    project = ProjectFacts(
        7, "team/shop", history, opinions_of(feedback), opinions_by_adapter(feedback), curves,
        training(a_curve(5, 150).model_copy(update={"kept_step": None})),
    )  # fmt: skip
    finished = (
        job("/ask", 211, JobState.DONE, 300, 3.2),
        job("command", 211, JobState.DONE, 900, 41),
        job("ready", 208, JobState.GIVEN_UP, 1500, 12),
        job("👍", 208, JobState.DONE, 2400, 0.6, kind="errand"),
        job("opened", 207, JobState.DONE, 4000, 118),
        job("/describe", 207, JobState.FAILED, 4100, 901),
    )
    return facts(
        workers={"one": 4.0, "two": 8.0},
        open=(
            job("command", 212, JobState.RUNNING, 25, None),
            job("pushed", 209, JobState.RUNNING, 40, None),
            job("command", 213, JobState.WAITING, 12, None),
        ),
        finished=finished,
        today=finished,
        projects=(project,),
    )


def a_curve(seed: int, steps: int) -> LossCurve:
    """Return losses as a training of so many steps would have them; the best step is not the last."""
    drawn = random.Random(seed)
    points = [
        LossPoint(
            step,
            0.45 + 2.1 * math.exp(-step / 60) + drawn.gauss(0, 0.06),
            0.72 + 1.7 * math.exp(-step / 50) + 0.0006 * step if step % 40 == 0 else None,
        )
        for step in range(10, steps + 1, 10)
    ]
    best = min((point for point in points if point.validation), key=lambda point: point.validation or 0.0)
    return curve_of(points, best.step)


@asynccontextmanager
async def shown(facts: Facts) -> AsyncIterator[str]:
    """Give the address of the page with these facts."""

    class Fixed:
        async def facts(self) -> Facts:
            return facts

    app = web.Application()
    StatusSite(Fixed(), "https://gitlab.example").add_to(app)  # type: ignore[arg-type]
    async with listening(app, shutdown_seconds=1) as port:
        yield f"http://127.0.0.1:{port}/status"


async def media(page: chromium.Page, **features: str) -> None:
    """Have the page think that somebody prefers this."""
    wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
    await page.call("Emulation.setEmulatedMedia", features=wanted)


def unfolded(heading: str) -> str:
    """Return what unfolds the numbers of the first curve below a heading, and counts their rows."""
    return f"""(() => {{
      const heading = [...document.querySelectorAll('h3')].find(each => each.innerText === '{heading}')
      const details = heading.parentNode.querySelector('details')
      details.querySelector('summary').click()
      const rows = [...details.querySelectorAll('tbody tr')].filter(row => row.checkVisibility()).length
      details.open = false
      return rows
    }})()"""


async def focused(page: chromium.Page, times: int) -> Sequence[str]:
    """Return what has the focus after each press of the tabulator."""
    found = []
    for _ in range(times):
        for kind in ("rawKeyDown", "keyUp"):
            await page.call(
                "Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9
            )
        found.append(await page.evaluate("document.activeElement.outerHTML.slice(0, 60)"))
    return found


def test_the_page_in_a_browser(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Readable in light and dark, by keys, on a narrow screen; nothing moves or is loaded from elsewhere."""

    async def main() -> bytes:
        async with shown(a_busy_day()) as url, chromium.browser(tmp_path, f"{url}?lang=en") as page:
            await page.until("document.querySelector('h1')?.innerText === 'Tenken status'", SECONDS)
            assert await page.evaluate("document.styleSheets[0].cssRules.length") > 30
            for scheme in ("light", "dark"):
                await media(page, prefers_color_scheme=scheme)
                contrast, text = await page.evaluate(CONTRASTS)
                assert contrast >= 4.5, (scheme, contrast, text)
            await media(page, prefers_color_scheme="light", prefers_reduced_motion="reduce")
            assert await page.evaluate("document.getAnimations().length") == 0
            first, *others = await focused(page, 4)
            assert 'class="skip"' in first
            assert any("Refresh" in each or 'href="/status' in each for each in others)
            loaded = await page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
            assert [name.rpartition("/")[2] for name in loaded] == ["status.css"]
            bars = await page.evaluate("document.querySelectorAll('svg.bar rect').length")
            curves = await page.evaluate("document.querySelectorAll('svg.line polyline').length")
            assert (bars, curves) == (4, 2)
            assert await page.evaluate(LINES) == [["training", "none"], ["validation", "6px, 4px"]] * 4
            for scheme in ("dark", "light"):
                await media(page, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
                for what, least in (("line", 3.0), ("text", 4.5)):  # as WCAG has it for graphics and words
                    contrast, drawn = await page.evaluate(DRAWN.replace("WHAT", what))
                    assert contrast >= least, (scheme, contrast, drawn)
            assert await page.evaluate(OUTSIDE) == []
            assert await page.evaluate(unfolded("Training under way")) > 10
            await page.evaluate("document.activeElement.blur()")
            await page.call("Emulation.setScrollbarsHidden", hidden=True)
            picture = await page.screenshot()
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True
            )
            assert await page.evaluate("document.documentElement.scrollWidth") <= 360
            return picture

    picture = asyncio.run(main())
    assert picture.startswith(b"\x89PNG")
    if request.config.getoption("--update-goldens"):
        SCREENSHOT.write_bytes(picture)


def test_the_page_in_japanese(tmp_path: Path) -> None:
    """As the browser wishes, or as the link says; the other language is one step away."""

    async def main() -> None:
        async with shown(a_busy_day()) as url, chromium.browser(tmp_path, f"{url}?lang=ja") as page:
            await page.until("document.querySelector('h1')?.innerText === 'Tenken の状態'", SECONDS)
            assert await page.evaluate("document.documentElement.lang") == "ja"
            await page.evaluate("document.querySelector('nav a[hreflang=en]').click()")
            await page.until("document.querySelector('h1')?.innerText === 'Tenken status'", SECONDS)

    asyncio.run(main())
