"""The real client against the strict fake: every call of the Protocol, and what happens when things break."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from scenes import Scene, impatient, scene

from bot import gitlab_connection, pacing
from bot.errors import (
    GitLabError,
    GitLabRefused,
    GitLabUnavailable,
    NotFound,
    RateLimited,
    Superseded,
    TokenRefused,
)
from bot.fake_gitlab import FakeGitLab, FaultKind, Options, server
from bot.gitlab import Access, CommitStatus, DiffRefs, Position, StatusState
from bot.gitlab_client import PythonGitLab
from bot.gitlab_connection import ConnectionOptions
from bot.markers import SUMMARY, Marker, MarkerKind, marked
from engine.errors import ConfigError
from engine.listening import listening

BODY = marked("A remark.", Marker(MarkerKind.FINDING, "0123456789abcdef"))


def run(test: Callable[[Scene], Awaitable[None]], **details: Any) -> None:
    async def play() -> None:
        async with scene(**details) as stage:
            with impatient(stage.fake):
                await test(stage)

    asyncio.run(play())


def added_line(stage: Scene) -> Position:
    return Position(stage.refs, "src/app.py", "src/app.py", new_line=6)


def test_reads_merge_request_versions_and_diffs() -> None:
    """Values arrive as GitLab tells them, names in any script included."""

    async def test(stage: Scene) -> None:
        mr = await stage.gitlab.merge_request(stage.ref)
        assert (mr.ref, mr.is_open, mr.is_from_fork, mr.author_id) == (
            stage.ref,
            True,
            False,
            stage.author.id,
        )
        assert mr.diff_refs == stage.refs
        assert [version.refs for version in await stage.gitlab.versions(stage.ref)] == [stage.refs]
        changes = {change.new_path: change for change in await stage.gitlab.diffs(stage.ref)}
        assert set(changes) == {"src/app.py", "docs/new name.md", "gone.txt", "日本語/新規.py"}
        assert changes["docs/new name.md"].renamed_file
        assert changes["gone.txt"].deleted_file
        assert changes["日本語/新規.py"].new_file

    run(test)


def test_diff_refs_that_come_late_are_none() -> None:
    """A merge request that was just opened has none yet."""

    async def test(stage: Scene) -> None:
        stage.mr.late_refs = 2
        found = [(await stage.gitlab.merge_request(stage.ref)).diff_refs for _ in range(3)]
        assert found == [None, None, stage.refs]

    run(test)


def test_older_servers_leave_fields_out() -> None:
    """What 18.4 brought is false before it."""

    async def test(stage: Scene) -> None:
        assert not any(c.collapsed or c.too_large for c in await stage.gitlab.diffs(stage.ref))

    run(test, server=Options(newest_diff_fields=False))


def test_reads_every_page() -> None:
    """Lists longer than a page come whole and in order."""

    async def test(stage: Scene) -> None:
        for number in range(230):
            await stage.gitlab.create_note(stage.ref, f"note {number}")
        notes = [thread.notes[0].body async for thread in stage.gitlab.discussions(stage.ref)]
        assert notes == [f"note {number}" for number in range(230)]
        latest = [note.body async for note in stage.gitlab.notes(stage.ref)]
        assert latest == notes[::-1]

    run(test)


def test_files_are_read_at_a_commit_and_limited() -> None:
    """A path is one part of the URL; a file over the limit is refused and not held."""

    async def test(stage: Scene) -> None:
        head = stage.refs.head_sha
        text = await stage.gitlab.raw_file(stage.project.id, "日本語/新規.py", head)
        assert text.decode() == "import os\n\nprint(os.name)\n"
        with pytest.raises(NotFound):
            await stage.gitlab.raw_file(stage.project.id, "日本語/新規.py", "main")
        with pytest.raises(GitLabRefused) as refused:
            await stage.gitlab.raw_file(stage.project.id, "src/app.py", head, max_bytes=10)
        assert refused.value.status == 413

    run(test)


def test_people_and_projects() -> None:
    """Who the bot is, who somebody is, and what they may do."""

    async def test(stage: Scene) -> None:
        gitlab, project = stage.gitlab, stage.project
        assert await gitlab.me() == await gitlab.user("tenken")
        assert (await gitlab.me()).bot
        assert await gitlab.access_level(project.id, stage.author.id) == Access.DEVELOPER
        assert await gitlab.access_level(project.id, 999) == Access.NONE
        assert (await gitlab.project("team/app")).id == project.id
        assert [each.id async for each in gitlab.group_projects("team")] == [project.id]
        assert await gitlab.version() == "18.4.0"
        with pytest.raises(NotFound):
            await gitlab.user("nobody")

    run(test)


def test_token_tells_when_it_ends() -> None:
    """An administrator is to be warned before that day."""

    async def test(stage: Scene) -> None:
        stage.fake.bot.expires_at = date(2026, 12, 24)
        token = await stage.gitlab.token()
        assert (token.scopes, token.active) == (("api",), True)
        assert token.days_left(date(2026, 12, 20)) == 4
        stage.fake.bot.expires_at = None
        assert (await stage.gitlab.token()).days_left(date(2026, 12, 20)) is None

    run(test)


def test_notes_discussions_and_reactions() -> None:
    """What is written can be read again, changed and settled."""

    async def test(stage: Scene) -> None:
        gitlab, ref = stage.gitlab, stage.ref
        note = await gitlab.create_note(ref, "hello", internal=True)
        assert (await gitlab.note(ref, note.id)).internal
        assert (await gitlab.edit_note(ref, note.id, "changed")).body == "changed"
        thread = await gitlab.create_discussion(ref, BODY, added_line(stage))
        assert thread.notes[0].position == added_line(stage)
        reply = await gitlab.reply(ref, thread.id, "and?")
        await gitlab.resolve(ref, thread.id)
        again = await gitlab.discussion(ref, thread.id)
        assert (again.resolved, again.notes[1].id) == (True, reply.id)
        assert again.notes[0].resolved_by == stage.fake.bot.id
        await gitlab.resolve(ref, thread.id, resolved=False)
        assert not (await gitlab.discussion(ref, thread.id)).resolved
        for _ in range(2):
            await gitlab.react(ref, note.id, "eyes")
        assert [each.name for each in await gitlab.reactions(ref, note.id)] == ["eyes"]
        for _ in range(2):
            await gitlab.unreact(ref, note.id, "eyes")
        assert await gitlab.reactions(ref, note.id) == ()
        for _ in range(2):
            await gitlab.delete_note(ref, note.id)

    run(test)


def test_drafts_are_published_together() -> None:
    """Many notes, one notification."""

    async def test(stage: Scene) -> None:
        gitlab, ref = stage.gitlab, stage.ref
        first = await gitlab.create_draft(ref, BODY, added_line(stage))
        await gitlab.create_draft(ref, "second")
        await gitlab.create_draft(ref, "third")
        assert [draft.body for draft in await gitlab.drafts(ref)] == [BODY, "second", "third"]
        for _ in range(2):
            await gitlab.delete_draft(ref, first.id)
        await gitlab.publish_drafts(ref)
        assert [note.body for note in stage.mr.notes] == ["second", "third"]
        assert stage.fake.world.notifications == 1

    run(test)


def test_statuses_todos_and_hooks() -> None:
    """The rest of what the bot does with a project."""

    async def test(stage: Scene) -> None:
        gitlab, project = stage.gitlab, stage.project
        status = CommitStatus(StatusState.RUNNING, "tenken", description="x" * 300)
        for _ in range(2):
            await gitlab.set_status(project.id, stage.refs.head_sha, status)
        stage.fake.fail(FaultKind.CONFLICT, path="statuses")
        done = CommitStatus(StatusState.SUCCESS, "tenken")
        await gitlab.set_status(project.id, stage.refs.head_sha, done)
        assert [each["status"] for each in project.statuses[stage.refs.head_sha]] == ["running", "success"]

        stage.fake.as_person(stage.author, project, stage.mr).note("@tenken review")
        (todo,) = [todo async for todo in gitlab.todos()]
        assert (todo.ref, todo.author_id, todo.body) == (stage.ref, stage.author.id, "@tenken review")
        assert todo.note_id == next(stage.mr.notes).id
        for _ in range(2):
            await gitlab.mark_todo_done(todo.id)
        assert [todo async for todo in gitlab.todos()] == []

        with pytest.raises(GitLabRefused):
            await gitlab.hooks(project.id)
        project.members[stage.fake.bot.id] = Access.MAINTAINER
        hook = await gitlab.create_hook(project.id, "http://bot/hook", "secret", {"note_events": True})
        assert (await gitlab.hooks(project.id))[0] == hook
        assert hook.events["note_events"]

    run(test)


def test_open_merge_requests_since() -> None:
    """A watermark leaves out what has been seen."""

    async def test(stage: Scene) -> None:
        found = [each.iid async for each in stage.gitlab.open_merge_requests(stage.project.id)]
        assert found == [stage.mr.iid]
        later = datetime.now(UTC) + timedelta(hours=1)
        assert [each async for each in stage.gitlab.open_merge_requests(stage.project.id, later)] == []

    run(test)


def test_what_is_updated_meanwhile_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge request that goes to the end of the list pulls none of the next page past the reader."""

    async def test(stage: Scene) -> None:
        fake, project = stage.fake, stage.project
        mrs = [stage.mr]
        for number in range(4):
            mrs.append(fake.add_merge_request(project, {"a.py": "x\n"}, branch=f"b{number}"))
        found = []
        async for mr in stage.gitlab.open_merge_requests(project.id):
            found.append(mr.iid)
            if len(found) <= 2:
                mrs[mr.iid - 1].updated_at = fake.world.now()
        assert set(found) == {1, 2, 3, 4, 5}
        assert found[:5] == [1, 2, 3, 4, 5]

    monkeypatch.setattr("bot.gitlab_rest.PAGE", 2)
    run(test)


