"""Diff text -> FileDiff values: git's format, plain unified diffs, GitLab's fragments. Pure: touches no file.

The parser is our own because paths and line numbers must be exact: unidiff 1.0 leaves quoted paths
quoted, takes a file called `x b/y` for a rename, and drops the rows of a combined diff in silence.
Rows are read by `engine.hunks`, names by `engine.diffpaths`.
"""

from __future__ import annotations

import re

from engine.diffpaths import DEV_NULL, git_names, header_name, is_epoch, shared_tail, strip_prefixes, unquote
from engine.diffs import FileDiff, FileStatus, Hunk
from engine.errors import DiffError
from engine.hunks import HUNK, Reader, read_hunks


def parse_diff(text: str) -> tuple[FileDiff, ...]:
    """Return the file diffs in `text`; mail headers and commit messages around them are passed over.

    Raises DiffError with the line number where the text cannot be a diff, is a combined diff, or has a
    hunk whose header and rows do not agree.
    """
    reader = Reader(text)
    files = []
    while reader.line is not None:
        if file := _read_file(reader):
            files.append(file)
        else:
            reader.take()
    if not files and text.strip():
        raise DiffError("no file header ('diff --git' or '---' and '+++') found in this text")
    return tuple(files)


def parse_fragment(
    diff: str,
    *,
    old_path: str,
    new_path: str,
    new_file: bool = False,
    deleted_file: bool = False,
    renamed_file: bool = False,
    old_mode: str | None = None,
    new_mode: str | None = None,
) -> FileDiff:
    """Return the change of one file from hunks without file headers, as GitLab's API gives them.

    `diff` may be empty: GitLab sends nothing for a binary file, a pure rename or a collapsed diff.
    """
    reader, fields = Reader(diff), _Header()
    while reader.line is not None and not reader.line.startswith("@@"):
        if reader.line.strip() and not fields.read(reader.line):
            raise DiffError("neither a hunk nor a header line", reader.number)
        reader.take()
    hunks = read_hunks(reader)
    if reader.line is not None and reader.line.strip():
        raise DiffError("neither a hunk nor a row of one", reader.number)
    status = FileStatus.RENAMED if renamed_file or old_path != new_path else FileStatus.MODIFIED
    if new_file:
        status = FileStatus.ADDED
    elif deleted_file:
        status = FileStatus.DELETED
    return _file_diff(old_path, new_path, status, hunks, fields.is_binary, old_mode, new_mode)


_COMBINED = re.compile(r"diff --(?:cc|combined) |@@@+ -\d")
_BINARY = re.compile(r"Binary files (.+) differ", re.DOTALL)
_MODE = re.compile(r"(?:.*[ .])?([0-7]{6})", re.DOTALL)
_KEYS = (
    *("old mode ", "new mode ", "deleted file mode ", "new file mode ", "index ", "--- ", "+++ "),
    *("rename from ", "rename to ", "rename old ", "rename new ", "copy from ", "copy to "),
    *("similarity index ", "dissimilarity index ", "Binary files ", "GIT binary patch"),
)


