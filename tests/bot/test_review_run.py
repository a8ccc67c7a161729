"""A review of a merge request, against a fake GitLab and the real pipeline without a model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reviewing import KeywordReviewer, PlainWork
from scenes import Scene, scene

from bot.database import Database, database_url
from bot.fake_gitlab import FaultKind, Options
from bot.fake_gitlab.state import StoredNote
from bot.jobs import Asked, Reason, ReviewJob
from bot.markers import MarkerKind, marker_of
from bot.memory import Memories
from bot.progress import progress_text, show
from bot.projects import GitLabProjects
from bot.review_run import ReviewRuns, RunOptions, RunPorts
from bot.work import Failure, FailureKind, StepFailed
from engine.review import Progress
from engine.wire import Language

OLD = "".join(f"line_{number} = {number}\n" for number in range(1, 41))
NEW = OLD.replace("line_5 = 5\n", "line_5 = bad()\n").replace("line_30 = 30\n", "line_30 = fine()\n")
BEFORE = {"src/app.py": OLD, "docs/guide.md": "# Guide\n"}
AFTER = {"src/app.py": NEW, "docs/guide.md": "# Guide, longer\n"}


@dataclass(slots=True)
class Bench:
    """What a test needs at hand."""

    scene: Scene
    reviewer: KeywordReviewer
    runs: ReviewRuns
    memories: Memories

    async def review(self, **fields: Any) -> PlainWork:
        """Review as it was asked for; a failure is told, as it would be."""
        work = PlainWork(self.job(**fields).model_dump(mode="json"))
        try:
            await self.runs.run(work)
        except StepFailed as failed:
            await self.runs.failed(work, failed.failure)
        return work

    def job(self, **fields: Any) -> ReviewJob:
        ref = self.scene.ref
        values = {"project_id": ref.project_id, "iid": ref.iid, "key": "k", "received": 1, **fields}
        return ReviewJob.model_validate(values)

    def ask(self, text: str = "/review") -> Asked:
        """Let the author ask for a review."""
        pen = self.scene.fake.as_person(self.scene.author, self.scene.project, self.scene.mr)
        thread, note = pen.note(text)
        return Asked(note_id=note.id, discussion_id=thread.id)

    def notes(self, kind: MarkerKind) -> list[StoredNote]:
        """Return the bot's notes of a kind."""
        return [note for note in self.scene.bot_notes if (m := marker_of(note.body)) and m.kind is kind]

    def emoji(self, asked: Asked) -> list[str]:
        """Return the bot's reactions to a note."""
        (note,) = (note for note in self.scene.mr.notes if note.id == asked.note_id)
        return [name for _, name, who in note.awards if who is self.scene.fake.bot]


