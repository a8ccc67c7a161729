"""The bot's earlier findings in a merge request: which are still there, and which are settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.comments import code_mark
from bot.gitlab import Discussion
from bot.markers import Marker, MarkerKind, marker_of_discussion
from engine.diffs import FileDiff, FileStatus, LineKind
from engine.wire import Review


@dataclass(frozen=True, slots=True)
class PostedFinding:
    """A discussion that the bot opened for a finding."""

    discussion: Discussion
    marker: Marker
    me: int

    @property
    def note_id(self) -> int:
        """The note with the finding."""
        return self.discussion.notes[0].id

    @property
    def is_answered(self) -> bool:
        """Whether somebody else has said something in it."""
        return any(note.author_id != self.me and not note.system for note in self.discussion.notes)

    @property
    def is_open(self) -> bool:
        """Whether it can be resolved and is not."""
        return self.discussion.resolvable and not self.discussion.resolved

    @property
    def is_resolved_by_me(self) -> bool:
        """Whether the bot itself has resolved it."""
        notes = self.discussion.notes
        return self.discussion.resolved and all(n.resolved_by == self.me for n in notes if n.resolvable)


@dataclass(frozen=True, slots=True)
class PostedFindings:
    """The bot's threads by fingerprint; of two with the same one, the later is a repetition."""

    by_fingerprint: Mapping[str, PostedFinding]
    repeated: tuple[PostedFinding, ...] = ()


def posted_findings(discussions: Iterable[Discussion], me: int) -> PostedFindings:
    """Return the findings among `discussions`, which come oldest first."""
    known: dict[str, PostedFinding] = {}
    repeated = []
    for discussion in discussions:
        marker = marker_of_discussion(discussion, me)
        if marker is None or marker.kind is not MarkerKind.FINDING:
            continue
        thread = PostedFinding(discussion, marker, me)
        if known.setdefault(marker.id, thread) is not thread:
            repeated.append(thread)
    return PostedFindings(known, tuple(repeated))


class Settling:
    """Tells whether an earlier finding that a review does not report any more is settled.

    It is where its code is in the change no longer. It is, too, where its code was read again, all of it,
    and nothing was left out of the report. What was not read this time stays as it is.
    """

    def __init__(self, review: Review, whole: Sequence[FileDiff], read: Sequence[FileDiff]) -> None:
        self._whole = {file.new_path: file for file in whole}
        self._read = {file.new_path: file for file in read}
        self._complete = not review.partial and not review.suppressed
        self._reviewed = {file.path for file in review.coverage if file.reviewed}

    def is_settled(self, thread: PostedFinding) -> bool:
        """Tell whether a thread's finding, which is not among the review's, is settled."""
        info = thread.marker.info
        path, code, lines = info.get("path", ""), info.get("code", ""), info.get("lines", "")
        if not path or not code or not lines.isdecimal():
            return False
        file = self._whole.get(path)
        if file is not None and not file.hunks and file.status is not FileStatus.DELETED:
            return False  # GitLab gives no diff to look into
        if not _holds(file, path, code, int(lines)):
            return True
        return (
            self._complete and path in self._reviewed and _holds(self._read.get(path), path, code, int(lines))
        )


def _holds(file: FileDiff | None, path: str, code: str, count: int) -> bool:
    """Tell whether `count` lines that a change has added or touched are the code with this mark."""
    if file is None or count < 1:
        return False
    return any(code_mark(path, text) == code for text in _windows(file, count))


def _windows(file: FileDiff, count: int) -> Iterator[str]:
    """Yield every run of `count` lines of the new version that the change has a part in."""
    for hunk in file.hunks:
        lines = [line for line in hunk.lines if line.new_number is not None]
        for start in range(len(lines) - count + 1):
            window = lines[start : start + count]
            if any(line.kind is LineKind.ADDED for line in window):
                yield "\n".join(line.text for line in window)