def test_many_of_one_moment_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a page of merge requests that were updated at once."""

    async def test(stage: Scene) -> None:
        moment = stage.mr.updated_at
        for number in range(4):
            stage.fake.add_merge_request(
                stage.project, {"a.py": "x\n"}, branch=f"b{number}"
            ).updated_at = moment
        found = [mr.iid async for mr in stage.gitlab.open_merge_requests(stage.project.id)]
        assert sorted(found) == [1, 2, 3, 4, 5]

    monkeypatch.setattr("bot.gitlab_rest.PAGE", 2)
    run(test)


@pytest.mark.parametrize("kind", [FaultKind.LIMITED_JSON, FaultKind.LIMITED_TEXT])
@pytest.mark.parametrize(
    ("details", "least", "most"),
    [({"retry_after": 7}, 7, 8), ({"reset_after": 20}, 20, 22), ({}, 5, 6)],
    ids=["Retry-After", "RateLimit-Reset", "back-off"],
)
def test_a_rate_limit_is_obeyed(
    kind: FaultKind,
    details: dict[str, int],
    least: int,
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both bodies, with either header or none: wait as told, then go on, writes included."""
    clock = SimpleNamespace(time=lambda: 1_800_000_000.0, monotonic=time.monotonic)
    monkeypatch.setattr(gitlab_connection, "time", clock)
    monkeypatch.setattr(server, "time", clock)

    async def test(stage: Scene) -> None:
        stage.fake.fail(kind, **details)
        await stage.gitlab.merge_request(stage.ref)
        stage.fake.fail(kind, method="POST", **details)
        await stage.gitlab.create_note(stage.ref, "once")
        assert len(stage.bot_notes) == 1
        assert len(stage.pauses) == 2
        assert all(least <= pause <= most for pause in stage.pauses)

    run(test)