class _Header:
    """The extended header lines of one file, by their key."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def read(self, line: str) -> bool:
        """Keep `line` and return True if it is a header line that has not been there yet."""
        key = next((key for key in _KEYS if line.startswith(key)), None)
        if key is None or key in self._values:
            return False
        self._values[key] = line[len(key) :]
        return True

    def has(self, key: str) -> bool:
        return key in self._values

    def mode(self, *keys: str) -> str | None:
        found = next((self._values[key] for key in keys if key in self._values), "")
        match = _MODE.fullmatch(found)
        return match.group(1) if match else None

    def pair(self, old_key: str, new_key: str) -> tuple[str, str] | None:
        """Return the names behind two keys, unquoted, or None if one of the lines is not there."""
        if old_key in self._values and new_key in self._values:
            return header_name(self._values[old_key]), header_name(self._values[new_key])
        return None

    @property
    def moved(self) -> tuple[str, str] | None:
        return (
            self.pair("rename from ", "rename to ")
            or self.pair("rename old ", "rename new ")
            or self.pair("copy from ", "copy to ")
        )

    @property
    def is_binary(self) -> bool:
        return "Binary files " in self._values or "GIT binary patch" in self._values


def _read_file(reader: Reader) -> FileDiff | None:
    """Return the file diff that begins at this line, or None (nothing taken) if none does."""
    line, following = reader.line or "", reader.ahead(1) or ""
    if line.startswith("diff --git "):
        return _read_git_file(reader)
    if line.startswith("--- ") and following.startswith("+++ "):
        return _read_plain_file(reader)
    if _BINARY.fullmatch(line):
        return _read_plain_binary(reader)
    if _COMBINED.match(line):
        raise DiffError(
            "this is a combined diff of a merge; give one against a single parent (git diff A...B)",
            reader.number,
        )
    if HUNK.match(line):
        raise DiffError("a hunk without a file header before it", reader.number)
    return None


def _read_git_file(reader: Reader) -> FileDiff:
    number = reader.number
    names = git_names(reader.take().removeprefix("diff --git "))
    header = _Header()
    while reader.line is not None and header.read(reader.line):
        reader.take()
    hunks = read_hunks(reader)
    status, (old, new) = _git_status(header, names, number)
    old_mode = header.mode("old mode ", "deleted file mode ")
    new_mode = header.mode("new mode ", "new file mode ")
    if old_mode is None and new_mode is None:
        old_mode = new_mode = header.mode("index ")
    return _file_diff(old, new, status, hunks, header.is_binary, old_mode, new_mode, number)


def _git_status(
    header: _Header, names: tuple[str, str] | None, number: int
) -> tuple[FileStatus, tuple[str, str]]:
    """Return what happens to the file and its two names, the latter from the line that tells them best."""
    if header.moved:
        return (FileStatus.COPIED if header.has("copy from ") else FileStatus.RENAMED), header.moved
    marked = header.pair("--- ", "+++ ")
    names = names or marked
    if names is None:
        raise DiffError("cannot tell the two file names apart", number)
    old, new = strip_prefixes(*names)
    if header.has("new file mode ") or (marked and marked[0] == DEV_NULL):
        return FileStatus.ADDED, (new, new)
    if header.has("deleted file mode ") or (marked and marked[1] == DEV_NULL):
        return FileStatus.DELETED, (old, old)
    # `git diff --no-index` and custom prefixes leave two names for one file.
    tail = shared_tail(old, new)
    return (FileStatus.MODIFIED, (tail, tail)) if tail else (FileStatus.RENAMED, (old, new))


def _read_plain_file(reader: Reader) -> FileDiff:
    number = reader.number
    old_text, new_text = reader.take()[4:], reader.take()[4:]
    hunks = read_hunks(reader)
    status, old, new = _plain_status(header_name(old_text), header_name(new_text))
    if len(hunks) == 1 and hunks[0].old_count == 0 and is_epoch(old_text):
        status = FileStatus.ADDED
    elif len(hunks) == 1 and hunks[0].new_count == 0 and is_epoch(new_text):
        status = FileStatus.DELETED
    return _file_diff(old, new, status, hunks, number=number)


def _read_plain_binary(reader: Reader) -> FileDiff | None:
    number, match = reader.number, _BINARY.fullmatch(reader.line or "")
    assert match
    old, separator, new = match.group(1).partition(" and ")
    if not separator:
        return None
    reader.take()
    status, old, new = _plain_status(unquote(old), unquote(new))
    return _file_diff(old, new, status, (), is_binary=True, number=number)


def _plain_status(old: str, new: str) -> tuple[FileStatus, str, str]:
    old, new = strip_prefixes(old.removeprefix("./"), new.removeprefix("./"))
    if old == DEV_NULL:
        return FileStatus.ADDED, new, new
    if new == DEV_NULL:
        return FileStatus.DELETED, old, old
    tail = shared_tail(old, new)
    return (FileStatus.MODIFIED, tail, tail) if tail else (FileStatus.RENAMED, old, new)


def _file_diff(
    old_path: str,
    new_path: str,
    status: FileStatus,
    hunks: tuple[Hunk, ...],
    is_binary: bool = False,
    old_mode: str | None = None,
    new_mode: str | None = None,
    number: int | None = None,
) -> FileDiff:
    """Return the FileDiff with the path of an added or deleted file on both sides."""
    if status is FileStatus.ADDED:
        old_path = new_path
    elif status is FileStatus.DELETED:
        new_path = old_path
    if not old_path or not new_path or "\0" in old_path + new_path:
        raise DiffError("a file without a usable name", number)
    return FileDiff(old_path, new_path, status, hunks, is_binary, old_mode, new_mode)
