"""A review into its merge request: the new is posted, the known kept, the settled resolved, nothing twice.

Done again after a crash at any point, it leaves the same behind. What was posted is known by its marker; what
was drafted and not published is removed first. Nobody else may publish for the same merge request meanwhile,
and `still_current` is asked before every write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from bot.applying import Applying
from bot.comments import CommentWriter, fingerprint_of
from bot.gitlab import DiffRefs, GitLab, MergeRequestRef, Note, StillCurrent
from bot.markers import SUMMARY, marker_of_discussion
from bot.positions import position_for
from bot.posting import Post, Posting
from bot.summary_note import Outcome, State, summary_note
from bot.threads import PostedFindings, Settling, posted_findings
from engine.diffs import FileDiff
from engine.findings import Finding
from engine.wire import Review

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review with what it was made of."""

    review: Review
    refs: DiffRefs  # of the version that was reviewed
    files: Sequence[FileDiff]  # the whole change in that version
    read: Sequence[FileDiff] | None = None  # the part the engine was given; None: all
    sources: Mapping[str, str] = field(default_factory=dict)  # new texts by path, where known
    since_sha: str = ""  # the commit before the part that was read; "" where all was
    web_url: str = ""  # of the merge request
    dismissed: Collection[str] = ()  # fingerprints nobody wants to see again


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a review's findings, and of earlier ones."""

    new: int
    known: int
    dismissed: int
    settled: int
    summary_note_id: int


async def publish(
    gitlab: GitLab,
    ref: MergeRequestRef,
    reviewed: Reviewed,
    still_current: StillCurrent,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Published:
    """Bring the merge request's discussions in line with a review.

    Raises Superseded as soon as the review is no longer wanted; what is there then is whole, and the next
    review finds it.
    """
    return await _Publication(gitlab.guarded(still_current), ref, reviewed, sleep).run()


class _Publication:
    def __init__(
        self,
        gitlab: GitLab,
        ref: MergeRequestRef,
        reviewed: Reviewed,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._gitlab = gitlab
        self._ref = ref
        self._reviewed = reviewed
        review = reviewed.review
        writer = CommentWriter(review.language, reviewed.refs.head_sha, review.adapter)
        applying = Applying(reviewed.sources)
        self._posting = Posting(gitlab, ref, reviewed.refs, writer, applying, sleep)
        self._files = {file.new_path: file for file in reviewed.files}

    async def run(self) -> Published:
        me = (await self._gitlab.me()).id
        await self._posting.clear()
        before = await self._threads(me)
        wanted = {fingerprint_of(finding): finding for finding in self._reviewed.review.findings}
        dismissed = wanted.keys() & set(self._reviewed.dismissed)
        new = [key for key in wanted if key not in before.by_fingerprint and key not in dismissed]
        after = await self._post([self._prepared(wanted[key]) for key in new], before, me)
        settled, settled_before = await self._settle(after, wanted)
        outcome = Outcome(
            self._reviewed.refs.head_sha,
            self._reviewed.since_sha,
            self._reviewed.web_url,
            {key: self._state(key, dismissed, after) for key in wanted},
            {key: thread.note_id for key, thread in after.by_fingerprint.items() if key in wanted},
            settled + settled_before,
        )
        note = await self._summarise(outcome, me)
        known = len(wanted) - len(new) - len(dismissed)
        _log.info("review.published", mr=str(self._ref), new=len(new), known=known, settled=settled)
        return Published(len(new), known, len(dismissed), settled, note.id)

    def _state(self, key: str, dismissed: Collection[str], threads: PostedFindings) -> State:
        """Return what a summary calls a finding: new until a later commit is reviewed."""
        if key in dismissed:
            return State.DISMISSED
        thread = threads.by_fingerprint.get(key)
        known = thread is not None and thread.marker.info.get("head") != self._reviewed.refs.head_sha
        return State.KNOWN if known else State.NEW

    async def _threads(self, me: int) -> PostedFindings:
        """Return the bot's findings; a repetition that nobody has answered is removed."""
        threads = posted_findings([each async for each in self._gitlab.discussions(self._ref)], me)
        for thread in threads.repeated:
            if not thread.is_answered:
                await self._gitlab.delete_note(self._ref, thread.note_id)
        return threads

    def _prepared(self, finding: Finding) -> Post:
        file = self._files.get(finding.path)
        position = None
        if file is not None:
            source = self._reviewed.sources.get(finding.path)
            count = None if source is None else source.count("\n") + 1
            position = position_for(finding, file, self._reviewed.refs, count)
        return Post(finding, file, position)

    async def _post(self, posts: Sequence[Post], before: PostedFindings, me: int) -> PostedFindings:
        """Post findings: together as far as GitLab takes them so, each alone where it does not."""
        if not posts:
            return before
        await self._posting.together(posts)
        there = await self._threads(me)
        missing = [post for post in posts if fingerprint_of(post.finding) not in there.by_fingerprint]
        for post in missing:
            await self._posting.alone(post)
        return await self._threads(me) if missing else there

    async def _settle(self, threads: PostedFindings, wanted: Collection[str]) -> tuple[int, int]:
        """Resolve threads whose finding is settled, and reopen those whose finding is back.

        Only what nobody has answered: otherwise it is for people to say. Returns how many were resolved now,
        and how many are so from before.
        """
        reviewed, now, before = self._reviewed, 0, 0
        read = reviewed.files if reviewed.read is None else reviewed.read
        settling = Settling(reviewed.review, reviewed.files, read)
        for key, thread in threads.by_fingerprint.items():
            if key not in wanted:
                if thread.is_resolved_by_me:
                    before += 1
                elif thread.is_open and not thread.is_answered and settling.is_settled(thread):
                    await self._gitlab.resolve(self._ref, thread.discussion.id)
                    now += 1
            elif thread.is_resolved_by_me and not thread.is_answered:
                await self._gitlab.resolve(self._ref, thread.discussion.id, resolved=False)
        return now, before

    async def _summarise(self, outcome: Outcome, me: int) -> Note:
        """Write the summary into the note that is there, or into a new one; a repetition is removed."""
        body = summary_note(self._reviewed.review, outcome)
        notes = [note async for note in _summaries(self._gitlab, self._ref, me)]
        for repeated in notes[1:]:
            await self._gitlab.delete_note(self._ref, repeated.id)
        if not notes:
            return await self._gitlab.create_note(self._ref, body)
        if notes[0].body == body:
            return notes[0]
        return await self._gitlab.edit_note(self._ref, notes[0].id, body)


async def find_summary(gitlab: GitLab, ref: MergeRequestRef, me: int) -> Note | None:
    """Return the note that the summary is or will be in; whoever shows progress may use it too."""
    async for note in _summaries(gitlab, ref, me):
        return note
    return None


async def _summaries(gitlab: GitLab, ref: MergeRequestRef, me: int) -> AsyncIterator[Note]:
    async for discussion in gitlab.discussions(ref):
        if marker_of_discussion(discussion, me) == SUMMARY:
            yield discussion.notes[0]
