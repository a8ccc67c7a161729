"""Commands from webhook to answer: who may, where the answer goes, and that it is written once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from desk import Desk, desk, said
from scenes import BEFORE

from bot.dispatch import give_up, perform
from bot.errands import CommandErrand, Errand
from bot.errors import GitLabUnavailable
from bot.fake_gitlab import FaultKind
from bot.gitlab import Access
from bot.handlers.catalogue import COMMANDS
from bot.jobs import Reason
from bot.markers import marker_of
from engine.errors import Unreachable
from engine.findings import Severity
from engine.wire import Language

JAPANESE = BEFORE | {".tenken.toml": 'language = "ja"\n'}


def run(test: Callable[[Desk], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with desk(**details) as stage:
            await test(stage)

    asyncio.run(play())


def test_a_review_is_submitted_and_acknowledged() -> None:
    """The asking note gets its 👀, the job knows whom to answer, and nothing is written yet."""

    async def test(stage: Desk) -> None:
        assert await stage.say("Please\n/review src/ docs --full --severity=major --lang ja") == ""
        (job,) = stage.jobs.reviews
        assert job.reason is Reason.COMMAND
        assert (job.paths, job.full, job.severity, job.language) == (
            ("src/", "docs"),
            True,
            Severity.MAJOR,
            Language.JA,
        )
        assert [asked.note_id for asked in job.asked] == [stage.last_note.id]
        assert stage.reactions(stage.last_note) == ["eyes"]

    run(test)


def test_every_command_is_in_the_help() -> None:
    """With how it is used and who may use it here."""

    async def test(stage: Desk) -> None:
        text = await stage.say("/help")
        for spec in COMMANDS:
            assert f"`{spec.usage}`".replace("|", r"\|") in text
            assert spec.about[Language.EN] in text
        assert stage.reactions(stage.last_note) == ["eyes", "white_check_mark"]

    run(test)


@pytest.mark.parametrize("name", [spec.name for spec in COMMANDS])
def test_every_command_has_an_example_in_its_help(name: str) -> None:
    """/help NAME shows usage, example and role."""
    (spec,) = (spec for spec in COMMANDS if spec.name == name)

    async def test(stage: Desk) -> None:
        text = await stage.say(f"/help {name}")
        assert spec.usage in text
        assert spec.example in text
        assert "Needs the role" in text

    run(test)


def test_answers_are_in_the_projects_language() -> None:
    """Help, refusals and hints are in Japanese where the target branch says so."""

    async def test(stage: Desk) -> None:
        assert "使い方" in await stage.say("/help")
        assert "ロールが必要です" in await stage.say("/review", stage.member("reporter", Access.REPORTER))
        assert "のことでしょうか" in await stage.say("/reveiw")

    run(test, before=JAPANESE, after=JAPANESE | {"src/app.py": "x = 1\n"})


def test_the_source_branch_sets_nothing() -> None:
    """The author of a change does not choose how it is reviewed."""

    async def test(stage: Desk) -> None:
        assert "What I do" in await stage.say("/help")

    run(test, after=JAPANESE | {"src/app.py": "x = 1\n"})


def test_broken_settings_do_not_silence_the_bot() -> None:
    """A mistake in .tenken.toml must not take /help away."""

    async def test(stage: Desk) -> None:
        assert "What I do" in await stage.say("/help")

    broken = BEFORE | {".tenken.toml": "language = 5\n"}
    run(test, before=broken, after=broken | {"src/app.py": "x = 1\n"})


ROLES = [
    ("/review", Access.DEVELOPER),
    ("/ask why?", Access.DEVELOPER),
    ("/describe", Access.DEVELOPER),
    ("/adapters", Access.DEVELOPER),
    ("/retrain", Access.MAINTAINER),
    ("/retrain status", Access.MAINTAINER),
    ("/rollback", Access.MAINTAINER),
    ("/help", Access.REPORTER),
]


@pytest.mark.parametrize(("text", "needed"), ROLES)
def test_commands_need_their_role(text: str, needed: Access) -> None:
    """Whoever has it is served; whoever has less is told which role it takes, and nothing is done."""

    async def test(stage: Desk) -> None:
        below = max(role for role in Access if role < needed)
        answer = await stage.say(text, stage.member("below", below))
        assert f"the role {needed.name.title()} or above" in answer
        assert stage.reactions(stage.last_note) == ["confused"]
        assert not stage.jobs.reviews
        assert not stage.learning.wishes
        assert not stage.engine.questions
        answer = await stage.say(text, stage.member("enough", needed))
        assert "or above" not in answer or text == "/help"
        assert "eyes" in stage.reactions(stage.last_note)

    run(test)


def test_strangers_are_refused() -> None:
    """Whoever is no member runs nothing; a slip of theirs is not even answered."""

    async def test(stage: Desk) -> None:
        stranger = stage.member("stranger", Access.NONE)
        assert "for members of this project" in await stage.say("/review", stranger)
        assert await stage.say("/reveiw", stranger) == ""
        assert await stage.say("@tenken hello", stranger) == ""
        assert not stage.jobs.reviews

    run(test)


def test_a_fork_needs_a_members_command() -> None:
    """The role counts in the project that the changes go into, not in the fork."""

    async def test(stage: Desk) -> None:
        fork = stage.scene.fake.add_project("stranger/app", BEFORE)
        stranger = stage.member("stranger", Access.NONE)
        fork.members[stranger.id] = Access.OWNER
        changed = BEFORE | {"src/app.py": "x = 1\n"}
        stage.scene.mr = stage.scene.fake.add_merge_request(
            stage.scene.project, changed, author=stranger, branch="theirs", fork=fork
        )
        assert "for members of this project" in await stage.say("/review", stranger)
        assert not stage.jobs.reviews
        assert await stage.say("/review", stage.member("dev", Access.DEVELOPER)) == ""
        assert len(stage.jobs.reviews) == 1

    run(test)


def test_settings_choose_roles() -> None:
    """What a command needs is the site's to say."""

    async def test(stage: Desk) -> None:
        assert "Maintainer or above" in await stage.say("/review")
        assert "Reporter or above" not in await stage.say("/ask why?", stage.member("r", Access.REPORTER))
        assert len(stage.engine.questions) == 1

    run(test, access={"review": Access.MAINTAINER, "ask": Access.REPORTER})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/review --ful", "no option `--ful`"),
        ("/review --lang=fr", "`--lang` is one of `en`, `ja`, not `fr`"),
        ("/review --severity", "`--severity` is one of"),
        ("/review --full=yes", "`--full` takes no value"),
        ("/review /etc/passwd", "`/etc/passwd` is no path"),
        ("/review ../secrets", "`../secrets` is no path"),
        ("/review " + "a " * 51 + "b" * 9, "At most 50 paths"),
        ("/rollback a b", "used like this"),
        ("/rollback --all", "has no options"),
        ("/retrain everything", "used like this"),
        ("/retrain status --dry-run", "used like this"),
        ("/ask", "What is the question?"),
        ("/ask " + "x" * 2001, "at most 2,000"),
        ("/feedback", "good or bad"),
        ("/feedback maybe", "good or bad"),
        ("/feedback good", "thread of one of my findings"),
        ("/dismiss", "thread of one of my findings"),
        ("/explain", "thread of one of my findings"),
        ("/help nothing", "no command `/nothing`"),
    ],
)
def test_what_is_not_understood_is_said(text: str, expected: str) -> None:
    """The refusal says what was wrong, and nothing is done."""

    async def test(stage: Desk) -> None:
        assert expected in await stage.say(text, stage.member("chief", Access.MAINTAINER))
        assert "confused" in stage.reactions(stage.last_note)
        assert (stage.jobs.reviews, stage.learning.wishes, stage.engine.questions) == ([], [], [])

    run(test)


