"""What a review answers besides its findings: reactions, the commit status, and why there is none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

from bot.errors import GitLabRefused, NotFound
from bot.gitlab import CommitStatus, GitLab, MergeRequest, MergeRequestRef, Note, StatusState
from bot.jobs import Asked, ReviewJob
from bot.markers import Marker, MarkerKind, marked, marker_of
from bot.masking import mask
from bot.progress import show
from bot.projects import Projects, settings_for
from bot.run_texts import RUN_TEXTS
from bot.work import Failure, FailureKind
from engine.formats.summaries import verdict_sentence
from engine.sanitize import prose
from engine.wire import Language, Review

HEARD, DONE, NOT_DONE = "eyes", "white_check_mark", "confused"
STATUS_NAME = "tenken"


class Answers:
    """Answers for one review; each method leaves the same behind when done twice.

    A reaction and a status are courtesies: where GitLab refuses them, there are none.
    """

    def __init__(self, gitlab: GitLab, projects: Projects, commit_status: bool) -> None:
        self._gitlab = gitlab
        self._projects = projects
        self._commit_status = commit_status

    async def running(self, job: ReviewJob, mr: MergeRequest) -> None:
        """Say that the review has begun."""
        if self._commit_status:
            text = RUN_TEXTS[await self._language(job, mr)].status_running
            await self._set_status(mr, mr.head_sha, StatusState.RUNNING, text)

    async def done(self, job: ReviewJob, review: Review, head_sha: str) -> None:
        """Say that the review is there."""
        await self._react(job, DONE)
        if self._commit_status:
            mr = await self._gitlab.merge_request(job.ref)
            fail_on = (await settings_for(mr, self._projects)).fail_on
            failed = fail_on is not None and any(found.severity >= fail_on for found in review.findings)
            state = StatusState.FAILED if failed else StatusState.SUCCESS
            await self._set_status(mr, head_sha, state, verdict_sentence(review))

    async def closed(self, job: ReviewJob) -> None:
        """Say that a merge request that is not open is not reviewed."""
        mr = await self._gitlab.merge_request(job.ref)
        with suppress(GitLabRefused):
            await show(self._gitlab, job.ref, "")  # that it waits, it may have been said
        await self._refuse(job, RUN_TEXTS[await self._language(job, mr)].closed)

    async def failed(self, job: ReviewJob, failure: Failure) -> None:
        """Say that there is no review, and why, to whoever asked; where nobody did, in the summary."""
        try:
            mr = await self._gitlab.merge_request(job.ref)
        except NotFound:
            return
        language = await self._language(job, mr)
        text = failure_text(failure, language)
        with suppress(GitLabRefused):
            await show(self._gitlab, job.ref, "" if job.asked else f"⚠️ {text}")
        await self._refuse(job, text)
        if self._commit_status:
            status = RUN_TEXTS[language].status_given_up
            await self._set_status(mr, mr.head_sha, StatusState.CANCELED, status)

    async def _refuse(self, job: ReviewJob, text: str) -> None:
        for asked in job.asked:
            await self._reply(job.ref, asked, text)
        await self._react(job, NOT_DONE)

    async def _reply(self, ref: MergeRequestRef, asked: Asked, text: str) -> None:
        """Write in the thread where it was asked, once; where that is gone, nothing."""
        marker = Marker(MarkerKind.REPLY, f"{asked.note_id}-no-review")
        me, body = (await self._gitlab.me()).id, marked(text, marker)
        try:
            async for note in self._notes_around(ref, asked):
                if note.author_id == me and marker_of(note.body) == marker:
                    return
            if asked.discussion_id:
                await self._gitlab.reply(ref, asked.discussion_id, body)
            else:
                await self._gitlab.create_note(ref, body, internal=asked.internal)
        except NotFound:
            return

    async def _notes_around(self, ref: MergeRequestRef, asked: Asked) -> AsyncIterator[Note]:
        if not asked.discussion_id:  # an old server, which did not say
            async for note in self._gitlab.notes(ref):
                yield note
            return
        for note in (await self._gitlab.discussion(ref, asked.discussion_id)).notes:
            yield note

    async def _react(self, job: ReviewJob, name: str) -> None:
        for asked in job.asked:
            with suppress(GitLabRefused):
                await self._gitlab.react(job.ref, asked.note_id, name)

    async def _set_status(self, mr: MergeRequest, sha: str, state: StatusState, text: str) -> None:
        status = CommitStatus(
            state,
            STATUS_NAME,
            text,
            target_url=mr.web_url,
            ref=mr.source_branch,
            pipeline_id=mr.head_pipeline_id,
        )
        with suppress(GitLabRefused):
            await self._gitlab.set_status(mr.source_project_id, sha, status)

    async def _language(self, job: ReviewJob, mr: MergeRequest) -> Language:
        return job.language or (await settings_for(mr, self._projects)).language


def failure_text(failure: Failure, language: Language, *, of_command: bool = False) -> str:
    """Return why something was not done, as Markdown. Only what a project has to mend is told in full."""
    texts = RUN_TEXTS[language]
    detail = prose(mask(failure.text)) if failure.kind is FailureKind.INPUT else ""
    reason = texts.reason[failure.kind].format(text=detail)
    what, again = (texts.failed_command, texts.again_command) if of_command else (texts.failed, texts.again)
    return f"**{what}** {reason}\n\n{again}"