@asynccontextmanager
async def bench(
    folder: Path,
    before: Mapping[str, str | bytes] = BEFORE,
    after: Mapping[str, str | bytes] = AFTER,
    server: Options | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    database = Database(database_url(None, folder))
    database.create()
    async with scene(before, after, server=server) as at:
        memories, reviewer = Memories(database), KeywordReviewer()
        ports = RunPorts(at.gitlab, GitLabProjects(at.gitlab), reviewer, memories)

        async def sleep(seconds: float) -> None:
            at.pauses.append(seconds)

        yield Bench(at, reviewer, ReviewRuns(ports, RunOptions(sleep=sleep, **options)), memories)
    database.close()


def test_a_review_puts_findings_on_their_lines(tmp_path: Path) -> None:
    """The thread is at the line, the summary counts it, and the asking note gets its tick."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()
            work = await at.review(asked=(asked,))
            (finding,) = at.notes(MarkerKind.FINDING)
            (summary,) = at.notes(MarkerKind.SUMMARY)
            assert finding.position is not None
            assert (finding.position["new_path"], finding.position["new_line"]) == ("src/app.py", 5)
            assert "This is bad" in finding.body
            assert "docs/guide.md" in summary.body  # not read, and said so
            assert at.emoji(asked) == ["white_check_mark"]
            assert work.steps == ["review 0", "publish 0", "finish"]

    asyncio.run(main())


def test_the_engine_gets_the_change_and_the_texts_around_it(tmp_path: Path) -> None:
    """Diff, full text, title, the project's own name; guidelines and language of the target branch."""
    target = {
        **BEFORE,
        ".tenken.toml": 'language = "ja"\nguidelines_file = "RULES.md"\n',
        "RULES.md": "Never call bad.\n",
    }
    source = {**AFTER, ".tenken.toml": 'language = "en"\nexclude = ["*"]\n', "RULES.md": "Do as you like.\n"}

    async def main() -> None:
        async with bench(tmp_path, target, source) as at:
            await at.review()
            (request,) = at.reviewer.requests
            assert (request.language, request.guidelines) == (Language.JA, "Never call bad.\n")
            assert request.sources == {"src/app.py": NEW}
            assert "+line_5 = bad()" in request.diff
            assert (request.project, request.title) == ("team/app", "A change")
            assert not request.background
            assert "レビュー" in at.notes(MarkerKind.SUMMARY)[0].body

    asyncio.run(main())


def test_what_is_closed_meanwhile_waits_no_more(tmp_path: Path) -> None:
    """That the review waits was said, so it is taken back; who asked is told why there is none."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()
            await show(at.scene.gitlab, at.scene.ref, "It waits.")
            at.scene.mr.state = "merged"
            await at.review(asked=(asked,))
            assert at.notes(MarkerKind.SUMMARY) == []
            assert "not open any more" in at.notes(MarkerKind.REPLY)[0].body

    asyncio.run(main())


def test_nothing_is_said_twice(tmp_path: Path) -> None:
    """A second review of the same asks nothing of the engine and writes no note, not even another summary."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            await at.review()
            count = len(at.scene.bot_notes)
            await at.review(key="k2")
            await at.review(key="k3", reason=Reason.PUSHED)
            assert (len(at.scene.bot_notes), len(at.reviewer.requests)) == (count, 1)

    asyncio.run(main())


def test_after_a_push_only_what_changed_is_reviewed(tmp_path: Path) -> None:
    """The finding that is still there keeps its thread; the engine sees the new hunk alone."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            await at.review()
            pushed = NEW.replace("line_20 = 20\n", "line_20 = bad(20)\n")
            at.scene.fake.push(at.scene.project, at.scene.mr, {**AFTER, "src/app.py": pushed})
            await at.review(key="k2", reason=Reason.PUSHED)
            second = at.reviewer.requests[1]
            assert "line_20" in second.diff
            assert "line_5 = bad()" not in second.diff
            assert second.background
            assert len(at.notes(MarkerKind.FINDING)) == 2
            await at.review(key="k3", full=True)
            assert "line_5 = bad()" in at.reviewer.requests[2].diff
            assert len(at.notes(MarkerKind.FINDING)) == 2

    asyncio.run(main())


def test_what_was_put_right_is_resolved(tmp_path: Path) -> None:
    """The thread of a finding whose code is gone is resolved by the bot, if nobody has answered."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            await at.review()
            mended = NEW.replace("bad()", "good()")
            at.scene.fake.push(at.scene.project, at.scene.mr, {**AFTER, "src/app.py": mended})
            await at.review(key="k2", reason=Reason.PUSHED)
            (finding,) = at.notes(MarkerKind.FINDING)
            assert finding.resolved_by is at.scene.fake.bot

    asyncio.run(main())


def test_a_push_in_the_middle_of_a_review(tmp_path: Path) -> None:
    """What is published is of the newest version; what the engine had read is not read again."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            pushed = "import os\n" + NEW.replace("line_20 = 20\n", "line_20 = bad(20)\n")

            async def push(request: object) -> None:
                if len(at.reviewer.requests) == 1:
                    at.scene.fake.push(at.scene.project, at.scene.mr, {**AFTER, "src/app.py": pushed})

            at.reviewer.before = push
            work = await at.review(asked=(at.ask(),))
            assert work.steps == ["review 0", "publish 0", "review 1", "publish 1", "finish"]
            positions = [note.position for note in at.notes(MarkerKind.FINDING)]
            assert sorted(int(str(p["new_line"])) for p in positions if p) == [6, 21]
            assert "line_30" not in at.reviewer.requests[1].diff

    asyncio.run(main())


def test_pushed_to_again_and_again(tmp_path: Path) -> None:
    """After three rounds it is given up, and said."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()

            async def push(request: object) -> None:
                text = NEW + f"more_{len(at.reviewer.requests)} = 1\n"
                at.scene.fake.push(at.scene.project, at.scene.mr, {**AFTER, "src/app.py": text})

            at.reviewer.before = push
            await at.review(asked=(asked,))
            (reply,) = at.notes(MarkerKind.REPLY)
            assert "pushed to again" in reply.body
            assert at.emoji(asked) == ["confused"]
            assert at.notes(MarkerKind.FINDING) == []

    asyncio.run(main())


def test_only_the_paths_that_were_asked_for(tmp_path: Path) -> None:
    """The rest is listed as not read, and stays for the next review."""
    before = {**BEFORE, "lib/util.py": "x = 1\n"}
    after = {**AFTER, "lib/util.py": "x = bad()\n"}

    async def main() -> None:
        async with bench(tmp_path, before, after) as at:
            await at.review(paths=("lib/",))
            assert "src/app.py" not in at.reviewer.requests[0].diff
            assert "outside the paths" in at.notes(MarkerKind.SUMMARY)[0].body
            assert len(at.notes(MarkerKind.FINDING)) == 1
            await at.review(key="k2")
            assert "lib/util.py" not in at.reviewer.requests[1].diff
            assert len(at.notes(MarkerKind.FINDING)) == 2

    asyncio.run(main())


def test_what_gitlab_leaves_out_is_said(tmp_path: Path) -> None:
    """A diff that is too large to be shown is not one without faults."""
    after = {**AFTER, "src/huge.py": "x = bad()\n" * 60_000}

    async def main() -> None:
        async with bench(tmp_path, BEFORE, after) as at:
            await at.review()
            assert "src/huge.py" not in at.reviewer.requests[0].diff
            summary = at.notes(MarkerKind.SUMMARY)[0].body
            assert "src/huge.py" in summary
            assert "GitLab" in summary

    asyncio.run(main())


@pytest.mark.parametrize(
    ("toml", "words"),
    [('langauge = "ja"\n', "did you mean language"), ('guidelines_file = "../x"\n', "guidelines_file")],
)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, toml: str, words: str) -> None:
    """The reply names key and line; nothing is reviewed by rules nobody wrote."""

    async def main() -> None:
        async with bench(tmp_path, {**BEFORE, ".tenken.toml": toml}, {**AFTER, ".tenken.toml": toml}) as at:
            asked = at.ask()
            await at.review(asked=(asked,))
            (reply,) = at.notes(MarkerKind.REPLY)
            assert words in reply.body
            assert (at.emoji(asked), at.reviewer.requests) == (["confused"], [])

    asyncio.run(main())