@pytest.mark.parametrize(
    "text",
    [
        "/review --x`@all`\u202e",
        "/review --lang=</code><script>",
        "/help @all](http://evil.example)",
        "/rollback ![x](http://evil.example/x.png) /approve",
    ],
)
def test_what_somebody_wrote_does_nothing_in_the_answer(text: str) -> None:
    """Words of the asker are shown as code, and no quick action or mention comes of them."""

    async def test(stage: Desk) -> None:
        answer = await stage.say(text, stage.member("chief", Access.MAINTAINER))
        assert answer
        assert not stage.scene.fake.world.actions
        assert "<script" not in answer.replace("`</code><script>`", "")
        assert "\u202e" not in answer

    run(test)


def test_a_closed_merge_request_is_not_reviewed() -> None:
    """There is nothing to decide on any more."""

    async def test(stage: Desk) -> None:
        stage.scene.mr.state = "merged"
        assert "only review open" in await stage.say("/review")
        assert not stage.jobs.reviews

    run(test)


def test_answers_go_into_the_asking_thread() -> None:
    """A single note becomes a thread by the answer; a reply is answered where it stands."""

    async def test(stage: Desk) -> None:
        thread, _ = stage.pen().note("/help")
        await stage.work()
        assert [note.author.username for note in thread.notes] == ["author", "tenken"]
        stage.pen().reply(thread, "/help review")
        await stage.work()
        assert len(thread.notes) == 4

    run(test)


