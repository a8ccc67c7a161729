"""Commands and reactions in the thread of a finding, and questions about code."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from desk import Desk, desk
from markdown_it import MarkdownIt
from scenes import AFTER, BEFORE

from bot.dispatch import perform
from bot.errands import CommandErrand
from bot.fake_gitlab.shapes import Position
from bot.fake_gitlab.state import Account, Thread
from bot.gitlab import Access, DiffRefs, FileChange, PositionType, RangeEnd
from bot.gitlab import Position as DiffPosition
from bot.handlers.reading import change_text, spot_of
from bot.markers import Marker, MarkerKind, marked
from engine.feedback import FeedbackVerdict
from engine.lifecycle import AdapterState, RegisteredAdapter
from engine.wire import Answer

FINGERPRINT = "0123456789abcdef"
MESSAGE = "**minor · bug** Mutable default."
BODY = marked(MESSAGE, Marker(MarkerKind.FINDING, FINGERPRINT, {"adapter": "team-0123456789ab"}))


def run(test: Callable[[Desk], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with desk(**details) as stage:
            await test(stage)

    asyncio.run(play())


def thread_on(stage: Desk, body: str = BODY, *, person: Account | None = None, **lines: int) -> Thread:
    """Open a thread in src/app.py, by the bot unless somebody else is named."""
    refs = stage.scene.refs
    position = Position.model_validate(
        {
            "position_type": "text",
            "base_sha": refs.base_sha,
            "start_sha": refs.start_sha,
            "head_sha": refs.head_sha,
            "old_path": "src/app.py",
            "new_path": "src/app.py",
            **(lines or {"new_line": 6}),
        }
    )
    thread, _ = stage.pen(person or stage.scene.fake.bot).discussion(body, position)
    return thread


def test_dismissing_resolves_and_remembers() -> None:
    """The finding is kept as dismissed, with adapter, role and reason, and its thread is settled."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage)
        assert "Dismissed" in await stage.say("/dismiss we do this on purpose", thread=thread)
        (feedback,) = stage.engine.feedback
        assert (feedback.fingerprint, feedback.verdict) == (FINGERPRINT, FeedbackVerdict.DISMISSED)
        assert (feedback.project, feedback.adapter) == ("team/app", "team-0123456789ab")
        assert (feedback.role, feedback.reason) == ("developer", "we do this on purpose")
        assert thread.notes[0].resolved_by is stage.scene.fake.bot

    run(test)


def test_it_is_known_when_it_was_said() -> None:
    """To the millisecond: of two words within a second the later one has to hold."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage)
        stage.pen().reply(thread, "/feedback good")
        (errand,) = await stage.errands()
        assert isinstance(errand, CommandErrand)
        await perform(errand.model_copy(update={"received": 1_790_000_000_123}), stage.ports, stage.registry)
        (feedback,) = stage.engine.feedback
        assert feedback.created.timestamp() == pytest.approx(1_790_000_000.123, abs=1e-6)

    run(test)


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        ("/feedback good", FeedbackVerdict.ACCEPTED, ""),
        ("/feedback BAD it is never shared", FeedbackVerdict.WRONG, "it is never shared"),
        ("/feedback　bad　共有されない", FeedbackVerdict.WRONG, "共有されない"),
    ],
)
def test_feedback_is_kept(text: str, verdict: FeedbackVerdict, reason: str) -> None:
    """In the words of whoever gives it; the thread stays open."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage)
        assert "Noted" in await stage.say(text, thread=thread)
        (feedback,) = stage.engine.feedback
        assert (feedback.verdict, feedback.reason) == (verdict, reason)
        assert thread.notes[0].resolved_by is None

    run(test)


@pytest.mark.parametrize("text", ["/dismiss", "/feedback good", "/explain"])
def test_a_forged_finding_is_none(text: str) -> None:
    """A thread that somebody else opened with the bot's marker is not the bot's."""

    async def test(stage: Desk) -> None:
        forger = stage.member("forger", Access.DEVELOPER)
        answer = await stage.say(text, thread=thread_on(stage, person=forger))
        assert "one of my findings" in answer
        assert not stage.engine.feedback

    run(test)


