"""The status page: who may see it, what it says, and that nothing in it can do anything."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from bot_here import bot_here
from bot_world import World, world
from status_facts import ADAPTERS, adapter, facts, training

from bot.orders import Piece
from bot.status.charts import bar, line
from bot.status.curves import CurveWords, loss_chart, ticks
from bot.status.facts import (
    Job,
    JobState,
    Opinions,
    ProjectFacts,
    job_of_piece,
)
from bot.status.rendering import Page
from bot.status.texts import STATUS_TEXTS
from engine.curves import LossCurve
from engine.feedback import FeedbackVerdict
from engine.lifecycle import AdapterState
from engine.retraining import Stage
from engine.wire import Language

TRAINED = ProjectFacts(
    7, "team/app", ADAPTERS, Opinions({}),
    curves={"team-1": LossCurve(points=((10, 3, None), (20, 2, 1.75), (30, 1.5, None)), kept_step=20)},
    training=training(LossCurve(points=((10, 4.0, None), (150, 2.0, None)))),
)  # fmt: skip
HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
TOKEN = "a-token-of-the-status-page"


class Text(HTMLParser):
    """The page as it is read aloud, and what in it may act or load."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.styles: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and tag != "a":
                self.loads.append(value or "")
            if name == "style" or name.startswith("on"):
                self.styles.append(name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def shown(language: Language = Language.EN, **changes: Any) -> Text:
    return Text(Page(facts(**changes), language, "https://gitlab.example/").html())


def test_it_says_what_there_is() -> None:
    """Numbers, workers, jobs, opinions, adapters and how their scores went."""
    text = shown().text
    for words in (
        "running 1", "waiting 2", "done in 24 h 1", "failed in 24 h 1", "a review takes",
        "one heard of 3 s ago", "two silent for 400 s", "Review by command", "Request /ask", "team/app!3",
        "50 % of 4 findings were of use", "accepted: 1", "applied: 1", "dismissed: 1", "wrong: 1",
        "team-2 champion 2026-11-26 12:00 UTC line_auc 0.953, right_line 0.81 67 % (3)",
        "line_auc: from 0.91 to 0.953 over 2 versions",
    ):  # fmt: skip
        assert words in text, words
    assert "right_line: from" not in text  # one version alone is no curve


def test_it_says_so_in_japanese() -> None:
    """All of it but for names."""
    text = shown(Language.JA).text
    assert "4 件の指摘のうち 50 % が役に立ちました" in text
    left = re.sub(r"team/app!?\d*|team-\d|line_auc|right_line|English|Tenken|UTC|/ask|one|two", "", text)
    assert not re.search(r"[A-Za-z]{3,}", left), left


def test_nothing_is_there_yet() -> None:
    """A bot that has just begun says so, section by section."""
    text = shown(workers={}, open=(), finished=(), projects=()).text
    for words in (
        "Nothing runs and nothing waits",
        "Nothing was finished yet",
        "No project has been heard of",
    ):
        assert words in text


def test_what_the_engine_does_not_tell_is_not_made_up() -> None:
    """Neither an engine that is away nor a token that may not ask looks like a project without feedback."""
    away = shown(engine_answers=False, projects=(ProjectFacts(7, "team/app"),)).text
    assert "The engine does not answer" in away
    assert "The engine does not say" in away
    refused = shown(projects=(ProjectFacts(7, "team/app", ADAPTERS),)).text
    assert "needs the role trainer" in refused
    assert "Nobody has said anything" not in refused


def test_names_are_text() -> None:
    """Whatever workers, projects, commands, adapters and scores are called."""
    odd = adapter("team-3", AdapterState.CANDIDATE, 0).model_copy(
        update={"version": HOSTILE, "scores": {HOSTILE: 0.5}}
    )
    page = shown(
        workers={HOSTILE: 1.0},
        open=(Job(HOSTILE, HOSTILE, 7, 3, JobState.RUNNING, HOSTILE, 0.0, None, None),),
        projects=(ProjectFacts(7, HOSTILE, (odd, odd), Opinions({}), {}),),
    )
    assert not {"script", "img", "iframe", "form", "object"} & set(page.tags)
    assert page.text.count("<script>alert(1)</script>") >= 6


def test_it_is_made_to_be_read_aloud_and_used_by_keys() -> None:
    """One heading of the first level, header cells, pictures with words, a way past the top."""
    html = Page(facts(), Language.EN, "").html()
    page = Text(html)
    assert page.tags.count("h1") == 1
    assert {"main", "header", "nav", "section", "th", "time", "figure", "figcaption"} <= set(page.tags)
    assert html.count("<svg") == html.count('role="img" aria-label="') == 2
    assert 'class="skip" href="#main"' in html
    assert html.count("<table") == html.count('role="region" tabindex="0" aria-label="')
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert set(page.loads) == {"/status.css", "data:,"}
    assert page.styles == []


def test_curves_are_read_aloud() -> None:
    """Each picture has a name and its numbers in words, and a table of the same below."""
    html = Page(facts(projects=(TRAINED,)), Language.EN, "").html()
    named = re.findall(r'role="img" aria-labelledby="(\S+) (\S+)"', html)
    assert len(named) == html.count("<details><summary>Numbers</summary>") == 2
    for title, description in named:
        assert html.count(f'<title id="{title}">Loss in training</title>') == 1
        assert html.count(f'<desc id="{description}">training: ') == 1
    assert "training: 3 → 1.5; validation: 1.75 → 1.75; kept: step 20</desc>" in html
    text = Text(html).text
    assert "Step Training Validation 10 3 – 20 2 1.75 30 1.5 –" in text
    assert "Training under way 6 of 11: training · step 155 of 400" in text
    assert "loss, nats a label" in text


def test_curves_are_in_japanese_too() -> None:
    """Names, axes and numbers."""
    text = shown(Language.JA, projects=(TRAINED,)).text
    for words in (
        "学習：3 → 1.5", "検証：1.75 → 1.75", "採用：ステップ 20", "損失（ラベルあたり nats）",
        "400 ステップ中 155 ステップ完了", "実行中の学習",
    ):  # fmt: skip
        assert words in text, words


def test_a_training_that_has_no_losses_yet() -> None:
    """It says where it is, and draws nothing."""
    status = training(LossCurve(), stage=Stage.COLLECT, done=12, total=None)
    page = shown(projects=(replace(TRAINED, training=status, curves={}),))
    assert "1 of 11: reading the project's history" in page.text
    assert "Loss in training" not in page.text


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.4, 2.3, (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)),
        (0, 400, (0, 100, 200, 300, 400)),
        (0.5, 0.5, (0.4, 0.6)),
        (0, 0, (0.0, 0.5)),
        (0, 1, (0, 0.5, 1)),
        (-3, 5, (-4, -2, 0, 2, 4, 6)),
        (1.0, 1.0 + 1e-15, (1.0, 1.5)),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, expected: Sequence[float]) -> None:
    """From just below the lowest to just above the highest; one height has an axis, too."""
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    "points",
    [
        [(0, 1.0, None)],
        [(5, None, 2.0)],
        [(1, 2.0, None), (2, 2.0, None)],
        [(1, 1e9, -1e9), (10**9, 1e-300, None)],
        [(1, 1.0, None), (2, 1.0 + 1e-15, 1.0)],
        [(step, 4 / step, 1.0) for step in range(1, 201)],
    ],
)
def test_odd_curves_stay_in_their_frame(points: list[Any]) -> None:
    """One point, one series, flat, huge, tiny and long ones: all places are numbers inside the picture."""
    curve = LossCurve(points=points, kept_step=points[0][0])
    drawn = loss_chart(curve, CurveWords("a", "b", "step", "loss", "kept"), "one")
    width, height = (int(word) for word in re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn)[0])
    places = re.findall(r' (?:x1?|cx|x2)="([^"]+)" (?:y1?|cy|y2)="([^"]+)"', drawn)
    places += re.findall(r"([^ ]+),([^ ]+)", " ".join(re.findall(r'points="([^"]*)"', drawn)))
    assert len(places) > 10
    assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in places)