def test_internal_notes_are_answered_internally() -> None:
    """What only members may see is not told to others."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/help", internal=True)
        stage.pen().note("/review", internal=True)
        await stage.work()
        assert [note.internal for note in stage.scene.bot_notes] == [True]
        assert stage.jobs.reviews[0].asked[0].internal

    run(test)


def test_without_its_thread_an_answer_is_a_note() -> None:
    """Old servers do not say which discussion, and a thread may be gone."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/help", internal=True)
        (errand,) = await stage.errands()
        for discussion_id in ("", "f" * 40):
            place = errand.place.model_copy(update={"discussion_id": discussion_id})  # type: ignore[union-attr]
            await perform(errand.model_copy(update={"place": place}), stage.ports, stage.registry)
        (answer,) = stage.scene.bot_notes
        assert answer.internal

    run(test)


def test_an_answer_is_written_once() -> None:
    """The same errand done again, as after a crash, finds its answer and asks nobody anything."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/ask why?")
        (errand,) = await stage.errands()
        for _ in range(3):
            await perform(errand, stage.ports, stage.registry)
        assert len(stage.scene.bot_notes) == 1
        assert len(stage.engine.questions) == 1
        assert stage.reactions(stage.last_note) == ["eyes", "white_check_mark"]

    run(test)


def test_a_refusal_is_written_once() -> None:
    """And stays one, whoever the asker has become meanwhile."""

    async def test(stage: Desk) -> None:
        person = stage.member("reporter", Access.REPORTER)
        stage.pen(person).note("/review")
        (errand,) = await stage.errands()
        await perform(errand, stage.ports, stage.registry)
        stage.scene.project.members[person.id] = Access.OWNER
        await perform(errand, stage.ports, stage.registry)
        assert len(stage.scene.bot_notes) == 1
        assert not stage.jobs.reviews
        assert stage.reactions(stage.last_note) == ["confused"]

    run(test)


def test_a_lost_answer_is_not_repeated() -> None:
    """The connection breaks after GitLab stored the note: it is found again, not written twice."""

    async def test(stage: Desk) -> None:
        stage.scene.fake.fail(FaultKind.DROPPED_AFTER, method="POST", path="/notes$")
        stage.pen().note("/help")
        await stage.work()
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_a_forged_answer_does_not_count() -> None:
    """A marker that somebody else wrote does not keep the bot from answering."""

    async def test(stage: Desk) -> None:
        thread, _ = stage.pen().note("/help")
        (errand,) = await stage.errands()
        assert isinstance(errand, CommandErrand)
        forged = f"<!-- tenken:reply {errand.place.note_id}-{errand.command.key} -->"
        stage.pen(stage.member("forger", Access.DEVELOPER)).reply(thread, f"ha\n\n{forged}")
        await perform(errand, stage.ports, stage.registry)
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_an_edited_note_runs_what_is_new() -> None:
    """A command that was there before the edit does not run again."""

    async def test(stage: Desk) -> None:
        thread, note = stage.pen().note("/review")
        await stage.work()
        stage.pen().edit(thread, note, "Sorry:\n/review\n/help")
        await stage.work()
        stage.pen().edit(thread, note, "Sorry, again:\n/review\n/help")
        await stage.work()
        assert len(stage.jobs.reviews) == 1
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_the_bot_does_not_answer_itself() -> None:
    """Its own help names every command, at line starts too, and none of them runs."""

    async def test(stage: Desk) -> None:
        await stage.say("/help")
        stage.scene.fake.as_person(stage.scene.fake.bot, stage.scene.project, stage.scene.mr).note("/review")
        await stage.work()
        assert not stage.jobs.reviews
        assert len(stage.scene.bot_notes) == 2

    run(test)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/reveiw", "Did you mean `/review`?"),
        ("／review", "Did you mean `/review`?"),
        ("@tenken hello there", "My commands are `/review`, `/ask`"),
    ],
)
def test_a_slip_gets_a_hint(text: str, expected: str) -> None:
    """Once for each note, however often it is edited."""

    async def test(stage: Desk) -> None:
        thread, note = stage.pen().note(text)
        await stage.work()
        assert expected in said(stage.scene.bot_notes[0])
        stage.pen().edit(thread, note, f"{text}!!\n{text}")
        await stage.work()
        assert len(stage.scene.bot_notes) == 1
        assert not stage.jobs.reviews

    run(test)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("/retrain", "retrain"),
        ("/retrain --dry-run", "dry run"),
        ("/retrain STATUS", "status"),
        ("/retrain cancel", "cancel"),
        ("/rollback", "roll back to the one before"),
        ("/rollback team-0123456789ab", "roll back to team-0123456789ab"),
    ],
)
def test_learning_is_asked(text: str, what: str) -> None:
    """The port gets the wish of a maintainer, and what it says is the answer."""

    async def test(stage: Desk) -> None:
        chief = stage.member("chief", Access.MAINTAINER)
        assert await stage.say(text, chief) == f"learning: {what}"
        ((_, wish),) = stage.learning.wishes
        assert (wish.project, wish.username, wish.note_id) == ("team/app", "chief", stage.last_note.id)

    run(test)


@pytest.mark.parametrize("text", ["/retrain", "/rollback"])
def test_learning_may_not_be_set_up(text: str) -> None:
    """Then the refusal says so."""

    async def test(stage: Desk) -> None:
        answer = await stage.say(text, stage.member("chief", Access.MAINTAINER))
        assert "Learning is not set up" in answer

    run(test, learning=False)


def test_what_may_pass_is_left_to_be_tried_again() -> None:
    """An engine or a GitLab that does not answer is no reason to refuse."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/ask why?")
        (errand,) = await stage.errands()
        stage.engine.error = Unreachable("no engine")
        with pytest.raises(Unreachable):
            await perform(errand, stage.ports, stage.registry)
        assert not stage.scene.bot_notes
        stage.engine.error = None
        stage.scene.fake.fail(FaultKind.SERVER_ERROR, times=100)
        with pytest.raises(GitLabUnavailable):
            await perform(errand, stage.ports, stage.registry)
        stage.scene.fake.options.faults.clear()
        await perform(errand, stage.ports, stage.registry)
        assert len(stage.scene.bot_notes) == 1

    run(test)


