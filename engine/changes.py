"""The change to review, read from a git repository: its diff, its purpose, and the new texts of its files.

Four ways to name a change: `working_tree`, `staged`, `commit`, `between`. All go through `engine.git`;
nothing is written to the repository and no symbolic link is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import InputError
from engine.git import Git
from engine.languages import language_of
from engine.untracked import new_file_diff, read_file, untracked

CONTEXT_LINES = 3
"""Unchanged lines around a change, as in the adapter's training data."""

_DEFAULT_BRANCHES = (
    *("refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master"),
    *("refs/heads/main", "refs/heads/master"),
)
_FILE_LIMIT, _TOTAL_LIMIT = 2**20, 2**25
_DIFF = (
    *("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-relative", "-M"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--inter-hunk-context=0"),
    *("--submodule=short", "--ignore-submodules=dirty"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """A diff and what is known about it. `sources` has the new text of source files, big ones left out."""

    diff: str
    sources: dict[str, str] = field(default_factory=dict)
    title: str = ""
    description: str = ""


def working_tree(
    folder: Path, context: int = CONTEXT_LINES, *, base: str | None = None, new_files: bool = True
) -> Change:
    """Return what a commit of everything would change: staged, unstaged and, if asked for, untracked files.

    With `base`, a commit, return instead how everything differs from that.
    """
    git = Git(folder)
    tracked = _change(git, (base or _head(git),), context)
    files = list(untracked(git)) if new_files else []
    texts = {file.path: file.text for file in files if file.is_text and language_of(file.path)}
    return Change(tracked.diff + "".join(map(new_file_diff, files)), tracked.sources | texts)


def staged(folder: Path, context: int = CONTEXT_LINES) -> Change:
    """Return what `git commit` would record now."""
    git = Git(folder)
    return _change(git, ("--cached", _head(git)), context)


def commit(folder: Path, rev: str, context: int = CONTEXT_LINES) -> Change:
    """Return what a commit changed; a merge against its first parent, a first commit against nothing."""
    git = Git(folder)
    found = _resolve(git, rev)
    change = _change(git, (_parent(git, found), found), context)
    message = git.text("log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%s%n%b", found)
    title, _, description = message.partition("\n")
    return Change(change.diff, change.sources, title, description.strip())


def between(folder: Path, revisions: str, context: int = CONTEXT_LINES) -> Change:
    """Return the difference `A..B`, or with `A...B` what B changed since it left A. An empty side is HEAD."""
    match = re.fullmatch(r"(.*?)(\.{2,3})(.*)", revisions, re.DOTALL)
    if match is None:
        raise InputError(f"{revisions!r} is not a range: give A..B or A...B")
    git = Git(folder)
    old, new = (_resolve(git, side or "HEAD") for side in match.group(1, 3))
    if match.group(2) == "...":
        old = _merge_base(git, old, new, revisions)
    return _change(git, (old, new), context)


def branch_base(folder: Path, branch: str = "") -> str | None:
    """Return the commit where HEAD left `branch`, or the remote's default branch, or main or master.

    None where no such branch has an ancestor in common with HEAD. InputError where `branch` is named and
    does not exist.
    """
    git = Git(folder)
    if not git.succeeds("rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
        return None
    for name in (_resolve(git, branch),) if branch else _default_branches(git):
        if git.succeeds("merge-base", name, "HEAD"):
            return git.text("merge-base", name, "HEAD").split()[0]
    return None


def _default_branches(git: Git) -> Iterator[str]:
    for name in _DEFAULT_BRANCHES:
        if git.succeeds("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
            yield name


def _change(git: Git, compared: tuple[str, ...], context: int) -> Change:
    diff = git.text(*_DIFF, f"-U{context}", *compared, "--")
    entries = _entries(git.output(*_DIFF, "--raw", "-z", "--no-abbrev", *compared, "--"))
    return Change(diff, dict(_sources(git, [entry for entry in entries if entry.is_source])))


def _head(git: Git) -> str:
    """Return HEAD's commit, or the empty tree before the first commit."""
    if git.succeeds("rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
        return git.text("rev-parse", "--verify", "HEAD^{commit}").strip()
    return _empty_tree(git)


def _empty_tree(git: Git) -> str:
    return git.text("hash-object", "-t", "tree", "--stdin").strip()


def _resolve(git: Git, rev: str) -> str:
    if rev.startswith("-") or "\0" in rev:
        raise InputError(f"{rev!r} is not a revision")
    try:
        return git.text("rev-parse", "--verify", f"{rev}^{{commit}}").strip()
    except InputError as error:
        raise InputError(f"no commit is called {rev!r}: {error}") from error


def _parent(git: Git, found: str) -> str:
    """Return the first parent as the commit names it: a shallow clone hides parents that it lacks."""
    header = git.text("cat-file", "commit", found).partition("\n\n")[0]
    parent = re.search(r"^parent ([0-9a-f]+)$", header, re.MULTILINE)
    if parent is None:
        return _empty_tree(git)
    if not git.succeeds("cat-file", "-e", f"{parent[1]}^{{tree}}"):
        raise InputError(
            f"the parent of {found[:12]} is not in this shallow clone; run: git fetch --deepen=1"
        )
    return parent[1]


def _merge_base(git: Git, old: str, new: str, revisions: str) -> str:
    try:
        return git.text("merge-base", old, new).split()[0]
    except InputError as error:
        raise InputError(f"{revisions!r}: the two sides have no common ancestor here") from error


@dataclass(frozen=True, slots=True)
class _Entry:
    mode: str
    object: str  # all zeros: look at the work tree
    path: bytes

    @property
    def name(self) -> str:
        return self.path.decode("utf-8", "replace")

    @property
    def is_source(self) -> bool:
        """Tell whether this is a regular file with a text that helps a review."""
        return self.mode.startswith("100") and language_of(self.name) is not None


def _entries(raw: bytes) -> Iterator[_Entry]:
    """Yield the new side of each change in the output of `git diff --raw -z`."""
    fields = iter(raw.split(b"\0"))
    for head in fields:
        if not head:
            continue
        _, mode, _, new_object, status = head.decode("ascii").split(" ")
        path = next(fields)
        if status[0] in "RC":
            path = next(fields)
        yield _Entry(mode, new_object, path)


def _sources(git: Git, entries: Iterable[_Entry]) -> Iterator[tuple[str, str]]:
    """Yield path and text of each entry while the total stays within bounds."""
    total = 0
    for entry, data in _contents(git, list(entries)):
        total += len(data)
        if total > _TOTAL_LIMIT:
            return
        if b"\0" not in data:
            yield entry.name, data.decode("utf-8", "replace")


def _contents(git: Git, entries: list[_Entry]) -> Iterator[tuple[_Entry, bytes]]:
    stored = [entry for entry in entries if entry.object.strip("0")]
    blobs = git.blobs([entry.object for entry in stored], _FILE_LIMIT)
    yield from ((entry, blobs[entry.object]) for entry in stored if entry.object in blobs)
    for entry in entries:
        if not entry.object.strip("0"):
            file = read_file(git, entry.path, _FILE_LIMIT)
            if file is not None and file.data is not None:
                yield entry, file.data
