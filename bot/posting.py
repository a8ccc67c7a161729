"""Notes of findings into a merge request: together as drafts, or each alone where GitLab takes no line.

What was posted before is not known here; see `bot.publish`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from bot.applying import Applying
from bot.comments import CommentWriter
from bot.errors import GitLabRefused, GitLabUnavailable
from bot.gitlab import DiffRefs, GitLab, MergeRequestRef, Position
from bot.markers import marker_of
from bot.positions import file_position
from bot.threads import posted_findings
from engine.diffs import FileDiff
from engine.findings import Finding

_log = structlog.get_logger()

_POSITION_REFUSED = frozenset({400, 404, 422, 500})
"""What GitLab answers to a position it does not take, version by version."""

_REST = 1.5
_PAUSES = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Post:
    """A finding on its way into a merge request."""

    finding: Finding
    file: FileDiff | None
    position: Position | None  # of its line


class Posting:
    """Posts findings of one review. `writer` and `applying` say what their notes are like."""

    def __init__(
        self,
        gitlab: GitLab,
        ref: MergeRequestRef,
        refs: DiffRefs,
        writer: CommentWriter,
        applying: Applying,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gitlab = gitlab
        self._ref = ref
        self._refs = refs
        self._writer = writer
        self._applying = applying
        self._sleep = sleep

    async def together(self, posts: Sequence[Post]) -> None:
        """Post all that have a line, with one notification. Some may not be there afterwards."""
        drafted = [await self._draft(post) for post in posts if post.position is not None]
        mine = {draft for draft in drafted if draft is not None}
        if mine:
            await self._publish(mine)

    async def _draft(self, post: Post) -> int | None:
        """Draft a finding at its line; None where GitLab does not take it."""
        try:
            draft = await self._gitlab.create_draft(self._ref, self._at_line(post.finding), post.position)
        except (GitLabRefused, GitLabUnavailable) as error:
            if error.status not in _POSITION_REFUSED:
                raise
            return None
        return draft.id

    async def _publish(self, mine: Collection[int]) -> None:
        """Publish, and where the answer is lost, see what is left and publish that.

        What GitLab does not publish is removed here and posted alone afterwards.
        """
        await self.clear(keep=mine)
        # A server that is asked at once may answer 500 and have published a part.
        await self._sleep(_REST)
        for pause in _PAUSES:
            try:
                await self._gitlab.publish_drafts(self._ref)
            except GitLabUnavailable:
                pass
            except GitLabRefused as refused:
                if refused.status not in _POSITION_REFUSED:
                    raise
            if not await self._drafts_at_rest(pause):
                return
            await self._clear_posted()
        await self.clear()

    async def _clear_posted(self) -> None:
        """Remove drafts whose note is there: a server that broke off may have left both."""
        me = (await self._gitlab.me()).id
        posted = posted_findings([each async for each in self._gitlab.discussions(self._ref)], me)
        for draft in await self._gitlab.drafts(self._ref):
            marker = marker_of(draft.body)
            if marker is not None and marker.id in posted.by_fingerprint:
                await self._gitlab.delete_draft(self._ref, draft.id)

    async def _drafts_at_rest(self, pause: float) -> int:
        """Return how many drafts there are once their number does not change any more."""
        count = -1
        while (now := len(await self._gitlab.drafts(self._ref))) not in (0, count):
            count = now
            await self._sleep(pause)
        return now

    async def clear(self, keep: Collection[int] = ()) -> None:
        """Remove drafts of a run that broke off: publishing would publish them too."""
        for draft in await self._gitlab.drafts(self._ref):
            if draft.id not in keep:
                await self._gitlab.delete_draft(self._ref, draft.id)

    async def alone(self, post: Post) -> None:
        """Open a thread: at the line, else at the file, else anywhere. No finding is dropped."""
        apart = self._writer.apart(post.finding)
        tries = [(self._at_line(post.finding), post.position)] if post.position is not None else []
        if post.file is not None:
            tries.append((apart, file_position(post.file, self._refs)))
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
