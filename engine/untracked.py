"""Files git does not know yet, read from the work tree and written as the diff `git add` would lead to."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from engine.diffpaths import quote
from engine.errors import InputError
from engine.git import Git

_LIMIT = 2**23
_SNIFFED = 8000  # git looks for a NUL in as many bytes to tell binary from text


@dataclass(frozen=True, slots=True)
class WorkFile:
    """A file as it stands on disk. `data` is None where it is not read: a symbolic link, or too big."""

    path: str
    mode: str
    data: bytes | None

    @property
    def is_text(self) -> bool:
        return self.data is not None and b"\0" not in self.data[:_SNIFFED]

    @property
    def text(self) -> str:
        """The content, with U+FFFD for what is not UTF-8; empty if it is not text."""
        return self.data.decode("utf-8", "replace") if self.data and self.is_text else ""


def untracked(git: Git) -> Iterator[WorkFile]:
    """Yield the files neither tracked nor ignored; other repositories inside this one are left alone."""
    for path in git.output("ls-files", "--others", "--exclude-standard", "-z").split(b"\0"):
        if path and not path.endswith(b"/") and (file := read_file(git, path, _LIMIT)):
            yield file


def read_file(git: Git, path: bytes, limit: int) -> WorkFile | None:
    """Return a file of the work tree, or None if it is gone or not a file. Follows no symbolic link."""
    name, place = path.decode("utf-8", "replace"), os.path.join(os.fsencode(git.root), path)
    try:
        info = os.lstat(place)
        if stat.S_ISLNK(info.st_mode):
            return WorkFile(name, "120000", None)
        if not stat.S_ISREG(info.st_mode) or not _is_inside(os.fsencode(git.root), place):
            return None
        mode = "100755" if info.st_mode & stat.S_IXUSR else "100644"
        return WorkFile(name, mode, _content(place) if info.st_size <= limit else None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def new_file_diff(file: WorkFile) -> str:
    """Return the diff that adds `file`; one that was not read or is not text counts as binary, as in git."""
    old, new = quote(f"a/{file.path}"), quote(f"b/{file.path}")
    header = f"diff --git {old} {new}\nnew file mode {file.mode}\n"
    if file.mode == "120000" or file.data == b"":
        return header
    if not file.is_text:
        return f"{header}Binary files /dev/null and {new} differ\n"
    lines = file.text.split("\n")
    unfinished = lines.pop()
    rows = [f"+{line}\n" for line in lines]
    if unfinished:
        rows.append(f"+{unfinished}\n\\ No newline at end of file\n")
    tab = "\t" if " " in file.path else ""
    return f"{header}--- /dev/null\n+++ {new}{tab}\n@@ -0,0 +1,{len(rows)} @@\n{''.join(rows)}"


def _is_inside(root: bytes, place: bytes) -> bool:
    folder = os.path.realpath(os.path.dirname(place))
    return os.path.commonpath([folder, os.path.realpath(root)]) == os.path.realpath(root)


def _content(place: bytes) -> bytes:
    descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        return file.read()
