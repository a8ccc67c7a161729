"""Publishing: each finding once, on its line, in one notification, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reviews import finding_at, publish_in, review_of
from scenes import AFTER, BEFORE, Scene, impatient, scene

from bot import gitlab_connection
from bot.errors import GitLabError, GitLabRefused, GitLabUnavailable, Superseded
from bot.fake_gitlab import FaultKind, Options
from bot.fake_gitlab.state import StoredNote, Thread
from bot.markers import SUMMARY, MarkerKind, marker_of
from engine.findings import Category, Finding, Severity
from engine.wire import FileCoverage, SkipReason

DATA = Path(__file__).parent / "data"
ADDED = finding_at(AFTER, "src/app.py", 6, suggestion="added = False")
CONTEXT = finding_at(AFTER, "src/app.py", 4)
OUTSIDE = finding_at(AFTER, "src/app.py", 15)
RENAMED = finding_at(AFTER, "docs/new name.md", 4, category=Category.DOCS)
NEW_FILE = finding_at(AFTER, "日本語/新規.py", 1, 3, severity=Severity.CRITICAL)
FINDINGS = [ADDED, CONTEXT, OUTSIDE, RENAMED, NEW_FILE]
AFTER_PUSH = {**AFTER, "日本語/新規.py": "import sys\n\nprint(sys.argv)\n"}


def run(test: Callable[[Scene], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with scene(**{"attempts": 3, **details}) as stage:
            with impatient(stage.fake):
                await test(stage)
            assert [action for who, action in stage.fake.world.actions if who is stage.fake.bot] == []

    asyncio.run(play())


def threads(stage: Scene) -> dict[str, Thread]:
    """Return the threads of findings by fingerprint; each may be there once."""
    found: dict[str, Thread] = {}
    for thread in stage.mr.threads:
        marker = marker_of(thread.notes[0].body)
        if thread.notes[0].author is stage.fake.bot and marker and marker.kind is MarkerKind.FINDING:
            assert marker.id not in found
            found[marker.id] = thread
    return found


def summaries(stage: Scene) -> list[StoredNote]:
    return [note for note in stage.bot_notes if marker_of(note.body) == SUMMARY]


def assert_all_there(stage: Scene, findings: list[Finding]) -> None:
    assert set(threads(stage)) == {finding.fingerprint for finding in findings}
    assert len(summaries(stage)) == 1
    assert stage.mr.drafts == []


def test_everything_is_posted_on_its_line() -> None:
    """Added, unchanged, outside all hunks, renamed, a range in a new file: no position is refused."""

    async def test(stage: Scene) -> None:
        published = await publish_in(stage, FINDINGS)
        assert (published.new, published.known, published.settled) == (5, 0, 0)
        assert_all_there(stage, FINDINGS)
        assert stage.fake.world.refused == []
        for finding in FINDINGS:
            position = threads(stage)[finding.fingerprint].notes[0].position
            assert position is not None
            assert (position["new_path"], position["new_line"]) == (finding.path, finding.end_line)

    run(test)


def test_one_review_is_two_notifications() -> None:
    """All findings together, and the summary."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, FINDINGS)
        assert stage.fake.world.notifications == 2
        await publish_in(stage, FINDINGS)
        assert stage.fake.world.notifications == 2

    run(test)


def test_the_requests_are_golden(check_golden: Callable[[Path, object], None]) -> None:
    """What is sent for a review, in order and to the letter."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, FINDINGS, sources=AFTER)
        sent = [
            {
                "method": each.method,
                "path": each.path,
                "body": json.loads(each.body or b"null"),
                "status": each.status,
            }
            for each in stage.fake.requests
            if each.method != "GET"
        ]
        check_golden(DATA / "requests" / "review.json", sent)

    run(test)


def test_a_second_review_repeats_nothing() -> None:
    """Nothing is written at all."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, FINDINGS)
        before = [(note.id, note.body, note.updated_at) for note in stage.mr.notes]
        written = len(stage.writes)
        published = await publish_in(stage, FINDINGS)
        assert (published.new, published.known) == (0, 5)
        assert [(note.id, note.body, note.updated_at) for note in stage.mr.notes] == before
        assert len(stage.writes) == written

    run(test)


