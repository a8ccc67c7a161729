"""What changed in a repository, file by file, with open documents as the editor has them. Blocks: runs git.

A document that differs from its file is compared with the base by git as well, so that a hunk is cut the
same way whether it was saved or not. Nothing is written to the repository.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from engine import changes
from engine.changes import CONTEXT_LINES
from engine.diffpaths import quote
from engine.diffs import FileStatus
from engine.errors import ConfigError, InputError
from engine.git import Git
from engine.parsing import parse_diff
from engine.untracked import WorkFile, new_file_diff, read_file
from lsp.settings import Scope

_SECTION = re.compile(r"^diff --git ", re.MULTILINE)
_READ_LIMIT = 2**23
_BLOB_LIMIT = 2**23


@dataclass(frozen=True, slots=True)
class Compared:
    """What is compared with what."""

    scope: Scope = Scope.MERGE_BASE
    base_branch: str = ""
    untracked: bool = True


@dataclass(frozen=True, slots=True)
class FileChange:
    """The change of one file. `text` is its new text, None where that is not source code or too big."""

    path: str  # in the repository
    diff: str
    text: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Section:
    """The part of a diff that is about one file."""

    old_path: str
    path: str
    status: FileStatus
    diff: str


def read_changes(
    root: Path, buffers: Mapping[str, str], compared: Compared = Compared()
) -> tuple[FileChange, ...]:
    """Return what changed in the work tree at `root`; `buffers` are open documents by their path in it.

    Raises ConfigError under the key `baseBranch`, InputError with git's words.
    """
    if compared.scope is Scope.STAGED:
        change = changes.staged(root)
        return tuple(_file_changes(_sections(change.diff), change.sources))
    git, base = Git(root), _base(root, compared)
    change = changes.working_tree(root, base=base, new_files=compared.untracked)
    sections = {section.path: section for section in _sections(change.diff)}
    texts = dict(change.sources)
    for path, text in buffers.items():
        if not _is_on_disk(git, path, text):
            _put(git, base or "HEAD", path, text, sections)
            texts[path] = text
    return tuple(_file_changes(sections.values(), texts))


def _base(root: Path, compared: Compared) -> str | None:
    if compared.scope is not Scope.MERGE_BASE:
        return None
    try:
        return changes.branch_base(root, compared.base_branch)
    except InputError as error:
        raise ConfigError(f"baseBranch: {error}") from error


def _sections(diff: str) -> Iterator[_Section]:
    """Yield a diff's sections. No row of a hunk begins as a section does: each has a sign before it."""
    starts = [match.start() for match in _SECTION.finditer(diff)]
    for start, end in pairwise((*starts, len(diff))):
        text = diff[start:end]
        (file,) = parse_diff(text[: _hunks_at(text)])
        yield _Section(file.old_path, file.new_path, file.status, text)


def _hunks_at(section: str) -> int:
    place = section.find("\n@@ ")
    return len(section) if place < 0 else place + 1


def _file_changes(sections: Iterable[_Section], texts: Mapping[str, str]) -> Iterator[FileChange]:
    return (FileChange(section.path, section.diff, texts.get(section.path)) for section in sections)


def _is_on_disk(git: Git, path: str, text: str) -> bool:
    """Tell whether the file says what the document says; an editor keeps no byte order mark in its text."""
    try:
        file = read_file(git, path.encode("utf-8", "surrogateescape"), _READ_LIMIT)
    except InputError:
        return False
    return file is not None and file.data is not None and file.text.removeprefix("\ufeff") == text


def _put(git: Git, base: str, path: str, text: str, sections: dict[str, _Section]) -> None:
    """Put what a document changed in the place of what its file changed."""
    known = sections.pop(path, None)
    old_path = known.old_path if known else path
    old = _blob(git, base, old_path) if not known or known.status is not FileStatus.ADDED else None
    if old is None:
        if known:  # else it is ignored, was never saved, or new files are not wanted
            added = new_file_diff(WorkFile(path, "100644", text.encode("utf-8", "replace")))
            sections[path] = _Section(path, path, FileStatus.ADDED, added)
        return
    hunks = _hunks(git, old, text)
    if hunks or old_path != path:
        status = FileStatus.MODIFIED if old_path == path else FileStatus.RENAMED
        sections[path] = _Section(old_path, path, status, _header(old_path, path) + hunks)


def _header(old_path: str, path: str) -> str:
    old, new = quote(f"a/{old_path}"), quote(f"b/{path}")
    renamed = f"rename from {quote(old_path)}\nrename to {quote(path)}\n" if old_path != path else ""
    tabs = ["\t" if " " in name else "" for name in (old_path, path)]
    return f"diff --git {old} {new}\n{renamed}--- {old}{tabs[0]}\n+++ {new}{tabs[1]}\n"


def _blob(git: Git, base: str, path: str) -> bytes | None:
    """Return the file as it is in `base`, None where it is not there, no text or too big."""
    if not git.succeeds("cat-file", "-e", f"{base}:{path}"):
        return None
    name = git.text("rev-parse", f"{base}:{path}").strip()
    data = git.blobs([name], _BLOB_LIMIT).get(name)
    return None if data is None or b"\0" in data else data


def _hunks(git: Git, old: bytes, text: str) -> str:
    """Return the hunks from one text to another, as git cuts them."""
    new = text.encode("utf-8", "replace")
    if b"\r\n" not in old:
        new = new.replace(b"\r\n", b"\n")
    with tempfile.TemporaryDirectory(prefix="tenken-") as folder:
        for name, data in (("old", old.removeprefix(b"\xef\xbb\xbf")), ("new", new)):
            Path(folder, name).write_bytes(data)
        options = ("--no-index", "--no-ext-diff", "--no-textconv", "--no-color", f"-U{CONTEXT_LINES}")
        names = (str(Path(folder, "old")), str(Path(folder, "new")))
        diff = git.output("diff", *options, "--", *names, fine=(0, 1)).decode("utf-8", "replace")
    return diff[_hunks_at(diff) :]