def test_back_off_grows_and_ends() -> None:
    """A server that keeps refusing is asked less and less often, and then no more."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(FaultKind.LIMITED_TEXT, times=9)
        with pytest.raises(RateLimited):
            await stage.gitlab.merge_request(stage.ref)
        assert [round(pause / 5.25) for pause in stage.pauses] == [1, 2, 4, 8]

    run(test)


def test_a_long_wait_is_left_to_the_caller() -> None:
    """Nobody sleeps for an hour with a job in hand."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(FaultKind.LIMITED_JSON, retry_after=3600)
        with pytest.raises(RateLimited) as limited:
            await stage.gitlab.merge_request(stage.ref)
        assert (limited.value.retry_after, stage.pauses) == (3600, [])

    run(test)


NOT_DONE = [
    FaultKind.SERVER_ERROR,
    FaultKind.BAD_GATEWAY,
    FaultKind.SILENT_BEFORE,
    FaultKind.DROPPED_BEFORE,
]
DONE = [FaultKind.ERROR_AFTER, FaultKind.SILENT_AFTER, FaultKind.DROPPED_AFTER]


@pytest.mark.parametrize("kind", NOT_DONE)
def test_reads_are_tried_again(kind: FaultKind) -> None:
    """Two failures in a row are not noticed by whoever asks."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(kind, times=2, seconds=0.4)
        assert (await stage.gitlab.merge_request(stage.ref)).iid == stage.mr.iid
        assert len(stage.pauses) == 2

    run(test)


def test_silence_is_not_waited_for_without_end() -> None:
    """Whatever has come over the connection: a server that says nothing is away."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(FaultKind.SILENT_BEFORE, seconds=60)
        options = ConnectionOptions(stage.fake.url, stage.fake.bot.token, timeout=0.2, attempts=1)
        client = PythonGitLab.connect(options)
        with pytest.raises(GitLabUnavailable, match="Timeout"):
            await client.me()
        await client.close()

    async def play() -> None:
        async with scene() as stage:
            await test(stage)

    asyncio.run(play())