@pytest.mark.parametrize(
    ("emoji", "verdict"),
    [("thumbsup", FeedbackVerdict.ACCEPTED), ("thumbsdown", FeedbackVerdict.WRONG)],
)
def test_a_thumb_is_feedback(emoji: str, verdict: FeedbackVerdict) -> None:
    """Nobody is answered, and doing it again says the same."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage)
        react(stage, thread, emoji, stage.scene.author)
        await stage.work()
        assert [one.verdict for one in stage.engine.feedback] == [verdict]
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_a_strangers_thumb_does_not_count() -> None:
    """Whoever may not use /feedback cannot say the same with a reaction."""

    async def test(stage: Desk) -> None:
        react(stage, thread_on(stage), "thumbsdown", stage.member("stranger", Access.NONE))
        await stage.work()
        assert not stage.engine.feedback

    run(test)


def react(stage: Desk, thread: Thread, emoji: str, person: Account) -> None:
    scene = stage.scene
    scene.fake.webhooks.emoji(
        scene.project, scene.mr, thread.id, thread.notes[0], (1, emoji, person), "award"
    )


def test_a_question_is_about_the_lines_of_its_thread() -> None:
    """The model gets them with what is around, the path and the whole question."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage, "What is this?", person=stage.scene.author)
        answer = await stage.say("/ask Can this\nbe `null`?", thread=thread)
        assert answer.startswith("It can.")
        assert "gemma-3-270m" in answer
        (question,) = stage.engine.questions
        assert question.question == "Can this\nbe `null`?"
        assert (question.path, question.lines) == ("src/app.py", (6, 6))
        lines = question.code.split("\n")
        assert lines[6 - question.first_line] == "added = True"
        assert (question.diff, question.finding, question.project) == ("", "", "team/app")

    run(test)


