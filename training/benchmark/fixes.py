"""Commits of a clone -> bugs and their fixes. Which commits fix bugs is guessed from what they say.

Taken are small fixes: one hunk of a source file, in which a few lines in a row are replaced. What a fix only
adds or only deletes has no line to point at, or nothing to put in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.diffs import FileDiff, Hunk, LineKind
from engine.errors import DiffError
from engine.git import Git
from engine.languages import language_of
from engine.parsing import parse_diff
from engine.replies import SUGGESTION_LENGTH, clean_message
from engine.selection import skip_by_name
from training.benchmark.tasks import FixTask
from training.records import ReviewItem

SOURCE, FIXED_SOURCE = "bug-fix", "bug-fix-ok"
_SAYS_FIX = re.compile(
    r"\b(?:fix(?:e[sd]|ing)?|hotfix|bug(?:fix)?|defect|regression|crash(?:es|ed)?|npe|race condition)\b"
    r"|修正|不具合|バグ",
    re.I,
)
_SAYS_OTHER = re.compile(
    r"\b(?:typos?|spelling|docs?|readme|comments?|format(?:ting)?|lint|style|tests?|ci|build|bump|merge|revert"
    r"|changelog)\b|誤字",
    re.I,
)
_IS_TEST = re.compile(
    r"(?:^|/)(?:tests?|spec|__tests__)/|(?:^|/)test_|_test\.|Tests?\.|\.(?:test|spec)\.", re.I
)
_FILES, _REPLACED, _ROWS = 3, 5, 60
_CONTEXT = 10
_FORMAT = "%H%x00%cI%x00%s"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that says it fixes something."""

    sha: str
    date: str
    subject: str


def fix_tasks(git: Git, limit: int, since: str = "", look_at: int = 20_000) -> list[FixTask]:
    """Return at most `limit` fixes, the latest first; `since` is a date that git reads."""
    return list(islice(_tasks(git, since, look_at), limit))


def fixing_commits(git: Git, since: str, look_at: int) -> Iterator[Commit]:
    """Yield the commits of the last `look_at` that say they fix a bug, the latest first."""
    dated = (f"--since={since}",) if since else ()
    log = git.text("log", "--no-merges", f"--max-count={look_at}", f"--format={_FORMAT}", *dated, "--")
    for row in log.splitlines():
        sha, date, subject = row.split("\0", 2)
        if _SAYS_FIX.search(subject) and not _SAYS_OTHER.search(subject):
            yield Commit(sha, date, subject)


def fix_task(commit: Commit, files: tuple[FileDiff, ...]) -> FixTask | None:
    """Return the task of a commit's diff, or None where it is no small fix of one place."""
    code = [file for file in files if is_source(file.new_path) and not file.is_binary]
    if len(files) > _FILES or len(code) != 1 or len(code[0].hunks) != 1:
        return None
    (file,), (hunk,) = code, code[0].hunks
    removed = [line for line in hunk.lines if line.kind is LineKind.REMOVED]
    added = [line for line in hunk.lines if line.kind is LineKind.ADDED]
    kinds = "".join(line.kind.value[0] for line in hunk.lines)
    in_a_row = re.fullmatch(r"c*r+a+c*", kinds) is not None
    if not (in_a_row and len(removed) <= _REPLACED and len(added) <= _REPLACED and len(hunk.lines) <= _ROWS):
        return None
    if not any(line.text.strip() for line in removed):
        return None
    new = "\n".join(line.text for line in added)
    fits = len(removed) == 1 and len(new) <= SUGGESTION_LENGTH and new.strip() and new != removed[0].text
    message = clean_message(commit.subject) or "A bug."
    findings: list[dict[str, object]] = [
        {
            "line": line.old_number,
            "category": "bug",
            "severity": "major",
            "message": message,
            "suggestion": new if fits else None,
        }
        for line in removed
        if line.text.strip()
    ]
    name = f"{commit.sha[:12]}-{hunk.old_start}"
    return FixTask(
        id=name,
        commit=commit.sha,
        date=commit.date,
        subject=message,
        buggy=_item(f"{name}-buggy", file.old_path, hunk, old=True, findings=findings),
        fixed=_item(f"{name}-fixed", file.new_path, hunk, old=False, findings=[]),
    )


def _tasks(git: Git, since: str, look_at: int) -> Iterator[FixTask]:
    for commit in fixing_commits(git, since, look_at):
        shown = git.text(
            "show", "--format=", "--no-color", "--no-ext-diff", "--no-textconv", "--diff-filter=AMDR",
            f"-U{_CONTEXT}", commit.sha, "--",
        )  # fmt: skip
        try:
            task = fix_task(commit, parse_diff(shown))
        except (DiffError, ValueError):
            continue  # what cannot be read as a diff, or shown as a hunk, is no task
        if task is not None:
            yield task


def is_source(path: str) -> bool:
    """Tell whether a path is that of code that is no test, nor generated or somebody else's."""
    return language_of(path) is not None and skip_by_name(path) is None and not _IS_TEST.search(path)


def _item(name: str, path: str, hunk: Hunk, *, old: bool, findings: list[dict[str, object]]) -> ReviewItem:
    """Return one side of the hunk as if all of it were new: any line of it may be at fault."""
    gone = LineKind.ADDED if old else LineKind.REMOVED
    rows = [line.text for line in hunk.lines if line.kind is not gone]
    start = hunk.old_start if old else hunk.new_start
    diff = "\n".join([f"@@ -{start - 1},0 +{start},{len(rows)} @@", *(f"+{row}" for row in rows)])
    return ReviewItem.model_validate(
        {
            "id": name,
            "diff": diff,
            "path": path,
            "language": language_of(path) or "text",
            "source": SOURCE if old else FIXED_SOURCE,
            "split": "test",
            "findings": findings,
        }
    )