def test_all_texts_are_in_both_languages() -> None:
    """The same words for the same things, and nothing left over."""
    english, japanese = STATUS_TEXTS[Language.EN], STATUS_TEXTS[Language.JA]
    assert set(english.state) == set(japanese.state) == set(JobState)
    assert set(english.verdict) == set(japanese.verdict) == set(FeedbackVerdict)
    assert (english.kind.keys(), english.reason.keys()) == (japanese.kind.keys(), japanese.reason.keys())


@pytest.mark.parametrize(
    ("status", "outcome", "state"),
    [
        ("ENQUEUED", "", JobState.WAITING),
        ("DELAYED", "", JobState.WAITING),
        ("PENDING", "", JobState.RUNNING),
        ("SUCCESS", "done", JobState.DONE),
        ("SUCCESS", "gitlab", JobState.FAILED),
        ("ERROR", "", JobState.FAILED),
        ("CANCELLED", "", JobState.GIVEN_UP),
        ("MAX_RECOVERY_ATTEMPTS_EXCEEDED", "", JobState.FAILED),
    ],
)
def test_states_of_work(status: str, outcome: str, state: JobState) -> None:
    """In words of ours; work that failed for good and was told of is done for the database alone."""
    piece = Piece("id", "review", {"project_id": 7, "iid": 3}, status, outcome, "one", 1.0, None, 4.0)
    found = job_of_piece(piece)
    assert (found.state, found.project_id, found.iid, found.seconds) == (state, 7, 3, 3.0)


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        ({"command": {"name": "ask", "text": "secret"}}, "/ask"),
        ({"project": "team/app", "iid": 0, "asked": None, "dry_run": True}, ""),  # a nightly training
        ({"good": False}, "👎"),
        ({"kind": "hint"}, "hint"),
        ({"reason": "pushed", "kind": "review"}, "pushed"),
        ({"command": 5, "iid": "3", "project_id": True}, ""),
        ({}, ""),
    ],
)
def test_what_was_wished_for(payload: Mapping[str, Any], what: str) -> None:
    """The command's name without its words; what another version has stored is no error."""
    found = job_of_piece(Piece("id", "errand", payload, "PENDING", "", "", 1.0, None, None))
    assert (found.what, found.iid, found.project_id) == (what, None, None)


