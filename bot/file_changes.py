"""What GitLab says of a merge request's files <-> the engine's diffs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bot.gitlab import FileChange
from engine.diffpaths import quote
from engine.diffs import FileDiff, FileStatus, LineKind
from engine.errors import DiffError
from engine.parsing import parse_fragment
from engine.wire import FileCoverage, SkipReason

_SIGN = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.CONTEXT: " "}
_NO_FILE = "/dev/null"


def file_diff(change: FileChange) -> FileDiff:
    """Return the change of a file as the engine knows it; without hunks where its diff cannot be read."""
    try:
        return _parsed(change)
    except DiffError:
        return FileDiff(change.old_path, change.new_path, FileStatus.MODIFIED)


def why_unread(change: FileChange) -> FileCoverage | None:
    """Return why GitLab gives no diff to read, or None if that is not so."""
    if change.deleted_file:
        return None
    if change.too_large or change.collapsed:
        return _skipped(change, SkipReason.TOO_LARGE, "GitLab leaves its diff out")
    if change.generated_file:
        return _skipped(change, SkipReason.GENERATED, "by .gitattributes")
    try:
        file = _parsed(change)
    except DiffError as error:
        return _skipped(change, SkipReason.UNSUPPORTED, f"GitLab's diff cannot be read: {error}")
    has_text = file.status is FileStatus.MODIFIED and change.old_mode == change.new_mode
    if has_text and not file.hunks and not file.is_binary:
        # Servers before 18.4 do not say that they left a diff out.
        return _skipped(change, SkipReason.TOO_LARGE, "GitLab gives no diff of it")
    return None


def diff_text(files: Iterable[FileDiff]) -> str:
    """Return files as a unified diff."""
    return "".join(line for file in files for line in _lines(file))


def _parsed(change: FileChange) -> FileDiff:
    return parse_fragment(
        change.diff,
        old_path=change.old_path,
        new_path=change.new_path,
        new_file=change.new_file,
        deleted_file=change.deleted_file,
        renamed_file=change.renamed_file,
        old_mode=change.old_mode,
        new_mode=change.new_mode,
    )


def _skipped(change: FileChange, reason: SkipReason, detail: str) -> FileCoverage:
    return FileCoverage(path=change.new_path, reviewed=False, reason=reason, detail=detail)


def _lines(file: FileDiff) -> Iterator[str]:
    old, new = quote(f"a/{file.old_path}"), quote(f"b/{file.new_path}")
    yield f"diff --git {old} {new}\n"
    if file.status is FileStatus.ADDED:
        yield f"new file mode {file.new_mode or '100644'}\n"
    elif file.status is FileStatus.DELETED:
        yield f"deleted file mode {file.old_mode or '100644'}\n"
    elif file.old_mode != file.new_mode:
        yield f"old mode {file.old_mode}\nnew mode {file.new_mode}\n"
    if file.status is FileStatus.RENAMED:
        yield f"rename from {quote(file.old_path)}\nrename to {quote(file.new_path)}\n"
    if not file.hunks:
        return
    yield f"--- {_NO_FILE if file.status is FileStatus.ADDED else old}\n"
    yield f"+++ {_NO_FILE if file.status is FileStatus.DELETED else new}\n"
    for hunk in file.hunks:
        yield f"@@ -{hunk.old_start},{hunk.old_count} +{hunk.new_start},{hunk.new_count} @@ {hunk.section}\n"
        yield from (f"{_SIGN[line.kind]}{line.text}\n" for line in hunk.lines)
