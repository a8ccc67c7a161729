"""Threads of the branch's open merge request: which there are, and where they stand in the work tree. Blocks.

A thread is about lines of a commit. It is placed only where that commit is here and its lines still stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.errors import InputError
from engine.git import Git
from engine.projects import project_of
from lsp.gitlab import Discussion, GitLab, Line
from lsp.lines import Edit, content, edits_between, follow, split_lines
from lsp.places import read_lines
from lsp.placing import Lines, editor_lines, followed

_BLOB_LIMIT = 2**23
_BLOB = re.compile(r"([0-9a-f]{40,64}) blob \d+")
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_MARK = re.compile(r"<!-- tenken:finding ([0-9a-f]{16})(?: [a-z]+=[\w.%~-]*)* -->", re.ASCII)


class Said(NamedTuple):
    """One note of a thread."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Thread:
    """An open thread about lines of a file, counted as git does in that commit."""

    id: str
    url: str
    path: str
    first: int
    last: int
    commit: str
    notes: tuple[Said, ...]
    fingerprint: str = ""  # of the finding that the thread was opened for


class PlacedThread(NamedTuple):
    """A thread and where it stands, from 0. `code` are its lines, `template` its diagnostic but for these."""

    thread: Thread
    first: int
    last: int
    code: str
    template: str = ""

    def after(self, edit: Edit) -> PlacedThread | None:
        """Return it after an edit of the text; None where that touched it."""
        lines = follow(self.first, self.last, edit)
        return self._replace(first=lines[0], last=lines[1]) if lines else None


class Branch(NamedTuple):
    """A branch of a project on GitLab."""

    project: str
    name: str


def branch_of(root: Path) -> Branch | None:
    """Return what is checked out, None where that is no branch, or of no project that a remote names."""
    project, git = project_of(root), Git(root)
    if project is None or not git.succeeds("symbolic-ref", "-q", "HEAD"):
        return None
    return Branch(project, git.text("symbolic-ref", "--short", "HEAD").strip())


def find_thread(root: Path, fingerprint: str, gitlab: GitLab) -> str | None:
    """Return the address of the thread about a finding, None where there is none; raises as GitLab does."""
    if (branch := branch_of(root)) is not None:
        for number, discussion in _discussions(branch, gitlab):
            if mark_of(discussion) == fingerprint:
                return gitlab.note_url(branch.project, number, discussion.notes[0].id)
    return None


def open_threads(branch: Branch, gitlab: GitLab) -> tuple[Thread, ...]:
    """Return the threads that wait for somebody, on lines; raises as GitLab does."""
    threads = []
    for number, discussion in _discussions(branch, gitlab):
        url = gitlab.note_url(branch.project, number, discussion.notes[0].id)
        if (thread := _thread(discussion, url)) is not None:
            threads.append(thread)
    return tuple(threads)


def mark_of(discussion: Discussion) -> str:
    """Return the finding whose mark the first note bears in its last line; nothing where it bears none."""
    last = discussion.notes[0].body.rstrip().rpartition("\n")[2] if discussion.notes else ""
    match = _MARK.fullmatch(last)
    return match[1] if match else ""


def place_threads(root: Path, threads: Iterable[Thread], buffers: Mapping[str, str]) -> list[PlacedThread]:
    """Return those threads that still stand somewhere; `buffers` are open documents by their path."""
    wanted = tuple(threads)
    placed, before = list[PlacedThread](), _texts(root, {(thread.commit, thread.path) for thread in wanted})
    edits: dict[tuple[str, str], Sequence[Edit]] = {}
    now: dict[str, Sequence[str]] = {}
    for thread in wanted:
        path, key = thread.path, (thread.commit, thread.path)
        if key not in before:
            continue
        if path not in now:
            now[path] = split_lines(buffers[path]) if path in buffers else read_lines(root / path) or ()
        if key not in edits:
            edits[key] = edits_between(before[key], now[path])
        lines = editor_lines(before[key], thread.first, thread.last)
        if lines and (found := followed(edits[key], *lines)):
            placed.append(PlacedThread(thread, *found, _code(now[path], found)))
    return placed


def _discussions(branch: Branch, gitlab: GitLab) -> Iterator[tuple[int, Discussion]]:
    number = gitlab.merge_request(branch.project, branch.name)
    if number is not None:
        for discussion in gitlab.discussions(branch.project, number):
            if discussion.notes:
                yield number, discussion


def _thread(discussion: Discussion, url: str) -> Thread | None:
    first = discussion.notes[0]
    at = first.position
    if not first.resolvable or first.resolved or at is None:
        return None
    if at.new_line is None or at.new_path is None or at.head_sha is None:
        return None  # about a line that was removed, about a file, or about an image
    start = _number(at.line_range.start if at.line_range else None) or at.new_line
    notes = tuple(Said(note.author.name, _shown(note.body)) for note in discussion.notes if not note.system)
    return Thread(
        id=discussion.id,
        url=url,
        path=at.new_path,
        first=min(start, at.new_line),
        last=at.new_line,
        commit=at.head_sha,
        notes=notes,
        fingerprint=mark_of(discussion),
    )


def _number(line: Line | None) -> int | None:
    text = str(line.new_line) if line else ""
    return int(text) if text.isdecimal() else None


def _shown(body: str) -> str:
    """Return a note without what GitLab does not show of it."""
    return _COMMENT.sub("", body).strip()


def _texts(root: Path, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Sequence[str]]:
    """Return the lines of files in commits; those that are not here, no text or too big are left out."""
    keys = [(commit, path) for commit, path in sorted(wanted) if "\n" not in path]
    if not keys:
        return {}
    git = Git(root)
    asked = "".join(f"{commit}:{path}\n" for commit, path in keys)
    try:
        rows = git.text("cat-file", "--batch-check", stdin=asked.encode("utf-8", "surrogateescape"))
        names = [match[1] if (match := _BLOB.fullmatch(row)) else "" for row in rows.split("\n")[:-1]]
        blobs = git.blobs(filter(None, names), _BLOB_LIMIT)
    except InputError:
        return {}
    found = {key: blobs[name] for key, name in zip(keys, names, strict=True) if name in blobs}
    return {
        key: split_lines(data.decode("utf-8", "replace").removeprefix("\ufeff"))
        for key, data in found.items()
        if b"\0" not in data
    }


def _code(lines: Sequence[str], at: Lines) -> str:
    return "\n".join(content(line) for line in lines[at[0] : at[1] + 1])
