"""The threads of one merge request -> remarks with their hunks, and the hunks nobody remarked on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from engine.diffs import DiffLine, FileDiff, Hunk
from training.history.outcomes import line_changed, near_changed, says_changed, suggestion_applied
from training.history.reading import Note, Position, Version, read_mark
from training.history.records import MergeRequestRecord, Outcome, Quiet, Remark, Reply
from training.history.windows import around, hunk_at, hunk_text

KEPT_ROWS = 120
"""Rows that are kept of a hunk, as many before a remark's line as after it."""

Files = Mapping[str, FileDiff]


@dataclass(frozen=True, slots=True)
class Thread:
    """A discussion: all of its notes, system notes too."""

    id: str
    notes: tuple[Note, ...]

    @property
    def first(self) -> Note:
        """What opened it."""
        return self.notes[0]


@dataclass(frozen=True, slots=True)
class Talk:
    """All that was said about one merge request."""

    mr: MergeRequestRecord
    threads: Sequence[Thread]
    versions: Sequence[Version]  # newest first
    diffs: Mapping[int, Files]  # by version; those that remarks are on, and the newest
    reactions: Mapping[int, Counter[str]] = field(default_factory=dict)  # by note

    def version_of(self, position: Position) -> Version | None:
        """Return the version whose diff a position is in."""
        same_head = [version for version in self.versions if version.head_sha == position.head_sha]
        exact = (version for version in same_head if version.base_sha == position.base_sha)
        return next(exact, next(iter(same_head), None))

    def diff_at(self, version: Version | None) -> Files:
        """Return the changed files of a version; none if it is not known."""
        return self.diffs.get(version.id, {}) if version else {}

    @property
    def final(self) -> Files:
        """The files as the merge request left them."""
        return self.diff_at(self.versions[0] if self.versions else None)


def wanted_versions(threads: Sequence[Thread], versions: Sequence[Version]) -> list[Version]:
    """Return the versions whose diffs are needed; none where no thread is at a line."""
    positions = [thread.first.position for thread in threads if thread.first.position]
    if not positions or not versions:
        return []
    probe = {(position.head_sha, position.base_sha) for position in positions}
    heads = {head for head, _ in probe}
    exact = [version for version in versions if (version.head_sha, version.base_sha) in probe]
    known = {version.head_sha for version in exact}
    first = {version.head_sha: version for version in reversed(versions)}
    loose = [first[head] for head in sorted(heads - known) if head in first]
    return list({version.id: version for version in [versions[0], *exact, *loose]}.values())


def remarks(talk: Talk) -> Iterator[Remark]:
    """Yield a remark for each thread that a person or a bot opened."""
    for thread in talk.threads:
        if not thread.first.system and not thread.first.internal:
            yield _remark(talk, thread)


def quiet_hunks(talk: Talk, limit: int) -> Iterator[Quiet]:
    """Yield hunks without a remark of the files that have one, at most `limit` of each version."""
    for version in talk.versions:
        spoken: dict[str, list[Position]] = {}
        for thread in talk.threads:
            position = thread.first.position
            if position and not thread.first.system and talk.version_of(position) is version:
                spoken.setdefault(position.new_path, []).append(position)
        hunks = [
            (path, hunk)
            for path in sorted(spoken)
            for hunk in _unspoken(talk.diff_at(version).get(path), spoken[path])
        ]
        for path, hunk in hunks[:limit]:
            yield _quiet(talk, version, path, hunk)


def _remark(talk: Talk, thread: Thread) -> Remark:
    note, position = thread.first, thread.first.position
    replies = [each for each in thread.notes[1:] if not each.system and not each.internal]
    remark = Remark(
        id=f"note-{note.id}",
        url=f"{talk.mr.url}#note_{note.id}" if talk.mr.url else "",
        author=note.author,
        created=note.created,
        mr=talk.mr.mr,
        body=note.body,
        replies=tuple(Reply(author=each.author, body=each.body, created=each.created) for each in replies),
        by_mr_author=note.author.username == talk.mr.author.username,
        mark=read_mark(note.body) if note.author.bot else None,
        outcome=_outcome(talk, thread, None, None),
    )
    return remark if position is None else _placed(talk, thread, remark, position)


def _placed(talk: Talk, thread: Thread, remark: Remark, position: Position) -> Remark:
    file = talk.diff_at(talk.version_of(position)).get(position.new_path)
    found = hunk_at(file, position.new_line, position.old_line) if file else None
    start = position.start_line
    where = {
        "path": position.new_path,
        "line": position.new_line,
        "start_line": start if start and position.new_line and start < position.new_line else None,
        "head_sha": position.head_sha,
    }
    if file is None or found is None:
        return remark.model_copy(update=where)
    hunk, place = found
    kept = hunk_text(around(hunk.lines, place, place, KEPT_ROWS, 0.5))
    outcome = _outcome(talk, thread, file, hunk.lines[place])
    return remark.model_copy(update={**where, "hunk": kept, "outcome": outcome})


def _outcome(talk: Talk, thread: Thread, file: FileDiff | None, line: DiffLine | None) -> Outcome:
    note, reactions = thread.first, talk.reactions.get(thread.first.id, Counter())
    outcome = Outcome(
        merged=talk.mr.state == "merged",
        resolved=note.resolved,
        suggestion_applied=note.applied,
        thumbs_up=reactions["thumbsup"],
        thumbs_down=reactions["thumbsdown"],
    )
    if file is None or line is None:
        return outcome
    final = _same_file(file, talk.final)
    changed = line_changed(file, line, final)
    noted = says_changed([each.body for each in thread.notes if each.system])
    applied = suggestion_applied(note.body, file, line, final) if note.applied is None else note.applied
    return outcome.model_copy(
        update={
            "line_changed": True if noted else changed,
            "near_changed": near_changed(file, line, final),
            "suggestion_applied": applied,
        }
    )


def _same_file(file: FileDiff, final: Files) -> FileDiff | None:
    """Return the file in the final diff, under the name it has there."""
    renamed = (each for each in final.values() if each.old_path == file.old_path)
    return final.get(file.new_path) or next(renamed, None)


def _unspoken(file: FileDiff | None, spoken: Sequence[Position]) -> list[Hunk]:
    if file is None:
        return []
    taken = [found[0] for each in spoken if (found := hunk_at(file, each.new_line, each.old_line))]
    return [
        hunk
        for hunk in file.hunks
        if not any(hunk is other for other in taken) and any(line.is_commentable for line in hunk.lines)
    ]


def _quiet(talk: Talk, version: Version, path: str, hunk: Hunk) -> Quiet:
    return Quiet(
        id=f"quiet-{talk.mr.mr}-{version.id}-{path}-{hunk.new_start}",
        url=talk.mr.url,
        author=talk.mr.author,
        created=version.created,
        mr=talk.mr.mr,
        path=path,
        head_sha=version.head_sha,
        hunk=hunk_text(hunk.lines[:KEPT_ROWS]),
    )
