"""A review into its merge request: the new is posted, the known kept, the settled resolved, nothing twice.

Done again after a crash at any point, it leaves the same behind. What was posted is known by its marker; what
was drafted and not published is removed first. Nobody else may publish for the same merge request meanwhile,
and `still_current` is asked before every write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from bot.applying import Applying
from bot.comments import CommentWriter, fingerprint_of
from bot.errors import GitLabRefused, GitLabUnavailable
from bot.gitlab import DiffRefs, GitLab, MergeRequestRef, Note, Position, StillCurrent
from bot.markers import SUMMARY, marker_of_discussion
from bot.positions import file_position, position_for
from bot.summary_note import Outcome, State, summary_note
from bot.threads import PostedFindings, Settling, posted_findings
from engine.diffs import FileDiff
from engine.findings import Finding
from engine.wire import Review

_log = structlog.get_logger()

_POSITION_REFUSED = frozenset({400, 404, 422, 500})
"""What GitLab answers to a position it does not take, version by version."""

_REST = 1.5
_PAUSES = (1.0, 2.0, 4.0, 8.0)


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


@dataclass(frozen=True, slots=True)
class _Post:
    """A finding on its way into a merge request."""

    finding: Finding
    file: FileDiff | None
    position: Position | None  # of its line


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
        self._sleep = sleep
        review = reviewed.review
        self._writer = CommentWriter(review.language, reviewed.refs.head_sha, review.adapter)
        self._applying = Applying(reviewed.sources)
        self._files = {file.new_path: file for file in reviewed.files}

    async def run(self) -> Published:
        me = (await self._gitlab.me()).id
        await self._delete_drafts(keep=())
        before = await self._threads(me)
        wanted = {fingerprint_of(finding): finding for finding in self._reviewed.review.findings}
        dismissed = wanted.keys() & set(self._reviewed.dismissed)
        new = [key for key in wanted if key not in before.by_fingerprint and key not in dismissed]
        after = await self._post([self._prepared(wanted[key]) for key in new], before, me)
        settled = await self._settle(after, wanted)
        states = {
            key: State.NEW if key in new else State.DISMISSED if key in dismissed else State.KNOWN
            for key in wanted
        }
        note_ids = {key: thread.note_id for key, thread in after.by_fingerprint.items() if key in wanted}
        note = await self._summarise(states, note_ids, settled, me)
        published = Published(
            len(new), len(wanted) - len(new) - len(dismissed), len(dismissed), settled, note.id
        )
        _log.info("review.published", mr=str(self._ref), new=published.new, known=published.known)
        return published

    async def _threads(self, me: int) -> PostedFindings:
        """Return the bot's findings; a repetition that nobody has answered is removed."""
        threads = posted_findings([each async for each in self._gitlab.discussions(self._ref)], me)
        for thread in threads.repeated:
            if not thread.is_answered:
                await self._gitlab.delete_note(self._ref, thread.note_id)
        return threads

    def _prepared(self, finding: Finding) -> _Post:
        file = self._files.get(finding.path)
        position = None
        if file is not None:
            source = self._reviewed.sources.get(finding.path)
            count = None if source is None else source.count("\n") + 1
            position = position_for(finding, file, self._reviewed.refs, count)
        return _Post(finding, file, position)

    async def _post(self, posts: Sequence[_Post], before: PostedFindings, me: int) -> PostedFindings:
        """Post findings: together as far as GitLab takes them so, each alone where it does not."""
        if not posts:
            return before
        drafted = [await self._draft(post) for post in posts if post.position is not None]
        if any(drafted):
            await self._publish_drafts({draft for draft in drafted if draft is not None})
        there = await self._threads(me)
        missing = [post for post in posts if fingerprint_of(post.finding) not in there.by_fingerprint]
        for post in missing:
            await self._post_alone(post)
        return await self._threads(me) if missing else there

    async def _draft(self, post: _Post) -> int | None:
        """Draft a finding at its line; None where GitLab does not take it."""
        try:
            draft = await self._gitlab.create_draft(self._ref, self._at_line(post.finding), post.position)
        except (GitLabRefused, GitLabUnavailable) as error:
            if error.status not in _POSITION_REFUSED:
                raise
            return None
        return draft.id

    async def _publish_drafts(self, mine: Collection[int]) -> None:
        """Publish, and where the answer is lost, see what is left and publish that.

        What GitLab does not publish is removed here and posted alone afterwards.
        """
        await self._delete_drafts(keep=mine)
        # A server that is asked at once may answer 500 and have published a part.
        await self._sleep(_REST)
        for pause in _PAUSES:
            with suppress(GitLabUnavailable):
                await self._gitlab.publish_drafts(self._ref)
            if not await self._drafts_at_rest(pause):
                return
        await self._delete_drafts(keep=())

    async def _drafts_at_rest(self, pause: float) -> int:
        """Return how many drafts there are once their number does not change any more."""
        count = -1
        while (now := len(await self._gitlab.drafts(self._ref))) not in (0, count):
            count = now
            await self._sleep(pause)
        return now

    async def _delete_drafts(self, keep: Collection[int]) -> None:
        """Remove drafts of a run that broke off: publishing would publish them too."""
        for draft in await self._gitlab.drafts(self._ref):
            if draft.id not in keep:
                await self._gitlab.delete_draft(self._ref, draft.id)

    async def _post_alone(self, post: _Post) -> None:
        """Open a thread: at the line, else at the file, else anywhere. No finding is dropped."""
        apart = self._writer.apart(post.finding)
        tries = [(self._at_line(post.finding), post.position)] if post.position is not None else []
        if post.file is not None:
            tries.append((apart, file_position(post.file, self._reviewed.refs)))
        for body, position in tries:
            try:
                await self._gitlab.create_discussion(self._ref, body, position)
                return
            except (GitLabRefused, GitLabUnavailable) as error:
                if error.status not in _POSITION_REFUSED:
                    raise
                _log.warning("position.refused", mr=str(self._ref), kind=position.type, status=error.status)
        await self._gitlab.create_discussion(self._ref, apart)

    def _at_line(self, finding: Finding) -> str:
        return self._writer.at_line(finding, applicable=self._applying.fits(finding))

    async def _settle(self, threads: PostedFindings, wanted: Collection[str]) -> int:
        """Resolve threads whose finding is settled, and reopen those whose finding is back.

        Only what nobody has answered: otherwise it is for people to say.
        """
        reviewed, settled = self._reviewed, 0
        read = reviewed.files if reviewed.read is None else reviewed.read
        settling = Settling(reviewed.review, reviewed.files, read)
        for key, thread in threads.by_fingerprint.items():
            if thread.is_answered:
                continue
            if key in wanted:
                if thread.is_resolved_by_me:
                    await self._gitlab.resolve(self._ref, thread.discussion.id, resolved=False)
            elif thread.is_open and settling.is_settled(thread):
                await self._gitlab.resolve(self._ref, thread.discussion.id)
                settled += 1
        return settled

    async def _summarise(
        self, states: Mapping[str, State], note_ids: Mapping[str, int], settled: int, me: int
    ) -> Note:
        """Write the summary into the note that is there, or into a new one; a repetition is removed."""
        reviewed = self._reviewed
        outcome = Outcome(
            reviewed.refs.head_sha, reviewed.since_sha, reviewed.web_url, states, note_ids, settled
        )
        body = summary_note(reviewed.review, outcome)
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