def test_a_push_that_changes_nothing_reviewed_repeats_nothing() -> None:
    """A rebase, or lines added above: same code, same finding."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED, NEW_FILE])
        moved = {**AFTER, "src/app.py": "# first\n# second\n" + AFTER["src/app.py"]}
        stage.fake.push(stage.project, stage.mr, moved)
        again = [finding_at(moved, "src/app.py", 8), NEW_FILE]
        published = await publish_in(stage, again)
        assert (published.new, published.known, published.settled) == (0, 2, 0)
        assert_all_there(stage, again)

    run(test)


def test_the_summary_is_updated_in_place() -> None:
    """One note for all reviews of a merge request."""

    async def test(stage: Scene) -> None:
        first = await publish_in(stage, FINDINGS)
        stage.fake.push(stage.project, stage.mr, AFTER_PUSH)
        second = await publish_in(stage, [])
        assert first.summary_note_id == second.summary_note_id
        assert "already reported" not in summaries(stage)[0].body
        stage.fake.push(stage.project, stage.mr, {**AFTER_PUSH, "more.py": "x = 1\n"})
        await publish_in(stage, [ADDED])
        assert "already reported" in summaries(stage)[0].body
        assert stage.refs.head_sha[:8] in summaries(stage)[0].body

    run(test)


def test_what_is_gone_is_resolved_and_what_is_back_is_reopened() -> None:
    """A thread that nobody has answered follows the code."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED, NEW_FILE])
        stage.fake.push(stage.project, stage.mr, AFTER_PUSH)
        assert (await publish_in(stage, [ADDED])).settled == 1
        thread = threads(stage)[NEW_FILE.fingerprint]
        assert thread.notes[0].resolved_by is stage.fake.bot
        assert threads(stage)[ADDED.fingerprint].notes[0].resolved_by is None
        assert (await publish_in(stage, [ADDED])).settled == 0
        stage.fake.push(stage.project, stage.mr, AFTER)
        await publish_in(stage, [ADDED, NEW_FILE])
        assert thread.notes[0].resolved_by is None

    run(test)


def test_an_answered_thread_is_left_to_people() -> None:
    """Neither resolved when its code is gone, nor reopened when it is back."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [NEW_FILE])
        thread = threads(stage)[NEW_FILE.fingerprint]
        stage.fake.as_person(stage.author, stage.project, stage.mr).reply(thread, "I doubt it.")
        stage.fake.push(stage.project, stage.mr, AFTER_PUSH)
        assert (await publish_in(stage, [])).settled == 0
        assert thread.notes[0].resolved_by is None

    run(test)


def test_what_people_resolved_stays_resolved() -> None:
    """And is not repeated."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [NEW_FILE])
        thread = threads(stage)[NEW_FILE.fingerprint]
        stage.fake.as_person(stage.author, stage.project, stage.mr).resolve(thread, True)
        published = await publish_in(stage, [NEW_FILE])
        assert (published.new, published.known) == (0, 1)
        assert thread.notes[0].resolved_by is stage.author

    run(test)


def test_the_dismissed_is_never_posted() -> None:
    """Not even where its thread was deleted."""

    async def test(stage: Scene) -> None:
        published = await publish_in(stage, [ADDED, NEW_FILE], dismissed=[ADDED.fingerprint])
        assert (published.new, published.dismissed) == (1, 1)
        assert set(threads(stage)) == {NEW_FILE.fingerprint}

    run(test)


@pytest.mark.parametrize(
    ("fields", "settled"),
    [
        ({}, 1),
        ({"partial": True}, 0),
        ({"suppressed": 1}, 0),
        ({"coverage": ()}, 0),
        (
            {"coverage": (FileCoverage(path="src/app.py", reviewed=False, reason=SkipReason.EXCLUDED),)},
            0,
        ),
    ],
    ids=["read and not found", "cut off", "some left out", "not read", "excluded by a path"],
)
def test_only_what_was_read_can_be_settled(fields: dict[str, Any], settled: int) -> None:
    """Code that is still there and was not looked at says nothing about its finding."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED])
        review = review_of([], ["src/app.py"], **fields)
        assert (await publish_in(stage, [], review=review)).settled == settled

    run(test)


def test_a_part_that_was_not_read_settles_nothing() -> None:
    """An incremental review knows only what it was given."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED])
        assert (await publish_in(stage, [], read=[])).settled == 0

    run(test)


def test_no_finding_is_dropped() -> None:
    """Where GitLab has no line for it, it stands at the file; where no file, in a thread of its own."""
    before = {**BEFORE, "bin": b"\0one", "moved": b"same\n", "big.py": b""}
    after = {**AFTER, "bin": b"\0two", "to": b"same\n", "big.py": b"x = 1\n" * 50_000}
    binary = finding_at({"bin": "?"}, "bin", 1)
    pure_rename = finding_at(after, "to", 1)
    too_large = finding_at(after, "big.py", 3, suggestion="x = 2")
    elsewhere = finding_at({"no/such.py": "a\nb\n"}, "no/such.py", 2)
    beyond = finding_at(AFTER, "src/app.py", 6, message="Far below.").model_copy(
        update={"line": 900, "end_line": 900, "fingerprint": "f" * 16}
    )
    findings = [ADDED, binary, pure_rename, too_large, elsewhere, beyond]

    async def test(stage: Scene) -> None:
        await publish_in(stage, findings, sources=AFTER)
        assert_all_there(stage, findings)
        found = threads(stage)
        for finding in (binary, pure_rename, too_large, beyond):
            note = found[finding.fingerprint].notes[0]
            assert note.position is not None
            assert note.position["position_type"] == "file"
            assert f"line {finding.line}" in note.body
        assert "```suggestion" not in found[too_large.fingerprint].notes[0].body
        assert found[elsewhere.fingerprint].notes[0].position is None
        assert "`no/such.py`, line 2" in found[elsewhere.fingerprint].notes[0].body
        assert stage.fake.world.refused == []

    run(test, before=before, after=after)