Write = Callable[[Scene], Awaitable[object]]


async def _reply(stage: Scene) -> object:
    thread, _ = stage.fake.as_person(stage.author, stage.project, stage.mr).discussion("Why?", None)
    return await stage.gitlab.reply(stage.ref, thread.id, BODY)


async def _draft(stage: Scene) -> object:
    draft = await stage.gitlab.create_draft(stage.ref, BODY, added_line(stage))
    assert len(stage.mr.drafts) == 1
    await stage.gitlab.publish_drafts(stage.ref)
    return draft


WRITES: dict[str, Write] = {
    "note": lambda stage: stage.gitlab.create_note(stage.ref, BODY),
    "discussion": lambda stage: stage.gitlab.create_discussion(stage.ref, BODY, added_line(stage)),
    "reply": _reply,
    "draft": _draft,
}


@pytest.mark.parametrize("kind", NOT_DONE + DONE)
@pytest.mark.parametrize("name", WRITES)
def test_a_marked_write_happens_once(name: str, kind: FaultKind) -> None:
    """Whether it was done before the answer was lost or not: afterwards the note is there, and once."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(kind, method="POST", times=2 if kind in NOT_DONE else 1, seconds=0.4)
        await WRITES[name](stage)
        assert [note.body for note in stage.bot_notes] == [BODY]

    run(test)


@pytest.mark.parametrize("kind", NOT_DONE + DONE)
def test_an_unmarked_write_is_never_repeated(kind: FaultKind) -> None:
    """Nothing tells whether it happened, so whoever asked for it is told."""

    async def test(stage: Scene) -> None:
        stage.fake.fail(kind, method="POST", seconds=0.4)
        with pytest.raises(GitLabUnavailable):
            await stage.gitlab.create_note(stage.ref, "no marker")
        assert len([each for each in stage.writes if each.startswith("POST")]) <= 1
        assert len(stage.bot_notes) == (kind in DONE)

    run(test)


def test_publishing_is_never_repeated() -> None:
    """It would publish whatever drafts have come since."""

    async def test(stage: Scene) -> None:
        await stage.gitlab.create_draft(stage.ref, BODY)
        stage.fake.fail(FaultKind.ERROR_AFTER, path="bulk_publish")
        with pytest.raises(GitLabUnavailable):
            await stage.gitlab.publish_drafts(stage.ref)
        assert len(stage.bot_notes) == 1

    run(test)


@pytest.mark.parametrize("kind", NOT_DONE + DONE)
def test_a_repeatable_write_is_repeated(kind: FaultKind) -> None:
    """Editing, settling and reacting twice is the same as once."""

    async def test(stage: Scene) -> None:
        note = await stage.gitlab.create_note(stage.ref, "a")
        stage.fake.fail(kind, method="PUT", seconds=0.4)
        await stage.gitlab.edit_note(stage.ref, note.id, "b")
        stage.fake.fail(kind, method="POST", seconds=0.4)
        await stage.gitlab.react(stage.ref, note.id, "eyes")
        assert stage.bot_notes[0].body == "b"
        assert len(stage.bot_notes[0].awards) == 1

    run(test)


def test_a_foreign_note_with_the_marker_is_not_taken_for_ours() -> None:
    """Anybody can write a marker."""

    async def test(stage: Scene) -> None:
        stage.fake.as_person(stage.author, stage.project, stage.mr).note(BODY)
        stage.fake.fail(FaultKind.DROPPED_BEFORE, method="POST")
        await stage.gitlab.create_note(stage.ref, BODY)
        assert len(stage.bot_notes) == 1

    run(test)


def test_a_guarded_client_writes_nothing_that_is_superseded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked before each write and each repetition of one; reading goes on."""
    # An answer stays fresh: a write that is sent late asks once more.
    monkeypatch.setattr(gitlab_connection, "time", SimpleNamespace(monotonic=lambda: 0.0))

    async def test(stage: Scene) -> None:
        wanted = [True, False]

        async def still_current() -> bool:
            return wanted.pop(0)

        gitlab = stage.gitlab.guarded(still_current)
        stage.fake.fail(FaultKind.DROPPED_BEFORE, method="POST")
        with pytest.raises(Superseded):
            await gitlab.create_note(stage.ref, BODY)
        assert (wanted, stage.bot_notes) == ([], [])
        await gitlab.merge_request(stage.ref)
        assert len(stage.writes) == 1

    run(test)