@pytest.mark.parametrize("with_thread", [True, False])
def test_a_failure_is_told_once_and_without_details(tmp_path: Path, with_thread: bool) -> None:
    """Where the engine is, and what it says, is nobody's business in a thread."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()
            if not with_thread:
                asked = asked.model_copy(update={"discussion_id": ""})
            work = PlainWork(at.job(asked=(asked,)).model_dump(mode="json"))
            for _ in range(2):
                await at.runs.failed(work, Failure(FailureKind.ENGINE, "cannot reach http://10.0.0.7:8750"))
            (reply,) = at.notes(MarkerKind.REPLY)
            assert "10.0.0.7" not in reply.body
            assert at.emoji(asked) == ["confused"]
            assert at.notes(MarkerKind.SUMMARY) == []

    asyncio.run(main())


def test_an_automatic_review_does_not_fail_silently(tmp_path: Path) -> None:
    """Nobody asked, so the summary says it, above what it said before."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            await at.review()
            before = at.notes(MarkerKind.SUMMARY)[0].body
            work = PlainWork(at.job(reason=Reason.PUSHED).model_dump(mode="json"))
            await at.runs.failed(work, Failure(FailureKind.TIME))
            (summary,) = at.notes(MarkerKind.SUMMARY)
            assert summary.body.startswith("⚠️ **The review could not be done.** It took too long.")
            assert summary.body.endswith(before)
            await at.review(key="k3", reason=Reason.PUSHED)
            after = at.notes(MarkerKind.SUMMARY)[0].body
            assert after.startswith("## Review")
            assert "could not be done" not in after

    asyncio.run(main())