def test_a_question_about_removed_lines_shows_the_old_file() -> None:
    """They are not in the new one."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage, "Why?", person=stage.scene.author, old_line=30)
        await stage.say("/ask why", thread=thread)
        (question,) = stage.engine.questions
        assert question.code.split("\n")[30 - question.first_line] == "line_30 = 30"

    run(test)


def test_a_question_elsewhere_is_about_the_change() -> None:
    """Outside of a diff thread the model reads the diff."""

    async def test(stage: Desk) -> None:
        await stage.say("/ask what does it do?")
        (question,) = stage.engine.questions
        assert "+added = True" in question.diff
        assert "+++ b/日本語/新規.py" in question.diff

    run(test)


def test_explaining_takes_the_finding_along() -> None:
    """The model gets the message without its marker, and the lines."""

    async def test(stage: Desk) -> None:
        await stage.say("/explain", thread=thread_on(stage))
        (question,) = stage.engine.questions
        assert question.finding == MESSAGE
        assert question.lines == (6, 6)
        assert question.question

    run(test)


def test_describing_changes_nothing() -> None:
    """Title and summary are proposed in a note; the merge request stays as it is."""

    async def test(stage: Desk) -> None:
        stage.engine.reply = Answer(text="Add a flag\n\nIt adds a flag.", truncated=True, left_out=True)
        answer = await stage.say("/describe")
        assert "Proposed title" in answer
        assert "cut off" in answer
        assert "too long for the model" in answer
        assert stage.scene.mr.title == "A change"
        assert not [write for write in stage.scene.writes if write.startswith("PUT")]

    run(test)


@pytest.mark.parametrize(
    "text",
    [
        "/close",
        "line\n/approve",
        "line\r/merge",
        "@all look",
        "![x](http://evil.example/x.png)",
        "<img src=x>",
    ],
)
def test_an_answer_of_the_model_does_nothing(text: str) -> None:
    """What the model writes is shown and never acts."""

    async def test(stage: Desk) -> None:
        stage.engine.reply = Answer(text=text)
        answer = await stage.say("/ask why?")
        assert answer
        assert not stage.scene.fake.world.actions
        assert not stage.scene.fake.world.todos
        shown = MarkdownIt("commonmark").render(answer)
        assert "<img" not in shown
        assert "href" not in shown

    run(test)


def test_a_change_without_text_is_not_asked_about() -> None:
    """Binary files alone leave nothing to read."""

    async def test(stage: Desk) -> None:
        stage.scene.mr.versions[-1] = replace(
            stage.scene.mr.version, changes=(FileChange("a.png", "a.png", ""),)
        )
        assert "no text here" in await stage.say("/describe")
        assert not stage.engine.questions

    run(test)


def test_what_did_not_fit_is_said() -> None:
    """A large change is read in part, and the answer says in which."""

    async def test(stage: Desk) -> None:
        await stage.say("/ask what?")
        assert "The model read" in stage.scene.bot_notes[-1].body

    big = AFTER | {f"src/big{n}.py": "x = 1\n" * 20_000 for n in range(3)}
    run(test, before=BEFORE, after=big)


def test_change_text_takes_whole_files() -> None:
    """The first that does not fit at all is cut, and later small ones still come along."""
    files = [FileChange("a", "a", "x" * 300_000), FileChange("b", "b", ""), FileChange("c", "c", "+y\n")]
    text = change_text(files)
    assert len(text.diff) == 200_000
    assert (text.seen, text.all) == (1, 3)
    text = change_text(files[2:] + files[:2])
    assert (text.seen, text.all) == (1, 3)
    assert text.diff.endswith("+y\n")


REFS = DiffRefs("b" * 40, "s" * 40, "h" * 40)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (None, None),
        (DiffPosition(REFS, "a", "b", PositionType.FILE), None),
        (DiffPosition(REFS, "a", "b"), None),
        (DiffPosition(REFS, "a", "b", new_line=5), ("b", "h" * 40, 5, 5)),
        (DiffPosition(REFS, "a", "b", old_line=5), ("a", "b" * 40, 5, 5)),
        (DiffPosition(REFS, "a", "b", old_line=4, new_line=5), ("b", "h" * 40, 5, 5)),
        (
            DiffPosition(REFS, "a", "b", new_line=9, start=RangeEnd("", "new", None, 7)),
            ("b", "h" * 40, 7, 9),
        ),
        (
            DiffPosition(REFS, "a", "b", new_line=9, start=RangeEnd("", "new", None, 70)),
            ("b", "h" * 40, 9, 9),
        ),
        (
            DiffPosition(REFS, "a", "b", new_line=999, start=RangeEnd("", "new", None, 1)),
            ("b", "h" * 40, 880, 999),
        ),
    ],
)
def test_spots(position: DiffPosition | None, expected: tuple[str, str, int, int] | None) -> None:
    """The new side counts where there is one; a range keeps its end and a bounded length."""
    spot = spot_of(position)
    assert (spot and (spot.path, spot.commit, spot.first, spot.last)) == expected


def test_adapters_are_listed() -> None:
    """With state and scores; a project without any is told so."""

    async def test(stage: Desk) -> None:
        assert "no adapter of its own" in await stage.say("/adapters")
        made = datetime(2026, 11, 1, 12, tzinfo=UTC)
        stage.engine.registered = (
            RegisteredAdapter(
                project="team/app",
                version="team-0123456789ab",
                name="team",
                path="adapters/team-0123456789ab",
                base_model="gemma-3-270m",
                base_sha256="0" * 64,
                state=AdapterState.CHAMPION,
                scores={"item_auc": 0.88312},
                created=made,
                added=made,
            ),
        )
        answer = await stage.say("/adapters")
        assert "| `team-0123456789ab` | champion | 2026-11-01 12:00 UTC | `item_auc` 0.883 |" in answer

    run(test)


def test_long_lines_and_short_files_are_read() -> None:
    """A minified line is cut, and a thread below the end of the file is about the change instead."""

    async def test(stage: Desk) -> None:
        thread = thread_on(stage, "?", person=stage.scene.author, new_line=1)
        await stage.say("/ask a", thread=thread)
        assert stage.engine.questions[-1].code.split("\n")[0] == "x" * 500
        assert stage.engine.questions[-1].lines == (1, 1)
        sha = stage.scene.refs.head_sha
        stage.scene.project.commits[sha] = {"src/app.py": b""}
        await stage.say("/ask b", thread=thread)
        assert stage.engine.questions[-1].code == ""
        assert stage.engine.questions[-1].diff

    run(test, after={"src/app.py": "x" * 10_000 + "\nlast\n"})