def test_a_text_of_quick_actions_is_an_error() -> None:
    """GitLab takes it and makes no note of it."""

    async def test(stage: Scene) -> None:
        with pytest.raises(GitLabRefused) as refused:
            await stage.gitlab.create_note(stage.ref, "/close")
        assert refused.value.status == 202

    run(test)


def test_errors_name_what_gitlab_said() -> None:
    """Both forms of an error are read; a wrong token is told apart."""

    async def test(stage: Scene) -> None:
        wrong = DiffRefs("0" * 40, "0" * 40, "0" * 40)
        with pytest.raises(GitLabRefused, match="line_code"):
            await stage.gitlab.create_discussion(stage.ref, "x", Position(wrong, "a", "a", new_line=1))
        bad = DiffRefs("main", "0" * 40, "0" * 40)
        with pytest.raises(GitLabRefused, match=r"position\[base_sha\] is invalid"):
            await stage.gitlab.create_discussion(stage.ref, "x", Position(bad, "a", "a", new_line=1))
        stage.fake.bot.token = "other"
        with pytest.raises(TokenRefused):
            await stage.gitlab.me()

    run(test)


def test_the_token_shows_nowhere() -> None:
    """Neither in the options nor in an error."""
    options = ConnectionOptions("http://gitlab", "glpat-secret")
    assert "secret" not in repr(options)

    async def test() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and nobody listens
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            client = PythonGitLab.connect(ConnectionOptions(url, "glpat-secret", attempts=1))
            with pytest.raises(GitLabUnavailable) as error:
                await client.me()
            assert "secret" not in str(error.value)
            await client.close()

    asyncio.run(test())


@pytest.mark.parametrize("body", ["<html>Sign in</html>", '["not", "a user"]', '{"id": 1}', "{"])
def test_what_is_not_gitlab_is_unavailable(body: str) -> None:
    """A proxy's page, or JSON of another shape, is an error with a text and no traceback of ours."""

    async def handler(_: web.Request) -> web.Response:
        kind = "text/html" if body.startswith("<") else "application/json"
        return web.Response(text=body, content_type=kind)

    asyncio.run(_against(handler, GitLabUnavailable))


def test_a_redirect_elsewhere_is_not_followed() -> None:
    """The token would go with it."""

    async def play() -> None:
        async with FakeGitLab() as elsewhere:

            async def handler(request: web.Request) -> web.Response:
                raise web.HTTPFound(f"{elsewhere.url}{request.path}")

            await _against(handler, GitLabUnavailable)
            assert elsewhere.requests == []

    asyncio.run(play())


def test_a_redirect_within_gitlab_is_followed_for_reads() -> None:
    """A project that was moved answers so."""

    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("/user"):
            raise web.HTTPMovedPermanently("/api/v4/moved")
        return web.json_response({"id": 1, "username": "tenken"})

    asyncio.run(_against(handler, None))