def test_before_16_4_a_file_has_no_position() -> None:
    """Then a thread without one is left."""
    before, after = {**BEFORE, "moved": b"same\n"}, {**AFTER, "to": b"same\n"}

    async def test(stage: Scene) -> None:
        finding = finding_at(after, "to", 1)
        await publish_in(stage, [ADDED, finding])
        assert_all_there(stage, [ADDED, finding])
        assert threads(stage)[finding.fingerprint].notes[0].position is None

    run(test, before=before, after=after, server=Options(file_positions=False))


def test_a_position_that_is_refused_all_the_same_falls_back() -> None:
    """The draft is lost when it is published; the finding is not."""

    async def test(stage: Scene) -> None:
        version = stage.mr.versions[-1]
        stage.mr.versions[-1] = type(version)(
            version.id,
            version.refs,
            version.changes,
            {path: () for path in version.lines},
            version.created_at,
        )
        await publish_in(stage, FINDINGS)
        assert_all_there(stage, FINDINGS)
        kinds = {(note.position or {}).get("position_type") for note in stage.bot_notes if note.resolvable}
        assert kinds == {"file"}

    run(test)


@pytest.mark.parametrize(
    ("broken", "kind"), [({"draft_notes": 3}, "text"), ({"draft_notes": 3, "discussions": 3}, "file")]
)
def test_a_server_that_breaks_over_a_position_gets_the_finding_elsewhere(
    broken: dict[str, int], kind: str
) -> None:
    """Some versions answer 500 to what others refuse, however often they are asked."""

    async def test(stage: Scene) -> None:
        for name, times in broken.items():
            stage.fake.fail(FaultKind.SERVER_ERROR, method="POST", path=f"{name}$", times=times)
        await publish_in(stage, [ADDED])
        assert_all_there(stage, [ADDED])
        position = threads(stage)[ADDED.fingerprint].notes[0].position
        assert position is not None
        assert position["position_type"] == kind

    run(test)


@pytest.mark.parametrize("times", [1, 2, 6])
def test_drafts_that_stay_after_they_were_published_are_not_published_again(times: int) -> None:
    """A server that breaks off at the end has made the notes; a second time would make them twice."""

    async def test(stage: Scene) -> None:
        stage.fake.options.half_publishes = times
        await publish_in(stage, FINDINGS)
        assert_all_there(stage, FINDINGS)
        assert stage.fake.world.notifications == 2

    run(test)


def test_a_summary_that_is_there_twice_is_made_one() -> None:
    """The first stays, where links lead to."""

    async def test(stage: Scene) -> None:
        first = await publish_in(stage, [ADDED])
        stage.fake.as_person(stage.fake.bot, stage.project, stage.mr).note(summaries(stage)[0].body)
        second = await publish_in(stage, [ADDED])
        assert [note.id for note in summaries(stage)] == [first.summary_note_id] == [second.summary_note_id]

    run(test)


def test_leftovers_of_a_crash_are_removed_first() -> None:
    """They would be published too, with what was reviewed then."""

    async def test(stage: Scene) -> None:
        await stage.gitlab.create_draft(stage.ref, "half a review")
        await publish_in(stage, [ADDED])
        assert_all_there(stage, [ADDED])
        assert "half a review" not in [note.body for note in stage.mr.notes]

    run(test)


def test_a_finding_that_is_there_twice_is_made_one() -> None:
    """What two workers may have left behind is put right by the next review."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED])
        first = threads(stage)[ADDED.fingerprint]
        stage.fake.as_person(stage.fake.bot, stage.project, stage.mr).discussion(first.notes[0].body, None)
        await publish_in(stage, [ADDED])
        assert threads(stage)[ADDED.fingerprint] is first

    run(test)


def test_foreign_markers_hide_nothing() -> None:
    """Somebody who writes the bot's marker cannot keep a finding away, nor have a note of theirs edited."""

    async def test(stage: Scene) -> None:
        await publish_in(stage, [ADDED])
        body = threads(stage)[ADDED.fingerprint].notes[0].body
        summary = summaries(stage)[0].body
        stage.mr.threads.clear()
        pen = stage.fake.as_person(stage.author, stage.project, stage.mr)
        pen.discussion(body, None)
        pen.note(summary)
        await publish_in(stage, [ADDED])
        assert_all_there(stage, [ADDED])

    run(test)