def test_progress_is_shown_in_the_summarys_place(tmp_path: Path) -> None:
    """One note, edited: no further notification, and the summary takes its place in the end."""

    async def main() -> None:
        async with bench(tmp_path, progress_seconds=0.05) as at:
            seen: list[str] = []

            async def wait(request: object) -> None:
                while not seen:
                    await asyncio.sleep(0.02)
                    seen.extend(note.body for note in at.notes(MarkerKind.SUMMARY))

            at.reviewer.before = wait
            await at.review()
            assert seen[0].startswith("⏳")
            (summary,) = at.notes(MarkerKind.SUMMARY)
            assert "⏳" not in summary.body

    asyncio.run(main())


def test_the_commit_has_a_status(tmp_path: Path) -> None:
    """Running, then what fail_on makes of the findings; on the head that was reviewed."""
    toml = {".tenken.toml": 'fail_on = "major"\n'}

    async def main() -> None:
        async with bench(tmp_path, BEFORE | toml, AFTER | toml, commit_status=True) as at:
            at.scene.fake.fail(FaultKind.CONFLICT, path="statuses")
            await at.review()
            statuses = at.scene.project.statuses[at.scene.refs.head_sha]
            assert [status["status"] for status in statuses] == ["running", "failed"]

    asyncio.run(main())


def test_a_closed_merge_request_is_not_reviewed(tmp_path: Path) -> None:
    """Whoever asked is told."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()
            at.scene.mr.state = "closed"
            work = await at.review(asked=(asked,))
            assert work.steps == ["review 0", "closed"]
            assert at.emoji(asked) == ["confused"]
            assert len(at.notes(MarkerKind.REPLY)) == 1

    asyncio.run(main())


def test_superseded_work_writes_nothing(tmp_path: Path) -> None:
    """Asked before every write, it is not asked once too few."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            work = PlainWork(at.job(asked=(at.ask(),)).model_dump(mode="json"), current=False)
            with pytest.raises(StepFailed):
                await at.runs.run(work)
            assert at.scene.bot_notes == []

    asyncio.run(main())


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if kind is not FaultKind.CONFLICT])
def test_a_fault_of_gitlab_is_survived(tmp_path: Path, kind: FaultKind) -> None:
    """Whatever goes wrong once with a request, each finding and the summary are there once."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            asked = at.ask()
            at.scene.fake.fail(kind, method="POST", seconds=0.3)
            at.scene.fake.fail(kind, method="GET", skip=3, seconds=0.3)
            for _ in range(3):  # as durable work would be tried again
                await at.review(asked=(asked,))
            assert len(at.notes(MarkerKind.FINDING)) == 1
            assert len(at.notes(MarkerKind.SUMMARY)) == 1
            assert "white_check_mark" in at.emoji(asked)

    asyncio.run(main())


def test_versions_that_lag_behind_a_push(tmp_path: Path) -> None:
    """A server that still tells of the version before is asked again; positions are of one version."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            at.scene.fake.push(at.scene.project, at.scene.mr, {**AFTER, "src/app.py": "import os\n" + NEW})
            at.scene.mr.stale_reads = 2
            await at.review()
            (finding,) = at.notes(MarkerKind.FINDING)
            assert finding.position is not None
            assert finding.position["new_line"] == 6
            assert finding.position["head_sha"] == at.scene.refs.head_sha

    asyncio.run(main())


def test_a_diff_that_is_not_ready_is_waited_for(tmp_path: Path) -> None:
    """Just after a push GitLab knows no diff yet."""

    async def main() -> None:
        async with bench(tmp_path) as at:
            at.scene.mr.late_refs = 3
            await at.review()
            assert len(at.notes(MarkerKind.FINDING)) == 1
            assert at.scene.pauses

    asyncio.run(main())


def test_progress_has_a_bar_and_an_end_in_sight() -> None:
    """Both languages; no promise before there is a speed to go by."""
    half = Progress("a.py", 2, 4, 50, 100, 1000)
    assert progress_text(half, 60, Language.EN) == (
        "⏳ `██████████░░░░░░░░░░` Reviewing: 2 of 4 files · about 60 s left"
    )
    assert "残り約 10 分" in progress_text(half, 600, Language.JA)
    assert "left" not in progress_text(Progress("a.py", 0, 4, 0, 100, 0), 60, Language.EN)
    assert "waits" in progress_text(None, 60, Language.EN)