async def _against(
    handler: Callable[[web.Request], Awaitable[web.Response]], expected: type[GitLabError] | None
) -> None:
    app = web.Application()
    app.router.add_route("*", "/{any:.*}", handler)
    async with listening(app, shutdown_seconds=1) as port:
        client = PythonGitLab.connect(
            ConnectionOptions(f"http://127.0.0.1:{port}", "glpat-secret", attempts=1)
        )
        try:
            if expected is None:
                assert (await client.me()).id == 1
                return
            with pytest.raises(expected) as error:
                await client.me()
            assert "secret" not in str(error.value)
        finally:
            await client.close()


def test_a_private_certificate_authority_is_trusted_by_file(tmp_path: Path) -> None:
    """Without the file GitLab is refused, and the error says which variable names it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject)
    subprocess.run([*new, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    async def play() -> None:
        fake = FakeGitLab()
        await fake.start(host="localhost", tls=tls)
        for file, trusted in ((certificate, True), (None, False)):
            options = ConnectionOptions(fake.url, fake.bot.token, ca_file=file, attempts=1)
            client = PythonGitLab.connect(options)
            if trusted:
                assert (await client.me()).username == "tenken"
            else:
                with pytest.raises(GitLabUnavailable, match="BOT_GITLAB_CA_FILE"):
                    await client.me()
            await client.close()
        await fake.stop()

    asyncio.run(play())
    for file in (key, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match=file.name):
            PythonGitLab.connect(ConnectionOptions("https://gitlab", "t", ca_file=file))


def test_writes_are_spaced_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst goes at once, then one at a time."""
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: 0.0))
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def play() -> None:
        async with FakeGitLab() as fake:
            project = fake.add_project()
            mr = fake.add_merge_request(project, {"a": "b\n"})
            options = ConnectionOptions(fake.url, fake.bot.token, timeout=120, burst=3, writes_per_second=0.5)
            client = PythonGitLab.connect(options, sleep)
            for _ in range(5):
                await client.create_note(fake.ref(project, mr), "x")
            await client.close()

    asyncio.run(play())
    assert pauses == [2, 4]


def test_summary_marker_finds_itself() -> None:
    """The marker of a body is what a lost answer is looked up by, whatever else it says."""

    async def test(stage: Scene) -> None:
        await stage.gitlab.create_note(stage.ref, marked("Old text.", SUMMARY))
        stage.fake.fail(FaultKind.DROPPED_BEFORE, method="POST")
        note = await stage.gitlab.create_note(stage.ref, marked("New text.", SUMMARY))
        assert note.body == marked("Old text.", SUMMARY)

    run(test)


def test_a_write_that_is_sent_late_asks_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was frozen after it had asked, or had no thread free, does not go by the old answer."""

    async def test(stage: Scene) -> None:
        wanted, clock = [True, False], [0.0]

        async def still_current() -> bool:
            clock[0] += 10.0  # as long as it is frozen now
            return wanted.pop(0)

        monkeypatch.setattr(gitlab_connection, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        with pytest.raises(Superseded):
            await stage.gitlab.guarded(still_current).create_note(stage.ref, BODY)
        assert (wanted, stage.writes) == ([], [])

    run(test)


def test_a_database_that_is_slow_to_answer_keeps_no_write_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long each answer takes, it is asked for twice, and the write is sent."""

    async def test(stage: Scene) -> None:
        asked, clock = [0], [0.0]

        async def still_current() -> bool:
            clock[0] += 10.0
            asked[0] += 1
            assert asked[0] < 5
            return True

        monkeypatch.setattr(gitlab_connection, "time", SimpleNamespace(monotonic=lambda: clock[0]))
        await stage.gitlab.guarded(still_current).create_note(stage.ref, BODY)
        assert (asked, len(stage.bot_notes)) == ([2], 1)

    run(test)


def test_uploads_a_file() -> None:
    """The address that comes back is that of the file; a lost answer costs a second file, no error."""

    async def test(stage: Scene) -> None:
        address = await stage.gitlab.upload(stage.project.id, "retrain.png", b"picture")
        assert stage.project.uploads == {address: b"picture"}
        stage.fake.fail(FaultKind.DROPPED_AFTER, method="POST")
        assert await stage.gitlab.upload(stage.project.id, "other.png", b"other") in stage.project.uploads

        async def outdated() -> bool:
            return False

        with pytest.raises(Superseded):
            await stage.gitlab.guarded(outdated).upload(stage.project.id, "late.png", b"late")

    run(test)