AFTERWARDS = [FaultKind.ERROR_AFTER, FaultKind.SILENT_AFTER, FaultKind.DROPPED_AFTER]
BEFOREHAND = [
    *(FaultKind.SERVER_ERROR, FaultKind.BAD_GATEWAY, FaultKind.SILENT_BEFORE, FaultKind.DROPPED_BEFORE),
    *(FaultKind.LIMITED_JSON, FaultKind.LIMITED_TEXT),
]
WRITES = 7  # of a first review: five drafts, publishing, the summary


@pytest.mark.parametrize("kind", [*AFTERWARDS, *BEFOREHAND])
@pytest.mark.parametrize("number", range(WRITES))
def test_a_fault_at_any_write_loses_and_repeats_nothing(kind: FaultKind, number: int) -> None:
    """One fault, at each write in turn, done or not done: afterwards it is as if there had been none."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(kind, method="POST", skip=number, seconds=0.4)
        await publish_in(stage, FINDINGS)
        assert_all_there(stage, FINDINGS)
        assert stage.fake.options.faults[0].times == 0
        assert "new |" in summaries(stage)[0].body
        published = await publish_in(stage, FINDINGS)
        assert published.new == 0
        assert_all_there(stage, FINDINGS)

    run(test)


@pytest.mark.parametrize("kind", [*AFTERWARDS, *BEFOREHAND])
def test_an_outage_at_any_write_is_made_good_by_the_next_run(kind: FaultKind) -> None:
    """GitLab goes away in the middle and stays away: what is done again completes it."""

    async def test(stage: Scene) -> None:
        for number in range(WRITES):
            stage.mr.threads.clear()
            stage.mr.drafts.clear()
            fault = stage.fake.fail(kind, skip=number + 4, times=8, seconds=0.2)
            try:
                await publish_in(stage, FINDINGS)
            except GitLabUnavailable:
                fault.times = 0
            fault.times = 0
            await publish_in(stage, FINDINGS)
            assert_all_there(stage, FINDINGS)

    run(test)


@pytest.mark.parametrize("number", range(8))
def test_a_superseded_review_stops_before_its_next_write(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is written, and the newer review leaves all in order."""
    # An answer stays fresh: a write that is sent late asks once more.
    monkeypatch.setattr(gitlab_connection, "time", SimpleNamespace(monotonic=lambda: 0.0))

    async def test(stage: Scene) -> None:
        left = [number]

        async def still_current() -> bool:
            left[0] -= 1
            return left[0] >= 0

        if number < WRITES:
            with pytest.raises(Superseded):
                await publish_in(stage, FINDINGS, still_current=still_current)
        else:
            await publish_in(stage, FINDINGS, still_current=still_current)
        assert len(stage.writes) == min(number, WRITES)
        await publish_in(stage, FINDINGS)
        assert_all_there(stage, FINDINGS)

    run(test)


@pytest.mark.parametrize("number", range(25))
def test_a_crash_at_any_request_is_made_good(number: int) -> None:
    """Cut off while a request is under way, as by a kill: done again, it ends the same."""

    async def test(stage: Scene) -> None:
        reached = asyncio.Event()
        stage.fake.fail(FaultKind.SILENT_AFTER, skip=number, seconds=0.5, reached=reached.set)
        task = asyncio.create_task(publish_in(stage, FINDINGS))
        waiter = asyncio.create_task(reached.wait())
        await asyncio.wait([task, waiter], return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        waiter.cancel()
        await asyncio.gather(task, waiter, return_exceptions=True)
        await publish_in(stage, FINDINGS)
        assert_all_there(stage, FINDINGS)

    run(test)


def test_refusals_that_are_not_about_a_position_are_errors() -> None:
    """A token without rights is not talked around."""

    async def test(stage: Scene) -> None:
        del stage.project.members[stage.fake.bot.id]
        stage.fake.bot.token = "revoked"
        with pytest.raises(GitLabRefused):
            await publish_in(stage, FINDINGS)

    run(test)


def test_errors_are_of_the_bots_tree() -> None:
    """Whoever runs a publication can tell what may pass from what will not."""
    assert issubclass(GitLabUnavailable, GitLabError)
    assert not issubclass(Superseded, GitLabError)


def test_a_review_without_findings_is_a_summary() -> None:
    """It says so, and what was read."""

    async def test(stage: Scene) -> None:
        published = await publish_in(stage, [])
        assert published.new == 0
        assert len(stage.bot_notes) == 1
        assert "Nothing to report." in stage.bot_notes[0].body

    run(test)