def test_pictures_of_odd_numbers() -> None:
    """A curve that is flat, and a bar of one part, stay inside their frames."""
    assert "nan" not in line([("a", 0.5), ("b", 0.5)], "flat")
    assert 'width="480.0"' in bar([("wrong", 3)], "all")


@asynccontextmanager
async def site(folder: Path, **settings: Any) -> AsyncIterator[tuple[World, str, aiohttp.ClientSession]]:
    async with (
        world(folder) as at,
        bot_here(at, folder / "bot", **settings) as (_, url),
        aiohttp.ClientSession() as session,
    ):
        yield at, url, session


async def asked(url: str, request: bytes) -> bytes:
    """Return the first line of the answer to a request that no client would make."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request)
    line = await reader.readline()
    writer.close()
    return line


def test_it_is_for_this_machine_alone(tmp_path: Path) -> None:
    """Not for another name of it, nor for whom a proxy lets through; nothing can be changed by it."""

    async def main() -> None:
        async with site(tmp_path) as (at, url, session):
            mr = at.ask()
            await at.until_done([mr], 240)
            async with session.get(f"{url}/status", headers={"Accept-Language": "fr, ja;q=0.8"}) as answer:
                assert answer.status == 200
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "script-src" not in policy
                assert answer.headers["Cache-Control"] == "no-store"
                text = Text(await answer.text()).text
            assert "team/app!1" in text
            assert "レビュー コマンド" in text
            for name, value in (
                ("Host", "bot.example"),
                ("X-Forwarded-For", "10.0.0.1"),
                ("Forwarded", "for=10.0.0.1"),
            ):
                for path in ("/status", "/status.css"):
                    async with session.get(url + path, headers={name: value}) as answer:
                        assert answer.status == 403, (name, path)
            async with session.post(f"{url}/status") as answer:
                assert answer.status == 405
            old = await asked(url, b"GET /status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 403 " in old  # as some proxies ask that say nothing else of themselves

    asyncio.run(main())


def test_a_token_opens_it_to_others(tmp_path: Path) -> None:
    """As a bearer's, or as a password under any name; a wrong one, or none, is refused from anywhere."""
    right = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    wrong = base64.b64encode(b"me:other").decode()

    async def main() -> None:
        async with site(tmp_path, status_token=TOKEN) as (_, url, session):
            forwarded = {"X-Forwarded-For": "10.0.0.1", "Host": "bot.example"}
            for authorization, status in (
                (f"Bearer {TOKEN}", 200), (f"Basic {right}", 200), (f"Basic {wrong}", 401), ("Basic !", 401),
                (f"Bearer {TOKEN}x", 401), ("Basic 4pyT", 401), ("", 401), ("Digest x", 401),
            ):  # fmt: skip
                headers = {**forwarded, "Authorization": authorization}
                async with session.get(f"{url}/status", headers=headers) as answer:
                    assert answer.status == status, authorization
                    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
                    assert TOKEN not in await answer.text()
            odd = await asked(url, b"GET /status HTTP/1.1\r\nHost: bot\r\nAuthorization: Bearer \xff\r\n\r\n")
            assert b" 401 " in odd  # bytes that are no text are a wrong token

    asyncio.run(main())
