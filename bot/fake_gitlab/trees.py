"""Two trees of files -> their diff as GitLab tells it, and every line that can be commented. Pure.

Lines come from the whole texts and not from the hunks, so that a mistake in reading hunks cannot hide here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from bot.gitlab import FileChange

Tree = Mapping[str, bytes]
"""Path -> content."""

CONTEXT = 3
MAX_PATCH = 200_000
"""Bytes of one file's diff that GitLab shows."""

_RENAME_RATIO = 0.5
_MODE = "100644"
_NO_MODE = "0"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that a text position may name, with the code GitLab computes for it."""

    kind: str  # added, removed, context
    old: int | None
    new: int | None
    code: str


def compare(old: Tree, new: Tree) -> list[FileChange]:
    """Return the changed files by their new path, renames found as git finds them."""
    added = [path for path in new if path not in old]
    renames = dict(_renames(old, new, added))
    changes = [_change(old, new, path, path) for path in new if path in old and old[path] != new[path]]
    changes += [_change(old, new, renames.get(path, path), path) for path in added]
    gone = [path for path in old if path not in new and path not in renames.values()]
    changes += [_change(old, new, path, path) for path in gone]
    return sorted(changes, key=lambda change: change.new_path)


def lines_of(old: Tree, new: Tree, change: FileChange) -> list[Line]:
    """Return every line of both versions; none where GitLab would not show a diff."""
    if not change.diff or change.too_large or change.diff.startswith("Binary files "):
        return []
    before = _rows("" if change.new_file else _text(old, change.old_path))
    after = _rows("" if change.deleted_file else _text(new, change.new_path))
    return [
        Line(kind, row if kind != "added" else None, column if kind != "removed" else None, code)
        for kind, row, column, code in _numbered(before, after, change.new_path)
    ]


def _numbered(before: list[str], after: list[str], path: str) -> Iterator[tuple[str, int, int, str]]:
    digest = hashlib.sha1(path.encode()).hexdigest()
    # Of a new file every line carries the old number 0, of a deleted file the new number 0.
    old, new = (1 if before else 0), (1 if after else 0)
    for tag, start, end, new_start, new_end in SequenceMatcher(None, before, after, False).get_opcodes():
        if tag == "equal":
            for _ in range(start, end):
                yield "context", old, new, f"{digest}_{old}_{new}"
                old, new = old + 1, new + 1
            continue
        for _ in range(start, end):
            yield "removed", old, new, f"{digest}_{old}_{new}"
            old += 1
        for _ in range(new_start, new_end):
            yield "added", old, new, f"{digest}_{old}_{new}"
            new += 1


def _renames(old: Tree, new: Tree, added: list[str]) -> Iterator[tuple[str, str]]:
    gone = [path for path in old if path not in new]
    for path in added:
        ratios = [(_similarity(old[source], new[path]), source) for source in gone]
        ratio, source = max(ratios, default=(0.0, ""))
        if ratio >= _RENAME_RATIO:
            gone.remove(source)
            yield path, source


def _similarity(old: bytes, new: bytes) -> float:
    if old == new:
        return 1.0 if old else 0.0
    if b"\0" in old or b"\0" in new:
        return 0.0
    return SequenceMatcher(None, old.split(b"\n"), new.split(b"\n"), False).ratio()


def _change(old: Tree, new: Tree, old_path: str, new_path: str) -> FileChange:
    is_new, is_gone = old_path not in old, new_path not in new
    before = b"" if is_new else old[old_path]
    after = b"" if is_gone else new[new_path]
    diff = _diff(before, after, old_path, new_path)
    too_large = len(diff.encode()) > MAX_PATCH
    return FileChange(
        old_path,
        new_path,
        "" if too_large else diff,
        _NO_MODE if is_new else _MODE,
        _NO_MODE if is_gone else _MODE,
        new_file=is_new,
        renamed_file=old_path != new_path,
        deleted_file=is_gone,
        too_large=too_large,
    )


def _diff(before: bytes, after: bytes, old_path: str, new_path: str) -> str:
    if before == after:
        return ""
    if b"\0" in before or b"\0" in after:
        return f"Binary files a/{old_path} and b/{new_path} differ\n"
    old, new = _rows(before.decode()), _rows(after.decode())
    matcher = SequenceMatcher(None, old, new, False)
    return "".join(_hunk(group, old, new) for group in matcher.get_grouped_opcodes(CONTEXT))


def _hunk(group: list[tuple[str, int, int, int, int]], old: list[str], new: list[str]) -> str:
    first, last = group[0], group[-1]
    parts = [f"@@ -{_span(first[1], last[2])} +{_span(first[3], last[4])} @@\n"]
    for tag, start, end, new_start, new_end in group:
        if tag == "equal":
            parts += [_row(" ", row) for row in old[start:end]]
            continue
        parts += [_row("-", row) for row in old[start:end]]
        parts += [_row("+", row) for row in new[new_start:new_end]]
    return "".join(parts)


def _span(start: int, end: int) -> str:
    count = end - start
    first = start + 1 if count else start
    return str(first) if count == 1 else f"{first},{count}"


def _row(sign: str, row: str) -> str:
    return f"{sign}{row}" if row.endswith("\n") else f"{sign}{row}\n\\ No newline at end of file\n"


def _rows(text: str) -> list[str]:
    """Return the lines with their ends. Only a newline ends one."""
    rows = [f"{row}\n" for row in text.split("\n")]
    last = rows.pop()[:-1]
    return [*rows, last] if last else rows


def _text(tree: Tree, path: str) -> str:
    return tree[path].decode()