def test_what_fails_for_good_is_said_in_the_thread() -> None:
    """In the project's language, once, with a 😕."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/ask why?")
        (errand,) = await stage.errands()
        for _ in range(2):
            await give_up(errand, lambda language: f"failed in {language}", stage.ports)
        (note,) = stage.scene.bot_notes
        assert said(note) == "failed in ja"
        assert stage.reactions(stage.last_note) == ["confused"]
        marker = marker_of(note.body)
        assert marker is not None
        assert "refused" in marker.info

    run(test, before=JAPANESE, after=JAPANESE | {"src/app.py": "x = 1\n"})


def test_commands_of_a_gone_merge_request_are_left() -> None:
    """There is nobody to answer."""

    async def test(stage: Desk) -> None:
        stage.pen().note("/help")
        errands: list[Errand] = await stage.errands()
        del stage.scene.project.merge_requests[stage.scene.mr.iid]
        for errand in errands:
            old = errand.model_copy(update={"received": 1})
            await perform(old, stage.ports, stage.registry)
            await give_up(old, str, stage.ports)

    run(test)


@pytest.mark.parametrize("text", ["/help", "/reveiw", "/review"])
def test_a_merge_request_that_gitlab_does_not_show_yet_is_asked_for_again(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica may be behind what the webhook told: the command is not lost, but done when it is there."""
    monkeypatch.setattr("bot.freshness.LAG_SECONDS", 3600.0)

    async def test(stage: Desk) -> None:
        stage.pen().note(text)
        (errand,) = await stage.errands()
        shown = stage.scene.project.merge_requests
        hidden = shown.pop(stage.scene.mr.iid)
        with pytest.raises(GitLabUnavailable, match="not show the merge request yet"):
            await perform(errand, stage.ports, stage.registry)
        shown[hidden.iid] = hidden
        await perform(errand, stage.ports, stage.registry)
        assert stage.jobs.reviews or stage.scene.bot_notes

    run(test)
